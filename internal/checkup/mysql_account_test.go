package checkup_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/logs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// closing listens at a port, accepts connections and closes them without a word, as a proxy does
// that has no server behind it.
func closingListener(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return ln.Addr().String()
}

// shutOut are ways in which an account is not let in: what the server's root says, with the account
// for %s, and what is to be said of it, beside the address and the account.
var shutOut = map[string]struct {
	say   []string
	words []string
}{
	"locked": {[]string{"ALTER USER %s ACCOUNT LOCK"},
		[]string{"locked", "ACCOUNT UNLOCK"}},
	"expired": {[]string{"ALTER USER %s PASSWORD EXPIRE"},
		[]string{"expired", "PASSWORD EXPIRE NEVER"}},
	"let in by the socket": {[]string{"ALTER USER %s IDENTIFIED VIA unix_socket"},
		[]string{"unix_socket", "IDENTIFIED BY"}},
	"of an old password": {[]string{"ALTER USER %s IDENTIFIED VIA mysql_old_password USING " +
		"'7c9c4a0e5a2e4f3d'"},
		[]string{"old or unknown kind", "mysql_native_password"}},
	"of another password": {[]string{"ALTER USER %s IDENTIFIED BY 'another'"}, []string{"denied"}},
}

// TestAccountsThatAreNotLetIn looks at what is said of each, before a start and while a proxy runs.
func TestAccountsThatAreNotLetIn(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	for name, way := range shutOut {
		t.Run(name, func(t *testing.T) {
			b := server.New(t)
			withTables(t, b)
			m := testdb.At(b)
			m.Name, m.MaxIdle = "teamtalk_master", 1
			var log logs.Log
			store := testdb.OpenMySQL(t, m,
				records.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			watching(t, store)
			for _, s := range way.say {
				exec(t, b.Admin, fmt.Sprintf(s, fmt.Sprintf("'%s'@'%%'", b.User)))
			}
			want(t, ofMaster(t, testdb.Patient(b)), "reachable", checkup.Wrong,
				append(way.words, m.Addr, b.User, "teamtalk_master_password")...)
			awaitLog(t, store, &log, append(way.words, "MySQL does not let us in", m.Addr,
				"teamtalk_master_password")...)
			exec(t, b.Admin, fmt.Sprintf("ALTER USER '%s'@'%%' IDENTIFIED BY '%s' ACCOUNT UNLOCK",
				b.User, b.Password))
			awaitLog(t, store, &log, "MySQL lets us in again", m.Addr)
		})
	}
}

// TestAnAnonymousUserGoesBeforeOurs: access is denied, though user and password are right.
func TestAnAnonymousUserGoesBeforeOurs(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t)
	b := server.New(t)
	exec(t, b.Admin, "CREATE USER ''@'localhost'")
	m := testdb.Patient(b)
	m.Addr = server.Socket()
	want(t, ofMaster(t, m), "reachable", checkup.Wrong, "Access denied", fmt.Sprintf(
		"an anonymous user ''@'localhost' goes before '%[1]s'@'%%': drop it, or make "+
			"'%[1]s'@'localhost'", b.User))
	exec(t, b.Admin, fmt.Sprintf("CREATE USER '%[1]s'@'localhost' IDENTIFIED BY '%[2]s'; "+
		"GRANT ALL ON %[3]s.* TO '%[1]s'@'localhost'", b.User, b.Password, b.Name))
	want(t, ofMaster(t, m), "reachable", checkup.Good, "as "+b.User)
}

// TestServersThatHaveNoConnectionLeft looks at what is said of them.
func TestServersThatHaveNoConnectionLeft(t *testing.T) {
	t.Parallel()
	b := servers.MariaDB(t).New(t)
	exec(t, b.Admin, fmt.Sprintf("ALTER USER '%s'@'%%' WITH MAX_USER_CONNECTIONS 1", b.User))
	db, err := sql.Open("mysql", b.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want(t, ofMaster(t, testdb.Patient(b)), "reachable", checkup.Wrong, "max_user_connections",
		"teamtalk_master_maxconncnt")

	m := testdb.Patient(b)
	m.Name, m.Addr = "teamtalk_master", closingListener(t)
	want(t, ofMaster(t, m), "reachable", checkup.Wrong, m.Addr, "closed the connection",
		"max_connections",
		"teamtalk_master_maxconncnt")
	var log logs.Log
	store := testdb.OpenMySQL(t, m,
		records.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	watching(t, store)
	awaitLog(t, store, &log, "MySQL is away", m.Addr, "closed before it was let in",
		"max_connections", "teamtalk_master_maxconncnt")
}

// watching has a store watch its master until the test ends.
func watching(t *testing.T, s *records.Store) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.DB().WatchMaster(ctx) })
	t.Cleanup(func() { end(); running.Wait() })
}

// awaitLog asks the store until the log has a line with all those words.
func awaitLog(t *testing.T, s *records.Store, log *logs.Log, words ...string) {
	t.Helper()
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(pause) {
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() { _, _ = s.UsersByID(t.Context(), []uint32{1}) })
			asking.Go(func() { _ = s.SetSignature(t.Context(), 1, "x", 1) })
		}
		asking.Wait()
		if len(log.Lines(words...)) > 0 {
			return
		}
	}
	t.Errorf("no line with all of %q in\n%s", words, log)
}
