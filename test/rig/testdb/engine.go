package testdb

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// Engine is a kind of store. Rules are tested on each of them.
type Engine struct {
	Name string
	// Open opens the store that belongs to a directory, and connects beside it; a second time it
	// opens what the first left there. Both are closed when the test ends.
	Open func(t testing.TB, dir string, opt records.Options) (*records.Store, Raw)
}

// The engines.
var (
	Embedded = Engine{"embedded", openEmbedded}
	MySQL    = Engine{"mysql", openMySQL}
	Engines  = []Engine{Embedded, MySQL}
)

func openEmbedded(t testing.TB, dir string, opt records.Options) (*records.Store, Raw) {
	t.Helper()
	path := filepath.Join(dir, "dbproxy.db")
	store := OpenSQLite(t, path, opt)
	return store, RawSQLite(t, path)
}

func openMySQL(t testing.TB, dir string, opt records.Options) (*records.Store, Raw) {
	t.Helper()
	db := databaseOf(t, dir)
	return OpenMySQL(t, At(db), opt), RawMySQL(t, db)
}

var databases sync.Map // by directory, each a *servers.Database

// databaseOf is the database that belongs to a directory; the first call makes it, with its tables.
func databaseOf(t testing.TB, dir string) *servers.Database {
	t.Helper()
	if db, ok := databases.Load(dir); ok {
		return db.(*servers.Database)
	}
	db := New(t)
	databases.Store(dir, db)
	t.Cleanup(func() { databases.Delete(dir) })
	return db
}
