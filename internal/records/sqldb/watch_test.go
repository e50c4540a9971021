package sqldb_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/test/rig/logs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// open opens a database, which is closed when the test ends.
func open(t *testing.T, at sqldb.MySQL, log *slog.Logger) *sqldb.DB {
	t.Helper()
	db, err := sqldb.OpenMySQL(at, tables.Options(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// watched is a database that a test breaks.
type watched struct {
	*testing.T
	*sqldb.DB
	log logs.Log
	at  string
}

// entry is a line of the log about the master as such.
type entry struct {
	Level, Msg, Addr, Err string
	After                 time.Duration
}

// entries are those so far.
func (w *watched) entries() (list []entry) {
	for line := range strings.Lines(w.log.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.Fatal(err)
		}
		if strings.HasPrefix(e.Msg, "MySQL ") {
			list = append(list, e)
		}
	}
	return list
}

// busy is work that wants several connections; it may fail.
func (w *watched) busy() {
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_ = w.Change(ctx, func(tx sqldb.Tx) error {
				_, err := sqldb.Exec(ctx, tx, "UPDATE IMUser SET sign_info='busy' WHERE id=1")
				return err
			})
		})
	}
	all.Wait()
}

// awaits works until there is a certain line, and returns it.
func (w *watched) awaits(what string, holds func(entry) bool) entry {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		w.busy()
		list := w.entries()
		if i := slices.IndexFunc(list, holds); i >= 0 {
			return list[i]
		}
		if time.Now().After(deadline) {
			w.Fatalf("no line %q: %+v", what, list)
		}
	}
}

// breaks has the master fail, and awaits that the log says so in certain words, and what to do;
// then it mends it, and awaits that the log says this, too.
func (w *watched) breaks(begins, mend string, fault func(), ends string, repair func()) {
	w.Helper()
	w.log.Take()
	fault()
	e := w.awaits(begins, func(e entry) bool { return strings.HasPrefix(e.Msg, begins) })
	if e.Level != "WARN" || e.Addr != w.at || !strings.Contains(e.Err, mend) {
		w.Errorf("it says %+v", e)
	}
	if err := w.DB.Reachable(w.Context()); chat.KindOf(err) == chat.Unavailable &&
		!strings.Contains(err.Error(), "MySQL ") {
		w.Errorf("meanwhile: %v", err)
	}
	if said := w.DB.MasterTrouble(); !strings.Contains(said, w.at) {
		w.Errorf("the trouble is %q", said)
	}
	repair()
	// The log says so within two seconds; the test fails at five times that.
	for deadline := time.Now().Add(10 * time.Second); w.MasterTrouble() != ""; {
		time.Sleep(10 * time.Millisecond)
		if time.Now().After(deadline) {
			w.Fatalf("%s is not over: %s", begins, w.DB.MasterTrouble())
		}
	}
	list := w.entries()
	last := list[len(list)-1]
	// On a machine that has much else to do it may have been found away in between.
	if last.Level != "INFO" || last.Msg != ends && last.Msg != "MySQL is back" ||
		last.Addr != w.at || last.After <= 0 {
		w.Errorf("at the end it says %+v", last)
	}
	if len(list) > 8 {
		w.Errorf("it says too much: %+v", list)
	}
}

// TestWatchMaster breaks a master in every way, and reads the log.
func TestWatchMaster(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t)
	db := testdb.On(t, server)
	at := testdb.At(db)
	at.MaxIdle, at.ReadTimeout = 1, time.Second
	w := &watched{T: t, at: at.Addr}
	w.DB = open(t, at, slog.New(slog.NewJSONHandler(&w.log, nil)))
	var watching sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	watching.Go(func() { _ = w.DB.WatchMaster(ctx) })
	defer watching.Wait()
	defer end()
	admin := func(query string) func() {
		return func() {
			if _, err := db.Admin.ExecContext(t.Context(), query); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.busy()
	if said := w.DB.MasterTrouble(); said != "" || len(w.entries()) > 0 {
		t.Errorf("in good times: %q, %+v", said, w.entries())
	}

	w.breaks("MySQL takes no writes", "it must be the master", admin("SET GLOBAL read_only=1"),
		"MySQL takes writes again", admin("SET GLOBAL read_only=0"))

	others, err := sql.Open("mysql", db.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	var taken []*sql.Conn
	w.breaks("MySQL gives no more connections", "raise max_connections", func() {
		admin("SET GLOBAL max_connections=10")()
		for range 20 {
			if conn, err := others.Conn(t.Context()); err == nil { // until there are no more
				taken = append(taken, conn)
			}
		}
	}, "MySQL gives connections again", admin("SET GLOBAL max_connections=1000"))
	for _, conn := range taken {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}

	w.breaks("MySQL is away", "see whether it hangs", func() { server.Freeze(t) }, "MySQL is back",
		func() { server.Thaw(t) })
	w.breaks("MySQL is away", "start the server", func() { server.Kill(t) }, "MySQL is back",
		func() { server.Restart(t) })
}
