package groupsync_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// patience is how long a test waits for what must come. No test passes by waiting this long.
const patience = 60 * time.Second

// world is a store and a clock; at is Unix seconds.
type world struct {
	*testing.T
	*records.Store
	raw testdb.Raw
	at  atomic.Int64
	log *slog.Logger
}

// rule tests a rule on every engine. It begins at second 100,000.
func rule(t *testing.T, test func(w *world)) {
	t.Helper()
	on(t, testdb.Engines, test)
}

// onMySQL tests what several processes do on one database.
func onMySQL(t *testing.T, test func(w *world)) {
	t.Helper()
	on(t, []testdb.Engine{testdb.MySQL}, test)
}

func on(t *testing.T, engines []testdb.Engine, test func(w *world)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			w := &world{T: t, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
			w.at.Store(100_000)
			w.Store, w.raw = e.Open(t, t.TempDir(), records.Options{Now: w.now, Log: w.log})
			test(w)
		})
	}
}

func (w *world) now() time.Time { return time.Unix(w.at.Load(), 0) }

// group makes a group.
func (w *world) group(members ...uint32) uint32 {
	w.Helper()
	id, err := w.Create(w.Context(), chat.NewGroup{Creator: 1, Type: chat.NormalGroup,
		Name: "group", Members: members}, uint32(w.at.Load()))
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// talk has somebody send a message to a group.
func (w *world) talk(group, from uint32) {
	w.Helper()
	r, err := w.Append(w.Context(), chat.Batch{ID: chat.NewCommitID(), Now: uint32(w.at.Load()),
		Drafts: []chat.Draft{
			{Talk: chat.GroupTalk(group), From: from, Type: chat.GroupText, Content: "x"},
		}}, counters.Embedded{})
	if err != nil || r.Stored[0].Err != nil {
		w.Fatal(err, r)
	}
}

// wantSessions checks the sessions of a group, in the order they were made: "user@updated", of
// removed ones "-user@updated". Times are relative to the beginning.
func (w *world) wantSessions(group uint32, want string) {
	w.Helper()
	rows := w.raw.Rows("SELECT CONCAT(CASE status WHEN 0 THEN '' ELSE '-' END,userId,'@',"+
		"updated-100000) FROM IMRecentSession WHERE peerId=? AND type=2 ORDER BY id", group)
	if got := strings.Join(rows, " "); got != want {
		w.Errorf("sessions of group %d: %s\nwant %s", group, got, want)
	}
}

// look has a fresh loop look once, as after a restart.
func (w *world) look() {
	w.Helper()
	w.lookOnce(&watched{Store: w.Store})
	w.wantMark(w.at.Load())
}

// wantMark checks up to which second all is synced.
func (w *world) wantMark(want int64) {
	w.Helper()
	if at, _, err := w.Mark(w.Context(), "last_update_group"); int64(at) != want || err != nil {
		w.Errorf("the mark is %d, %v; want %d", at, err, want)
	}
}

func await[T any](w *world, c <-chan T) (v T) {
	w.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		w.Fatal("waited in vain")
	}
	return v
}
