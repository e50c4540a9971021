//go:build !race

package faults

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// adminOf changes a server's settings as its operator does.
func adminOf(t *testing.T, db *sql.DB) func(query string) {
	return func(query string) {
		t.Helper()
		if _, err := db.ExecContext(rig.Within(t), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

// awaitRefusal waits until the proxy's log says why something failed, and that a message was
// refused.
func awaitRefusal(ctx context.Context, t *testing.T, w *rig.Setup, why string) {
	t.Helper()
	for what, match := range map[string]func(harness.Line) bool{
		why: func(l harness.Line) bool { return strings.Contains(l.Raw, why) },
		"a refused message": func(l harness.Line) bool {
			return l.Message == "failed" && l.Text("message") == "IMMsgData"
		},
	} {
		if _, err := w.Proxy(0).Log.Await(ctx, match); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestMySQLReadOnly has the master refuse writes, and another one take its place under the same
// name. The old one goes on running, and connections to it stay.
func TestMySQLReadOnly(t *testing.T) {
	t.Parallel()
	master := servers.StartMariaDB(t, "--server-id=1", "--log-bin=binlog")
	w, between := throughMySQL(t, master, withRedis)
	replica := servers.Replica(t, master, 0)
	l := through(t, w, "MySQL read-only, then failed over", func(ctx context.Context) {
		adminOf(t, w.DB)("SET GLOBAL read_only=1")
		awaitRefusal(ctx, t, w, "it must be the master")
		rig.Pause(ctx, rig.Seconds(2, 10))
		replica.CatchUp(t, master)
		promoted := w.Fleet.DB.On(t, replica).Admin
		adminOf(t, promoted)("STOP SLAVE; SET GLOBAL read_only=0")
		w.DB = promoted
		between.SetTarget(replica.Addr())
	})
	if n := l.Meanwhile(true); n.Refused == 0 || n.Silent+n.Lost > 0 {
		t.Errorf("meanwhile %+v", n)
	}
}

// TestMySQLTableMissing takes a table away, and brings it back.
func TestMySQLTableMissing(t *testing.T) {
	t.Parallel()
	w, _ := throughMySQL(t, servers.MariaDB(t), withRedis)
	exec := adminOf(t, w.DB)
	through(t, w, "MySQL table missing", func(ctx context.Context) {
		exec("RENAME TABLE IMMessage_1 TO Elsewhere")
		rig.Pause(ctx, rig.Seconds(2, 10))
		exec("RENAME TABLE Elsewhere TO IMMessage_1")
	})
}

// TestMySQLFull fills the space that all tables share, until the server is started anew with more
// of it.
func TestMySQLFull(t *testing.T) {
	t.Parallel()
	space := func(most string) string {
		return "--innodb-data-file-path=ibdata1:12M:autoextend:max:" + most
	}
	server := servers.StartMariaDB(t, "--innodb-file-per-table=0", space("32M"))
	w, _ := throughMySQL(t, server, withRedis)
	// VARCHAR, since BLOBs end MariaDB 10.11 at times.
	adminOf(t, w.DB)("CREATE TABLE Filler (b VARCHAR(7000)) ENGINE=InnoDB CHARSET=latin1")
	l := through(t, w, "MySQL's disk full", func(ctx context.Context) {
		for rows := 64; rows > 0; {
			_, err := w.DB.ExecContext(ctx, "INSERT INTO Filler VALUES "+
				strings.Repeat("(REPEAT('x',7000)),", rows-1)+"(REPEAT('x',7000))")
			switch {
			case err == nil:
			case strings.Contains(err.Error(), "1114"):
				rows /= 2
			default:
				t.Fatal(err)
			}
		}
		awaitRefusal(ctx, t, w, "the server's disk is full")
		rig.Await(t, "the metric of what is not stored", func() bool {
			return rig.Metric(t, w.Proxy(0), `dbproxy_degraded{part="storing"}`) == 1
		})
		rig.Pause(ctx, rig.Seconds(2, 10))
		server.RestartWith(t, space("128M"))
	})
	if l.Meanwhile(true).Refused == 0 {
		t.Error("nothing was refused")
	}
}

// TestMySQLConnections has others take all connections that the server gives.
func TestMySQLConnections(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t)
	w, between := throughMySQL(t, server, withRedis)
	exec := adminOf(t, w.DB)
	through(t, w, "MySQL's max_connections reached", func(ctx context.Context) {
		others, err := sql.Open("mysql", w.Fleet.DB.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		defer others.Close()
		exec("SET GLOBAL max_connections=20")
		between.Cut() // what the proxies have is gone
		taken := 0
		for end := time.Now().Add(rig.Seconds(2, 10)); time.Now().Before(end) && ctx.Err() == nil; {
			if _, err := others.Conn(ctx); err != nil {
				rig.Pause(ctx, 10*time.Millisecond)
				continue
			}
			taken++
		}
		t.Logf("others had %d connections", taken)
		exec("SET GLOBAL max_connections=1000")
	})
}

// TestMySQLLocks has another session hold rows of talks and of groups for longer than anybody
// waits, and get into circles with the proxies.
func TestMySQLLocks(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"held talks":  "SELECT * FROM IMProxyTalk FOR UPDATE",
		"held groups": "SELECT * FROM IMGroup FOR UPDATE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := throughMySQL(t, servers.MariaDB(t), withRedis)
			w.Fleet.Expected = []string{rig.Deadlock}
			through(t, w, "MySQL: "+name+" by another session", func(ctx context.Context) {
				hold(ctx, t, w, rig.Seconds(4, 10), query)
			})
		})
	}
	t.Run("deadlocks", func(t *testing.T) {
		t.Parallel()
		w, _ := throughMySQL(t, servers.MariaDB(t), withRedis)
		w.Fleet.Expected = []string{rig.Deadlock}
		through(t, w, "MySQL deadlocks with another session", func(ctx context.Context) {
			others := 0
			ours := func() int { return strings.Count(w.Proxy(0).Log.String(), rig.Deadlock) }
			for end := time.Now().Add(rig.Seconds(3, 20)); ctx.Err() == nil &&
				(others+ours() == 0 || time.Now().Before(end)); {
				if !circle(ctx, t, w) {
					others++
				}
			}
			if t.Logf("the other session was undone %d times, the proxy %d times", others,
				ours()); others+ours() == 0 {
				t.Error("there was no deadlock")
			}
		})
	})
}

// hold locks rows for a while.
func hold(ctx context.Context, t *testing.T, w *rig.Setup, d time.Duration, query string) {
	t.Helper()
	tx, err := w.DB.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, query); err != nil {
		t.Fatal(err)
	}
	rig.Pause(ctx, d)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// circle locks talks in the order in which nobody else does, the last one a moment before the
// others, so that somebody waits for it; false: there was a deadlock, and this side was undone.
func circle(ctx context.Context, t *testing.T, w *rig.Setup) bool {
	t.Helper()
	tx, err := w.DB.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // undone already, maybe
	for i := len(load.Pairs) - 1; i >= 0; i-- {
		// Who has changed more is not undone.
		_, err := tx.ExecContext(ctx, "UPDATE IMProxyTalk SET rev=rev WHERE kind=1 AND a=? AND b=?",
			load.Pairs[i].Low, load.Pairs[i].High)
		if err != nil {
			return !strings.Contains(err.Error(), rig.Deadlock)
		}
		if i == len(load.Pairs)-1 {
			rig.Pause(ctx, 10*time.Millisecond)
		}
	}
	return true
}

// TestReplicaGone kills the replica under load, and starts it again.
func TestReplicaGone(t *testing.T) {
	t.Parallel()
	w, replica, _ := withReplica(t)
	through(t, w, "replica gone", func(ctx context.Context) {
		replica.Kill(t)
		rig.Pause(ctx, rig.Seconds(3, 15))
		replica.Restart(t)
	})
}

// TestReplicaBehind has the replica stop applying: what this proxy has written is never read from
// there.
func TestReplicaBehind(t *testing.T) {
	t.Parallel()
	w, _, behind := withReplica(t)
	through(t, w, fmt.Sprintf("replica %v behind", rig.Seconds(4, 30)), func(ctx context.Context) {
		adminOf(t, behind)("STOP SLAVE SQL_THREAD")
		rig.Pause(ctx, rig.Seconds(4, 30))
		adminOf(t, behind)("START SLAVE SQL_THREAD")
	})
}

// withReplica makes a setup with a replica, which is in use.
func withReplica(t *testing.T) (w *rig.Setup, replica *servers.DatabaseServer, db *sql.DB) {
	t.Helper()
	master := servers.StartMariaDB(t, "--server-id=1", "--log-bin=binlog")
	f, _ := rig.NewRedisFleetOn(t, master)
	observed(f)
	replica = servers.Replica(t, master, 0)
	f.Conf.Replica = rig.MySQLOf(f.DB.On(t, replica))
	w = rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 1)
	w.Start(t)
	used := func(l harness.Line) bool { return l.Message == "the replica is used" }
	if _, err := w.Proxy(0).Log.Await(rig.Within(t), used); err != nil {
		t.Fatal(err)
	}
	return w, replica, w.Fleet.DB.On(t, replica).Admin
}
