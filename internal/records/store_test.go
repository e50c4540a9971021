package records_test

import (
	"database/sql"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

var discard = slog.New(slog.DiscardHandler)

// openAt opens a store with its tables in a file.
func openAt(t *testing.T, path string) *records.Store {
	t.Helper()
	store, err := records.OpenSQLite(path, records.Options{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// openRaw opens a plain connection to a store's file.
func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := raw.Close(); err != nil {
			t.Error(err)
		}
	})
	return raw
}
