package chat_test

import (
	"context"
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
	"github.com/teamtalk-go/dbproxy/internal/turns"
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
	testdb.Engine
	// refuseRow is a statement that makes the database refuse rows with a content in a message
	// table.
	refuseRow func(table, content string) string
	// holdFiles keeps others from changing the table of offline files, which they can read, until
	// release.
	holdFiles, release string
}

var engines = []engine{{
	Engine: testdb.Embedded,
	refuseRow: func(table, content string) string {
		return fmt.Sprintf("CREATE TRIGGER refuse_%[1]s BEFORE INSERT ON %[1]s WHEN "+
			"NEW.content='%[2]s' "+
			"BEGIN SELECT RAISE(ABORT, 'refused by the test'); END", table, content)
	},
	holdFiles: "BEGIN IMMEDIATE",
	release:   "COMMIT",
}, {
	Engine: testdb.MySQL,
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
	stage *turns.Stage[*reading]
	store chat.Store // what svc works on
	raw   testdb.Raw
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

// ruleOnLedger is rule with a test's hand on the ledger.
func ruleOnLedger(t *testing.T, test func(w *world, l *ledger)) {
	t.Helper()
	onEngines(t, func(t *testing.T, e engine) {
		l := new(ledger)
		test(start(t, e, l.wrap), l)
	})
}

// onEngines is rule for tests that start their worlds themselves.
func onEngines(t *testing.T, test func(t *testing.T, e engine)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) { test(t, e) })
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
	kept, raw := w.engine.Open(w.T, w.dir, opt)
	raw.SetMaxOpenConns(1) // so that BEGIN and COMMIT may be said
	sounds, err := voice.OpenDir(filepath.Join(w.dir, "voice"))
	w.must(err)
	store, failures := counters.OnRecords(kept), &counters.Failures{}
	if w.engine.Name == testdb.Embedded.Name {
		failures.Table = kept
	}
	store.Voice, store.Failures = sounds, failures
	if w.wrap != nil {
		w.wrap(&store)
	}
	svc, err := chat.New(store, chat.Options{
		VoiceKey: chat.DefaultVoiceKey, Now: w.clock.now, Log: log, Committed: w.committed,
	})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() {
		ran <- svc.Run(ctx)
		close(ran)
	}()
	w.svc, w.store, w.raw, w.cancel, w.ran = svc, store, raw, cancel, ran
	w.stage = newReads(svc)
	w.end = sync.OnceFunc(func() {
		cancel()
		if err := await(w, ran); err != nil {
			w.Errorf("Run: %v", err)
		}
		if err := errors.Join(kept.Close(), sounds.Close()); err != nil {
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

// only is the result of a request that was served alone.
func only[T any](results []chat.Result[T]) (T, error) { return results[0].Value, results[0].Err }
