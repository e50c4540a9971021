package servers_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

func run(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// asUser opens a database as its user.
func asUser(t *testing.T, b *servers.Database) *sql.DB {
	t.Helper()
	c, err := mysql.ParseDSN(b.DSN("timeout=30s"))
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = &mysql.NopLogger{} // killed connections are meant
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func query(t *testing.T, db *sql.DB, query string) (value string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestSharedDatabases(t *testing.T) {
	t.Parallel()
	server := servers.MariaDB(t)
	if servers.MariaDB(t) != server {
		t.Error("the second call started another server")
	}
	one, two := server.New(t), server.New(t)
	db := asUser(t, one)
	run(t, db, "CREATE TABLE a (b varchar(9)) DEFAULT CHARSET utf8mb4")
	run(t, db, "INSERT INTO a VALUES ('😀')")
	if got := query(t, one.Admin, "SELECT b FROM a"); got != "😀" {
		t.Errorf("the table has %q", got)
	}
	if _, err := asUser(t, two).Exec("SELECT * FROM `" + one.Name + "`.a"); err == nil {
		t.Error("a user may read another's database")
	}
}

func TestFilled(t *testing.T) {
	t.Parallel()
	server, key, calls := servers.MariaDB(t), rand.Text(), 0
	fill := func(b *servers.Database) {
		calls++
		run(t, b.Admin,
			"CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY); INSERT INTO a VALUES (7);"+
				"CREATE TABLE b (c int)")
	}
	one, two := server.Filled(t, key, fill), server.Filled(t, key, fill)
	run(t, asUser(t, one), "INSERT INTO a VALUES ()")
	if got := query(t, one.Admin, "SELECT group_concat(id ORDER BY id) FROM a"); got != "7,8" {
		t.Errorf("the first has %s", got)
	}
	if got := query(t, two.Admin, "SELECT group_concat(id) FROM a"); got != "7" || calls != 1 {
		t.Errorf("the second has %s; filled %d times", got, calls)
	}
}

func TestKillAndFreezeMariaDB(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t, "--innodb-flush-log-at-trx-commit=1")
	b := server.New(t)
	db := asUser(t, b)
	run(t, db, "CREATE TABLE a (b int)")
	run(t, db, "INSERT INTO a VALUES (1)")
	pid := server.Pid()
	server.Kill(t)
	if err := db.Ping(); err == nil {
		t.Error("a killed server answers")
	}
	server.Restart(t)
	if server.Pid() == pid || query(t, db, "SELECT b FROM a") != "1" {
		t.Error("the restarted server is the old one or has lost a row")
	}
	server.Freeze(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := db.QueryRowContext(ctx, "SELECT 1").Scan(new(int)); err == nil {
		t.Error("a frozen server answers")
	}
	server.Thaw(t)
	if got := query(t, db, "SELECT @@innodb_flush_log_at_trx_commit"); got != "1" {
		t.Errorf("the argument was not heeded: %s", got)
	}
	server.Stop(t)
	if running(server.Pid()) {
		t.Error("a stopped server runs")
	}
	server.Restart(t)
	server.Freeze(t) // must be no hindrance to its end
}

func TestReplica(t *testing.T) {
	t.Parallel()
	master := servers.StartMariaDB(t, "--server-id=1", "--log-bin=binlog")
	before := master.New(t)
	run(t, before.Admin, "CREATE TABLE a (b int)")
	replica := servers.Replica(t, master, 2)
	db := asUser(t, before.On(t, replica))
	if got := query(t, db, "SELECT count(*) FROM a"); got != "0" {
		t.Errorf("the replica has %s rows", got)
	}
	if _, err := db.Exec("INSERT INTO a VALUES (1)"); err == nil {
		t.Error("the replica lets its users write")
	}
	run(t, asUser(t, before), "INSERT INTO a VALUES (1)")
	replica.CatchUp(t, master)
	if got := query(t, db, "SELECT count(*) FROM a"); got != "1" {
		t.Errorf("after it caught up, the replica has %s rows", got)
	}
	var delay string
	rows, err := replica.Admin(t).Query("SHOW SLAVE STATUS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil || !rows.Next() {
		t.Fatal("no status of the replica:", err, rows.Err())
	}
	into := make([]any, len(names))
	for i, name := range names {
		into[i] = new(sql.RawBytes)
		if name == "SQL_Delay" {
			into[i] = &delay
		}
	}
	if err := rows.Scan(into...); err != nil || delay != "2" {
		t.Errorf("the delay is %q (%v)", delay, err)
	}
}
