package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/bench/yardstick"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestYardstick measures a MariaDB, which is left as it was.
func TestYardstick(t *testing.T) {
	db := servers.MariaDB(t).New(t)
	tables := func() int {
		return rig.Count(t, db.Admin, "SELECT count(*) FROM information_schema.tables "+
			"WHERE table_schema = DATABASE()")
	}
	open := func(user, password string) *sqldb.Pool {
		pool, err := sqldb.OpenMySQLPool(sqldb.MySQL{Addr: fmt.Sprintf("%s:%d", db.Host, db.Port),
			Database: db.Name, User: user, Password: password}, sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pool.Close() })
		return pool
	}
	y, err := yardstick.Measure(t.Context(), open(db.User, db.Password), 100*time.Millisecond)
	if err != nil || y.Rows <= 0 || y.Selects <= 0 || y.Pages <= 0 {
		t.Errorf("measured %+v: %v", y, err)
	}
	if n := tables(); n != 0 {
		t.Errorf("%d tables are left", n)
	}

	// One who may not drop the table does not make it.
	execute(t, db, "CREATE USER 'meek"+db.Name+"'@'%' IDENTIFIED BY 'x'",
		"GRANT SELECT, INSERT, CREATE ON `"+db.Name+"`.* TO 'meek"+db.Name+"'@'%'")
	t.Cleanup(func() { execute(t, db, "DROP USER 'meek"+db.Name+"'@'%'") })
	meek := open("meek"+db.Name, "x")
	_, err = yardstick.Measure(t.Context(), meek, time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "want SELECT, INSERT, CREATE and DROP") ||
		strings.Contains(err.Error(), "to migrate") || tables() != 0 {
		t.Errorf("without the right to drop: %v, %d tables", err, tables())
	}

	// One that is left and empty is removed, one with rows is not.
	execute(t, db, "CREATE TABLE "+yardstick.Table+" (id INT)")
	_, err = yardstick.Measure(t.Context(), open(db.User, db.Password), 100*time.Millisecond)
	if err != nil || tables() != 0 {
		t.Errorf("with an empty table that is there: %v, %d tables", err, tables())
	}
	execute(t, db, "CREATE TABLE "+yardstick.Table+" AS SELECT 1 AS id")
	_, err = yardstick.Measure(t.Context(), open(db.User, db.Password), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "nobody removed it: drop it") || tables() != 1 {
		t.Errorf("with a table that has rows: %v", err)
	}
}

func execute(t *testing.T, db *servers.Database, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Admin.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}
