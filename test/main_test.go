// Package test tests the whole binary: what a message server sees of it on the wire, what is in its store, and what it
// does when things go wrong around it.
package test

import (
	"cmp"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// patience is how long a test waits for what must come. It is no measure of speed: a busy machine needs it.
const patience = 60 * time.Second

// Made once by TestMain: the binary under test, which users other than ours can run, too, and a directory with a store
// that has the tables and the people of seed.sql.
var dbproxy, seeded string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dbproxy-test")
	if err == nil {
		defer os.RemoveAll(dir)
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return servers.Around(m).Run()
}

// prepare makes in dir what all tests use.
func prepare(dir string) (err error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	ctx := context.Background()
	race := underRace || os.Getenv("RACE") != ""
	if dbproxy, err = harness.Build(ctx, dir, race); err != nil {
		return err
	}
	seed, err := os.ReadFile(filepath.Join("testdata", "conformance", "seed.sql"))
	if err != nil {
		return err
	}
	seeded = filepath.Join(dir, "seeded")
	return harness.Migrate(ctx, dbproxy, seeded, string(seed))
}

// noteSources looks at what the binary is made of. The go command sees that, and so it does not give a cached result for
// these tests when the binary has changed, which they do not import.
var noteSources = sync.OnceFunc(func() {
	for _, root := range []string{"../cmd", "../internal", "../go.mod"} {
		// What cannot be read here has kept the binary from being built.
		_ = filepath.WalkDir(root, func(string, fs.DirEntry, error) error { return nil })
	}
})

// secret is in texts, passwords and tokens that tests send: no log may have it.
const secret = "Qx7-secret-9zK"

// newStore makes a directory with an empty store and the people of seed.sql.
func newStore(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(data, os.DirFS(seeded)); err != nil {
		t.Fatal(err)
	}
	return data
}

// start starts the binary on the directory data. When the test ends it is stopped, if it still runs, and must exit with
// code 0; when the test failed its log is shown.
func start(t *testing.T, data string, args ...string) *harness.Proxy {
	t.Helper()
	return startWith(t, harness.Options{Data: data, Args: args})
}

// startWith is start with more to say; the binary is filled in. Its log may have what is expected, if otherwise none may.
func startWith(t *testing.T, o harness.Options, expected ...string) *harness.Proxy {
	t.Helper()
	p := launch(t, o, expected...)
	if err := p.AwaitListening(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// launch is startWith for a binary that need not listen yet.
func launch(t *testing.T, o harness.Options, expected ...string) *harness.Proxy {
	t.Helper()
	noteSources()
	o.Binary = cmp.Or(o.Binary, dbproxy)
	p, err := harness.Launch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-p.Exited(): // the test itself has seen to that
		default:
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := p.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
		checkLog(t, p, expected...)
	})
	return p
}

// deadlock is what MySQL says of transactions that wait for each other in a circle.
const deadlock = "Deadlock found"

// checkLog looks for what no log may have, but for what is expected, and shows the log of a failed test.
func checkLog(t *testing.T, p *harness.Proxy, expected ...string) {
	t.Helper()
	text := p.Log.String()
	for _, never := range []string{"DATA RACE", "handler panicked", "goroutine 1 [", "panic: ", "fatal error: ", "finished a request twice",
		deadlock, secret} {
		if strings.Contains(text, never) && !slices.Contains(expected, never) {
			t.Errorf("the log has %q", never)
		}
	}
	if t.Failed() {
		const most = 16 << 10
		if len(text) > most {
			text = text[:most/2] + "\n…\n" + text[len(text)-most/2:]
		}
		t.Logf("log of process %d:\n%s", p.Pid(), text)
	}
}

// dial connects to the proxy; the connection is closed when the test ends.
func dial(t *testing.T, p *harness.Proxy) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// within is the test's context with a deadline, for one thing that must happen.
func within(t *testing.T) context.Context {
	t.Helper()
	noteSources()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("nothing came for %v", patience))
	t.Cleanup(cancel)
	return ctx
}

// requestLimit is a request's time. After that it is refused, or has no answer.
const requestLimit = 5 * time.Second

// lookUp asks for something that may be asked again when the machine was too slow to answer in time.
func lookUp[A proto.Message](ctx context.Context, c *client.Client, req proto.Message) (answer A, err error) {
	for {
		once, cancel := context.WithTimeout(ctx, requestLimit+2*time.Second)
		answer, err = client.Call[A](once, c, req)
		inTime := once.Err() == nil
		cancel()
		if inTime || ctx.Err() != nil {
			return answer, err
		}
	}
}

// look is lookUp for what must be answered in the end.
func look[A proto.Message](t *testing.T, c *client.Client, req proto.Message) A {
	t.Helper()
	answer, err := lookUp[A](within(t), c, req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// submit sends a message until it is stored: the machine may be too slow to do that in time.
func submit(t *testing.T, c *client.Client, req *impb.IMMsgData) *impb.IMMsgData {
	t.Helper()
	for begun := time.Now(); ; {
		answer := call[*impb.IMMsgData](t, c, req)
		if answer.GetMsgId() != 0 || time.Since(begun) > patience {
			return answer
		}
	}
}

// call sends a request and returns its answer, which must come.
func call[A proto.Message](t *testing.T, c *client.Client, req proto.Message) A {
	t.Helper()
	answer, err := client.Call[A](within(t), c, req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// checkServed proves that the proxy serves on that connection: it has user 1 of seed.sql looked up.
func checkServed(t *testing.T, c *client.Client) {
	t.Helper()
	users := call[*impb.IMUsersInfoRsp](t, c, usersInfo(1, 1))
	if list := users.GetUserInfoList(); len(list) != 1 || list[0].GetUserRealName() != "alice" {
		t.Fatalf("user 1 is %v", list)
	}
}

// store opens the proxy's store for reading.
func store(t *testing.T, data string) *sql.DB {
	t.Helper()
	db, err := harness.OpenStore(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// count runs a query that returns one number.
func count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
