package servers_test

import (
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestGalera has two nodes take writes, exclude each other, and come back with what they lack.
func TestGalera(t *testing.T) {
	t.Parallel()
	g := servers.StartGalera(t)
	one := g.Nodes[0].New(t)
	other := one.On(t, g.Nodes[1])
	run(t, one.Admin, "CREATE TABLE a (b int PRIMARY KEY, c int)")
	run(t, asUser(t, other), "INSERT INTO a VALUES (1, 0)")
	if got := query(t, one.Admin, "SELECT c FROM a"); got != "0" {
		t.Errorf("the first node has %s", got)
	}
	excluded(t, one, other)

	g.Nodes[0].Kill(t)
	run(t, other.Admin, "INSERT INTO a VALUES (2, 2)") // waits until the other is declared gone
	g.Nodes[0].Restart(t)
	if got := query(t, one.Admin, "SELECT count(*) FROM a"); got != "2" {
		t.Errorf("the restarted node has %s rows", got)
	}

	g.Nodes[1].Freeze(t)
	g.AwaitSize(t, 0, 2)
	run(t, one.Admin, "INSERT INTO a VALUES (3, 3)")
	g.Nodes[1].Thaw(t)
	g.AwaitSize(t, 1, 3)
	if got := query(t, other.Admin, "SELECT count(*) FROM a"); got != "3" {
		t.Errorf("the thawed node has %s rows", got)
	}

	g.Nodes[1].Kill(t)
	g.Arbitrator.Kill(t)
	var refused *mysql.MySQLError
	if _, err := one.Admin.Exec("INSERT INTO a VALUES (4, 4)"); !errors.As(err, &refused) {
		t.Errorf("without a majority a node takes writes: %v", err)
	}
}

// TestANodeThatTakesNoPartIsRestarted has a node say that it is synced, and answer nobody.
func TestANodeThatTakesNoPartIsRestarted(t *testing.T) {
	t.Parallel()
	g := servers.StartGalera(t)
	before := g.Nodes[1].Pid()
	run(t, g.Nodes[1].Admin(t), "SET GLOBAL wsrep_reject_queries = ALL")
	g.AwaitSize(t, 1, 3)
	if g.Nodes[1].Pid() == before {
		t.Error("it was not restarted")
	}
	run(t, g.Nodes[1].Admin(t), "CREATE DATABASE taken")
}

// excluded has both nodes write the same row: of two transactions that are at work at once only one
// is committed.
func excluded(t *testing.T, one, other *servers.Database) {
	t.Helper()
	tx, err := asUser(t, one).Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE a SET c = 1 WHERE b = 1"); err != nil {
		t.Fatal(err)
	}
	run(t, asUser(t, other), "UPDATE a SET c = 2 WHERE b = 1")
	var deadlock *mysql.MySQLError
	if err := tx.Commit(); !errors.As(err, &deadlock) || deadlock.Number != 1213 {
		t.Errorf("two nodes committed the same row: %v", err)
	}
	if got := query(t, one.Admin, "SELECT c FROM a WHERE b = 1"); got != "2" {
		t.Errorf("the row has %s", got)
	}
}
