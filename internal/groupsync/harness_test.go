package groupsync_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// patience is how long a test waits for what must come. No test passes by waiting this long.
const patience = 60 * time.Second

// engines are the stores that every rule is tested on.
var engines = []struct {
	name string
	open func(t *testing.T, dir string, opt records.Options) (*records.Store, *sql.DB)
}{{"embedded", openEmbedded}, {"mysql", openMySQL}}

func openEmbedded(t *testing.T, dir string, opt records.Options) (*records.Store, *sql.DB) {
	t.Helper()
	path := filepath.Join(dir, "dbproxy.db")
	store, err := records.OpenSQLite(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tables.Migrate(t.Context(), store.DB()); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path+
		"?_pragma=busy_timeout(10000)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := raw.Close(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	raw.SetMaxOpenConns(1)
	return store, raw
}

func openMySQL(t *testing.T, _ string, opt records.Options) (*records.Store, *sql.DB) {
	t.Helper()
	db := testdb.New(t)
	store, err := records.OpenMySQL(testdb.At(db), nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store, db.Admin
}

// world is a store and a clock; at is Unix seconds.
type world struct {
	*testing.T
	*records.Store
	raw *sql.DB
	at  atomic.Int64
	log *slog.Logger
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	w.at.Store(100_000)
	return w
}

// rule tests a rule on every engine. It begins at second 100,000.
func rule(t *testing.T, test func(w *world)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			w.Store, w.raw = e.open(t, t.TempDir(), records.Options{Now: w.now, Log: w.log})
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

func (w *world) exec(query string, args ...any) {
	w.Helper()
	if _, err := w.raw.ExecContext(w.Context(), query, args...); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
}

// wantSessions checks the sessions of a group, in the order they were made: "user@updated", of
// removed ones "-user@updated". Times are relative to the beginning.
func (w *world) wantSessions(group uint32, want string) {
	w.Helper()
	rows, err := w.raw.QueryContext(w.Context(), "SELECT userId,updated-100000,status FROM "+
		"IMRecentSession WHERE peerId=? AND type=2 ORDER BY id", group)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var user, updated, status int
		if err := rows.Scan(&user, &updated, &status); err != nil {
			w.Fatal(err)
		}
		all = append(all, strings.Repeat("-", status)+fmt.Sprintf("%d@%d", user, updated))
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	if got := strings.Join(all, " "); got != want {
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
	s := groupsync.Syncer{Store: m, Now: w.now, Log: w.log}
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
