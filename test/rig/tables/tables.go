// Package tables makes MariaDB databases with the proxy's tables, for tests.
package tables

import (
	"errors"
	"net"
	"strconv"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/records"
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
	return server.Filled(t, "tables", func(db *servers.Database) {
		store, err := records.OpenMySQL(At(db), nil, records.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Migrate(t.Context())
		if err := errors.Join(err, store.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

// At is how records reach a database.
func At(db *servers.Database) records.MySQL {
	addr := net.JoinHostPort(db.Host, strconv.Itoa(db.Port))
	return records.MySQL{Addr: addr, Database: db.Name, User: db.User, Password: db.Password}
}
