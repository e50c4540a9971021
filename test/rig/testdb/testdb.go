// Package testdb makes MariaDB databases with the proxy's tables, for tests.
package testdb

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// New makes a database with empty tables on the server that the tests of this process share.
func New(t testing.TB) *servers.Database {
	t.Helper()
	return On(t, servers.MariaDB(t))
}

// On is New on a server of the test's own.
func On(t testing.TB, server *servers.DatabaseServer) *servers.Database {
	t.Helper()
	return server.Filled(t, "tables", func(db *servers.Database) { MakeTables(t, db) })
}

// MakeTables makes the tables in a database.
func MakeTables(t testing.TB, db *servers.Database) {
	t.Helper()
	store, err := records.OpenMySQL(At(db), nil, records.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tables.Migrate(t.Context(), store.DB())
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
}

// At is how records reach a database.
func At(db *servers.Database) sqldb.MySQL {
	addr := net.JoinHostPort(db.Host, strconv.Itoa(db.Port))
	return sqldb.MySQL{Addr: addr, Database: db.Name, User: db.User, Password: db.Password}
}

// Patient is At with more time than a busy machine needs.
func Patient(db *servers.Database) sqldb.MySQL {
	m := At(db)
	m.ConnectTimeout, m.StatementTimeout, m.MaxIdleTime = time.Minute, time.Minute, 5*time.Minute
	return m
}
