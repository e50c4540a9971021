package chat_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/voice"
	"github.com/teamtalk-go/dbproxy/test/rig/logs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// patience is how long a test waits for what must come. No test passes by waiting this long.
const patience = 60 * time.Second

// noon is when every test begins.
var noon = time.Date(2024, 5, 6, 12, 0, 0, 0, time.UTC)

// engine is a kind of store. Every rule is tested on every engine.
type engine struct {
	name string
	// open opens the store that is kept in dir; a second time it opens what the first left there.
	open func(t *testing.T, dir string, opt records.Options) backend
	// refuseRow is a statement that makes the database refuse rows with a content in a message
	// table.
	refuseRow func(table, content string) string
	// holdFiles keeps others from changing the table of offline files, which they can read, until
	// release.
	holdFiles, release string
}

// backend is an open store.
type backend struct {
	chat.Store
	raw   *sql.DB // a connection of its own to the same tables
	close func() error
}

var engines = []engine{{
	name: "embedded",
	open: openEmbedded,
	refuseRow: func(table, content string) string {
		return fmt.Sprintf("CREATE TRIGGER refuse_%[1]s BEFORE INSERT ON %[1]s WHEN "+
			"NEW.content='%[2]s' "+
			"BEGIN SELECT RAISE(ABORT, 'refused by the test'); END", table, content)
	},
	holdFiles: "BEGIN IMMEDIATE",
	release:   "COMMIT",
}, {
	name: "mysql",
	open: openMySQL,
	refuseRow: func(table, content string) string {
		return fmt.Sprintf("CREATE TRIGGER refuse_%[1]s BEFORE INSERT ON %[1]s FOR EACH ROW IF "+
			"NEW.content='%[2]s' "+
			"THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT='refused by the test'; END IF", table,
			content)
	},
	holdFiles: "LOCK TABLES IMTransmitFile READ",
	release:   "UNLOCK TABLES",
}}

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

// emptySQLite is a database with its tables, to be copied: making them takes longer than most
// tests.
var emptySQLite = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "empty")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "dbproxy.db")
	store, err := records.OpenSQLite(path, records.Options{})
	if err != nil {
		return nil, err
	}
	_, err = tables.Migrate(context.Background(), store.DB())
	if err = errors.Join(err, store.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func openEmbedded(t *testing.T, dir string, opt records.Options) backend {
	t.Helper()
	path := filepath.Join(dir, "dbproxy.db")
	if _, err := os.Stat(path); err != nil {
		fresh, err := emptySQLite()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, fresh, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, err := records.OpenSQLite(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	sounds, err := voice.OpenDir(filepath.Join(dir, "voice"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", "file:"+path+
		"?_pragma=busy_timeout(10000)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1) // so that BEGIN and COMMIT may be said
	counted := counters.Embedded{Records: store}
	return backend{
		Store: chat.Store{
			Ledger: store, Sequencer: counted, Counters: counted, Directory: store,
			Profiles: store, Archive: store, Sessions: store, Groups: store, Mutes: store,
			Tokens: store, Files: store, Voice: sounds,
			Failures: &counters.Failures{Table: store},
		},
		raw:   raw,
		close: func() error { return errors.Join(raw.Close(), store.Close(), sounds.Close()) },
	}
}

// openMySQL keeps the database of a directory by a file in it.
func openMySQL(t *testing.T, dir string, opt records.Options) backend {
	t.Helper()
	db := databaseOf(t, dir)
	store, err := records.OpenMySQL(testdb.At(db), nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	sounds, err := voice.OpenDir(filepath.Join(dir, "voice"))
	if err != nil {
		t.Fatal(err)
	}
	counted := counters.Embedded{Records: store}
	return backend{
		Store: chat.Store{
			Ledger: store, Sequencer: counted, Counters: counted, Directory: store,
			Profiles: store, Archive: store, Sessions: store, Groups: store, Mutes: store,
			Tokens: store, Files: store, Voice: sounds,
			Failures: &counters.Failures{},
		},
		raw:   db.Admin,
		close: func() error { return errors.Join(store.Close(), sounds.Close()) },
	}
}

var databases sync.Map // by directory, each a *servers.Database

// databaseOf is the database that belongs to a directory; the first call makes it, with its tables.
func databaseOf(t *testing.T, dir string) *servers.Database {
	t.Helper()
	if db, ok := databases.Load(dir); ok {
		return db.(*servers.Database)
	}
	db := testdb.New(t)
	db.Admin.SetMaxOpenConns(1) // so that BEGIN and COMMIT may be said
	databases.Store(dir, db)
	t.Cleanup(func() { databases.Delete(dir) })
	return db
}

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// world is a service at work on a store of its own, and all that a test may do to it.
type world struct {
	*testing.T
	svc   *chat.Service
	store chat.Store // what svc works on
	raw   *sql.DB
	clock *clock
	ctx   context.Context // of requests; it has a deadline, as theirs have
	dir   string

	engine engine
	more   records.Options // of the store, from the next restart on
	log    logs.Log
	wrap   func(*chat.Store)
	cancel context.CancelFunc // ends Run
	ran    chan error         // closed when Run has returned
	end    func()             // ends everything; to be called once or more
	tries  chan string        // the first commits that were told of
}

// rule tests a rule on every engine.
func rule(t *testing.T, test func(w *world)) {
	t.Helper()
	onEngines(t, func(t *testing.T, e engine) { test(start(t, e, nil)) })
}

// onEngines is rule for tests that start their worlds themselves.
func onEngines(t *testing.T, test func(t *testing.T, e engine)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e) })
	}
}

// start starts a service on an empty store of an engine. Wrap, if not nil, may put something
// between the two. When the test ends nothing of it may go on running.
func start(t *testing.T, e engine, wrap func(*chat.Store)) *world {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks, servers.IgnoreGoroutines()) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{T: t, clock: &clock{at: noon}, ctx: ctx, dir: t.TempDir(), engine: e, wrap: wrap,
		tries: make(chan string, 100)}
	w.begin()
	t.Cleanup(func() { w.end() })
	return w
}

func (w *world) begin() {
	w.Helper()
	log := slog.New(slog.NewTextHandler(io.MultiWriter(w.Output(), &w.log), nil))
	opt := w.more
	opt.Now, opt.Log = w.clock.now, log
	b := w.engine.open(w.T, w.dir, opt)
	if w.wrap != nil {
		w.wrap(&b.Store)
	}
	svc, err := chat.New(b.Store, chat.Options{
		VoiceKey: chat.DefaultVoiceKey, Now: w.clock.now, Log: log, Committed: w.committed,
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() {
		ran <- svc.Run(ctx)
		close(ran)
	}()
	w.svc, w.store, w.raw, w.cancel, w.ran = svc, b.Store, b.raw, cancel, ran
	w.end = sync.OnceFunc(func() {
		cancel()
		if err := await(w, ran); err != nil {
			w.Errorf("Run: %v", err)
		}
		if err := b.close(); err != nil {
			w.Error(err)
		}
	})
}

// restart ends the service and starts another one on what is stored.
func (w *world) restart() {
	w.Helper()
	w.end()
	w.begin()
}

// await takes what must come from a channel.
func await[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
	return v
}

// now is the world's time, advance moves it.
func (w *world) now() uint32                    { return uint32(w.clock.now().Unix()) }
func (w *world) advance(d time.Duration)        { w.clock.set(w.clock.now().Add(d)) }
func (w *world) later(seconds int) uint32       { return uint32(int(w.now()) + seconds) }
func seconds(n int) time.Duration               { return time.Duration(n) * time.Second }
func repeat(text string, characters int) string { return strings.Repeat(text, characters) }

// must ends the test on an error.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wantKind checks the kind of an error.
func wantKind(t testing.TB, err error, want chat.Kind) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("no error, want one of kind %s", want)
	case chat.KindOf(err) != want:
		t.Errorf("error of kind %s, want %s: %v", chat.KindOf(err), want, err)
	}
}

// wantSame compares two values of any type.
func wantSame[T any](t testing.TB, what string, got, want T, opt ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, opt...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
