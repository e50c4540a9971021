package groupsync_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
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

// marking is the world's store with a word for every look that was completed, and faults for some
// groups.
type marking struct {
	*records.Store
	marked chan uint32
	failed chan uint32 // groups that could not be synced
	broken map[uint32]bool
}

func (m marking) SetMark(ctx context.Context, name string, value uint32) error {
	err := m.Store.SetMark(ctx, name, value)
	m.marked <- value
	return err
}

func (m marking) SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error {
	if m.broken[group] {
		m.failed <- group
		return chat.Errorf(chat.Unavailable, "a fault of the test's")
	}
	return m.Store.SyncSessions(ctx, group, users, at)
}

// run starts the loop; stop ends it and waits for it.
func (w *world) run(broken ...uint32) (m marking, stop func()) {
	w.Helper()
	m = marking{w.Store, make(chan uint32, 100), make(chan uint32, 100), make(map[uint32]bool)}
	for _, g := range broken {
		m.broken[g] = true
	}
	ctx, cancel := context.WithCancel(w.Context())
	ran := make(chan error, 1)
	s := groupsync.Syncer{Store: m, Marks: m, Now: w.now, Log: w.log}
	go func() { ran <- s.Run(ctx) }()
	return m, func() {
		w.Helper()
		cancel()
		if err := await(w, ran); err != nil {
			w.Errorf("Run: %v", err)
		}
	}
}

// look has a fresh loop look once, as after a restart.
func (w *world) look() {
	w.Helper()
	m, stop := w.run()
	if at := await(w, m.marked); int64(at) != w.at.Load() {
		w.Errorf("the mark is %d, the time %d", at, w.at.Load())
	}
	stop()
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
