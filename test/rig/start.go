package rig

import (
	"cmp"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// Secret is in texts, passwords and tokens that tests send: no log may have it.
const Secret = "Qx7-secret-9zK"

// NewStore makes a directory with an empty store and the people of seed.sql.
func NewStore(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(data, os.DirFS(seeded)); err != nil {
		t.Fatal(err)
	}
	return data
}

// Start starts the binary on the directory data. When the test ends it is stopped, if it still
// runs, and must exit with code 0; when the test failed its log is shown.
func Start(t *testing.T, data string, args ...string) *harness.Proxy {
	t.Helper()
	return StartWith(t, harness.Options{Data: data, Args: args})
}

// StartWith is Start with more to say; the binary is filled in. Its log may have what is expected,
// if otherwise none may.
func StartWith(t *testing.T, o harness.Options, expected ...string) *harness.Proxy {
	t.Helper()
	p := Launch(t, o, expected...)
	if err := p.AwaitListening(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// Launch is StartWith for a binary that need not listen yet.
func Launch(t *testing.T, o harness.Options, expected ...string) *harness.Proxy {
	t.Helper()
	NoteSources()
	o.Binary = cmp.Or(o.Binary, Binary)
	p, err := harness.Launch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-p.Exited(): // the test itself has seen to that
		default:
			ctx, cancel := context.WithTimeout(context.Background(), Patience)
			defer cancel()
			if err := p.Stop(ctx); err != nil {
				t.Error(err)
			}
		}
		checkLog(t, p, expected...)
	})
	return p
}

// Deadlock is what MySQL says of transactions that wait for each other in a circle.
const Deadlock = "Deadlock found"

// checkLog finds what no log may have, but for what is expected, and shows the log of a failed
// test.
func checkLog(t *testing.T, p *harness.Proxy, expected ...string) {
	t.Helper()
	text := p.Log.String()
	for _, never := range []string{"DATA RACE", "handler panicked", "goroutine 1 [", "panic: ",
		"fatal error: ", "finished a request twice", Deadlock, Secret} {
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

// Dial connects to the proxy; the connection is closed when the test ends.
func Dial(t *testing.T, p *harness.Proxy) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// OpenStore opens the proxy's store for reading.
func OpenStore(t *testing.T, data string) *sql.DB {
	t.Helper()
	db, err := harness.OpenStore(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Count runs a query that returns one number.
func Count(t *testing.T, db *sql.DB, query string, args ...any) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
