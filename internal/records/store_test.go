package records_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/tryout/tail"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

var discard = slog.New(slog.DiscardHandler)

// engine is a kind of database. What holds for a store is tested on every engine.
type engine struct {
	name string
	make func(tb testing.TB) fixture
	// refuse is a statement that makes the database refuse rows with a content in a message table.
	refuse func(table, content string) string
}

// fixture is a database of a test's own, with its tables.
type fixture struct {
	testing.TB
	engine engine
	raw    *sql.DB // of the test's own
	at     func(opt records.Options) (*records.Store, error)
	pool   func() (*sqldb.Pool, error)
}

var engines = []engine{{
	name: "embedded",
	make: func(tb testing.TB) fixture {
		path := filepath.Join(tb.TempDir(), "dbproxy.db")
		openAt(tb, path)
		at := func(opt records.Options) (*records.Store, error) {
			return records.OpenSQLite(path, opt)
		}
		pool := func() (*sqldb.Pool, error) {
			return sqldb.OpenSQLitePool(path,
				tables.Options(nil))
		}
		return fixture{TB: tb, raw: openRaw(tb, path), at: at, pool: pool}
	},
	refuse: func(table, content string) string {
		return fmt.Sprintf("CREATE TRIGGER refuse BEFORE INSERT ON %s WHEN NEW.content='%s' "+
			"BEGIN SELECT RAISE(ABORT, 'refused by the test'); END", table, content)
	},
}, {
	name: "mysql",
	make: func(tb testing.TB) fixture {
		db := testdb.New(tb)
		at := func(opt records.Options) (*records.Store, error) {
			return records.OpenMySQL(testdb.At(db), nil, opt)
		}
		pool := func() (*sqldb.Pool, error) { return tail.Open(tb.Context(), testdb.At(db)) }
		return fixture{TB: tb, raw: db.Admin, at: at, pool: pool}
	},
	refuse: func(table, content string) string {
		return fmt.Sprintf("CREATE TRIGGER refuse BEFORE INSERT ON %s FOR EACH ROW"+
			" IF NEW.content='%s' THEN SIGNAL SQLSTATE '45000'"+
			" SET MESSAGE_TEXT='refused by the test'; END IF", table, content)
	},
}}

// rule tests something on every engine.
func rule(t *testing.T, test func(t *testing.T, p fixture)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, e.fixture(t)) })
	}
}

func (e engine) fixture(tb testing.TB) fixture {
	p := e.make(tb)
	p.engine = e
	return p
}

// open opens a store there; it is closed when the test ends.
func (p fixture) open(opt records.Options) *records.Store {
	p.Helper()
	if opt.Log == nil {
		opt.Log = discard
	}
	store, err := p.at(opt)
	return closing(p, store, err)
}

// listening opens a store whose statements are noted.
func (p fixture) listening(heard *statements) *records.Store {
	p.Helper()
	store, err := p.at(records.Options{Log: discard, Note: heard.note})
	return closing(p, store, err)
}

// store opens a store with no particular options.
func (p fixture) store() *records.Store {
	p.Helper()
	return p.open(records.Options{})
}

func (p fixture) exec(query string) {
	p.Helper()
	exec(p, p.raw, query)
}

// closing closes a store that was just opened when the test ends.
func closing(tb testing.TB, store *records.Store, err error) *records.Store {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return store
}

// openAt opens a store with its tables in a file.
func openAt(tb testing.TB, path string) *records.Store {
	tb.Helper()
	store, err := records.OpenSQLite(path, records.Options{Log: discard})
	closing(tb, store, err)
	if _, err := tables.Migrate(tb.Context(), store.DB()); err != nil {
		tb.Fatal(err)
	}
	return store
}

// openRaw opens a plain connection to a store's file.
func openRaw(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	raw, err := sql.Open("sqlite",
		"file:"+path+"?_pragma=busy_timeout(10000)&_pragma=synchronous(off)")
	if err != nil {
		tb.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	tb.Cleanup(func() {
		if err := raw.Close(); err != nil {
			tb.Error(err)
		}
	})
	return raw
}
