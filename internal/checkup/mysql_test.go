package checkup_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// withTables makes the tables in a database.
func withTables(t *testing.T, b *servers.Database) {
	t.Helper()
	store, err := records.OpenMySQL(testdb.Patient(b), nil, records.Options{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	_, err = tables.Migrate(t.Context(), store.DB())
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
}

// durable is a server as it should be.
func durable(t *testing.T, args ...string) *servers.DatabaseServer {
	t.Helper()
	return servers.StartMariaDB(t, append([]string{"--server-id=1", "--log-bin=binlog",
		"--binlog-format=ROW",
		"--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"}, args...)...)
}

func ofMaster(t *testing.T, m sqldb.MySQL) []checkup.Finding {
	t.Helper()
	return checkup.CheckMaster(t.Context(), m, checkup.CheckOptions{Name: "teamtalk_master"})
}

// want fails the test unless what was found of an item has that grade and says those words, in its
// text or in what is to be done.
func want(
	t *testing.T, findings []checkup.Finding, item string, grade checkup.Grade, words ...string,
) {
	t.Helper()
	for _, f := range findings {
		if f.Item != item || f.Grade != grade {
			continue
		}
		for _, w := range words {
			if !strings.Contains(f.Text+"\n"+f.Mend, w) {
				t.Errorf("%s: nothing of %q in %q, %q", item, w, f.Text, f.Mend)
			}
		}
		if (f.Mend == "") != (grade == checkup.Good) {
			t.Errorf("%s is %v, and to be mended by %q", item, grade, f.Mend)
		}
		return
	}
	t.Errorf("%s is not %v among %+v", item, grade, findings)
}

func wantAllGood(t *testing.T, findings []checkup.Finding) {
	t.Helper()
	for _, f := range findings {
		if f.Grade != checkup.Good {
			t.Errorf("%s: %v: %s (%s)", f.Item, f.Grade, f.Text, f.Mend)
		}
	}
	if len(findings) < 10 {
		t.Errorf("only %d findings", len(findings))
	}
}

func TestCheckOfAMasterFindsEachSetting(t *testing.T) {
	t.Parallel()
	server := durable(t)
	b := server.New(t)
	withTables(t, b)
	wantAllGood(t, ofMaster(t, testdb.Patient(b)))
	for _, c := range []struct {
		set, back string
		item      string
		grade     checkup.Grade
		words     []string
	}{
		{"innodb_flush_log_at_trx_commit=2", "=1", "durability", checkup.Doubtful,
			[]string{"is 2", "= 1"}},
		{"innodb_flush_log_at_trx_commit=0", "=1", "durability", checkup.Doubtful,
			[]string{"is 0", "= 1"}},
		{"sync_binlog=0", "=1", "sync_binlog", checkup.Doubtful,
			[]string{"SET GLOBAL sync_binlog = 1"}},
		{"binlog_format='STATEMENT'", "='ROW'", "binlog_format", checkup.Wrong,
			[]string{"READ COMMITTED", "ROW"}},
		{"max_allowed_packet=1048576", "=16777216", "max_allowed_packet", checkup.Doubtful,
			[]string{"1048576", "4194304"}},
		{"max_allowed_packet=524288", "=16777216", "max_allowed_packet", checkup.Wrong,
			[]string{"524288", "4194304"}},
		{"read_only=1", "=0", "read_only", checkup.Wrong, []string{"teamtalk_master_host"}},
		{"max_connections=10", "=1000", "connections", checkup.Doubtful,
			[]string{"10", "16", "teamtalk_master_maxconncnt"}},
		{"max_prepared_stmt_count=100", "=16382", "statements", checkup.Doubtful,
			[]string{"100", fmt.Sprint(testdb.Patient(b).Prepared()),
				"teamtalk_master_maxconncnt"}},
		{"init_connect='SET NAMES gbk'", "=''", "init_connect", checkup.Good,
			[]string{"SET NAMES gbk", "anew"}},
		{"wait_timeout=60", "=28800", "wait_timeout", checkup.Doubtful, []string{"1m0s", "5m0s",
			"teamtalk_master_conn_idle_time"}},
	} {
		exec(t, b.Admin, "SET GLOBAL "+c.set)
		found := ofMaster(t, testdb.Patient(b))
		want(t, found, c.item, c.grade, c.words...)
		for _, f := range found {
			if f.Item != c.item && f.Grade == checkup.Wrong {
				t.Errorf("with %s also: %+v", c.set, f)
			}
		}
		name, _, _ := strings.Cut(c.set, "=")
		exec(t, b.Admin, "SET GLOBAL "+name+c.back)
	}
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	want(t, checkup.CheckMaster(t.Context(), testdb.Patient(b), checkup.CheckOptions{Now: ahead}),
		"clock", checkup.Doubtful, "behind ours", "NTP")
	endless := testdb.Patient(b)
	endless.MaxIdleTime = 0
	want(t, checkup.CheckMaster(t.Context(), endless, checkup.CheckOptions{Name: "x"}),
		"wait_timeout", checkup.Doubtful, "x_conn_idle_time")
	wantAllGood(t, ofMaster(t, testdb.Patient(b)))
}

func TestCheckFindsWhatTablesLack(t *testing.T) {
	t.Parallel()
	b := servers.MariaDB(t).New(t)
	want(t, ofMaster(t, testdb.Patient(b)), "tables", checkup.Wrong, "none", b.Name, "migrate")
	withTables(t, b)
	for _, item := range []string{"tables", "own tables", "engine", "characters", "collation",
		"rights"} {
		want(t, ofMaster(t, testdb.Patient(b)), item, checkup.Good)
	}
	exec(t, b.Admin, "DROP TABLE IMProxyLevel, IMTransmitFile")
	exec(t, b.Admin, "ALTER TABLE IMProxyTalk DROP COLUMN rev")
	found := ofMaster(t, testdb.Patient(b))
	want(t, found, "tables", checkup.Good)
	want(t, found, "own tables", checkup.Wrong, "IMProxyLevel", "IMTransmitFile", "IMProxyTalk.rev",
		"migrate --config")
	found = checkup.CheckMaster(t.Context(), testdb.Patient(b),
		checkup.CheckOptions{MakesOwn: true})
	want(t, found, "own tables", checkup.Good, "IMProxyLevel")

	exec(t, b.Admin, "ALTER TABLE IMUser DROP COLUMN sign_info")
	exec(t, b.Admin, "ALTER TABLE IMMessage_3 DROP KEY idx_relateId_status_created")
	exec(t, b.Admin, "DROP TABLE IMAudio")
	exec(t, b.Admin, "ALTER TABLE IMGroup MODIFY name varchar(256) CHARACTER SET utf8 COLLATE "+
		"utf8_general_ci NOT NULL")
	exec(t, b.Admin, "ALTER TABLE IMDepart ENGINE=MyISAM")
	found = ofMaster(t, testdb.Patient(b))
	want(t, found, "tables", checkup.Wrong, "IMUser.sign_info, IMAudio", "migrate --config")
	want(t, found, "keys", checkup.Doubtful, "IMMessage_3(relateId,status,created)")
	want(t, found, "characters", checkup.Doubtful, "utf8mb3 in IMGroup.name", "utf8mb4")
	want(t, found, "collation", checkup.Doubtful, "IMGroup.name")
	want(t, found, "engine", checkup.Wrong, "IMDepart (MyISAM)")
}

func TestCheckFindsWhatTheUserMayNot(t *testing.T) {
	t.Parallel()
	b := servers.MariaDB(t).New(t)
	withTables(t, b)
	exec(t, b.Admin, fmt.Sprintf("REVOKE ALL PRIVILEGES ON `%s`.* FROM '%s'@'%%'", b.Name, b.User))
	want(t, ofMaster(t, testdb.Patient(b)), "reachable", checkup.Wrong, "denied",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON `"+b.Name)
	exec(t, b.Admin, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE ON `%s`.* TO '%s'@'%%'", b.Name,
		b.User))
	exec(t, b.Admin, fmt.Sprintf("GRANT DELETE ON `%s`.IMTransmitFile TO '%s'@'%%'", b.Name,
		b.User))
	want(t, ofMaster(t, testdb.Patient(b)), "rights", checkup.Wrong, "DELETE on IMUser", "more",
		"GRANT", "TO '"+b.User+"'@'%'")
	exec(t, b.Admin, fmt.Sprintf("GRANT DELETE ON `%s`.* TO '%s'@'%%'", b.Name, b.User))
	found := ofMaster(t, testdb.Patient(b))
	want(t, found, "rights", checkup.Good)
	wantGrades(t, found, checkup.Doubtful) // nobody need create tables where none are missing
	exec(t, b.Admin, "DROP TABLE IMProxyMark")
	want(t, ofMaster(t, testdb.Patient(b)), "rights to create", checkup.Doubtful,
		"CREATE, ALTER, INDEX", "TO '"+b.User+"'@'%'")
	found = checkup.CheckMaster(t.Context(), testdb.Patient(b),
		checkup.CheckOptions{MakesOwn: true})
	want(t, found, "rights to create", checkup.Wrong, "CREATE")
	exec(t, b.Admin, fmt.Sprintf("GRANT CREATE, ALTER, INDEX ON `%s`.* TO '%s'@'%%'", b.Name,
		b.User))
	for _, f := range ofMaster(t, testdb.Patient(b)) {
		if f.Item == "rights to create" {
			t.Errorf("%+v", f)
		}
	}
	exec(t, b.Admin, fmt.Sprintf("GRANT USAGE ON *.* TO '%s'@'%%' WITH MAX_USER_CONNECTIONS 5",
		b.User))
	want(t, ofMaster(t, testdb.Patient(b)), "connections", checkup.Doubtful, "may have 5",
		"teamtalk_master_maxconncnt")
}

func TestCheckSaysWhyAServerCannotBeReached(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t)
	b := server.New(t)
	unreachable := func(m sqldb.MySQL, words ...string) {
		t.Helper()
		found := ofMaster(t, m)
		want(t, found, "reachable", checkup.Wrong, words...)
		if len(found) != 1 {
			t.Errorf("and more: %+v", found)
		}
	}
	m := testdb.Patient(b)
	m.Password = "wrong"
	unreachable(m, "denied", "teamtalk_master_password", m.Addr)
	m = testdb.Patient(b)
	m.Database = "none"
	unreachable(m, "none", "teamtalk_master_dbname")
	m = testdb.Patient(b)
	m.Addr = "no-such-host.invalid:3306"
	unreachable(m, "no-such-host.invalid", "teamtalk_master_host")
	unreachable(sqldb.MySQL{Addr: closedPort(t), ConnectTimeout: time.Minute}, "nothing listens",
		"teamtalk_master_port")

	server.Freeze(t)
	m = testdb.Patient(b)
	m.ConnectTimeout = 50 * time.Millisecond
	unreachable(m, "no answer", "50ms", "teamtalk_master_connect_timeout")
	server.Thaw(t)
	want(t, ofMaster(t, testdb.Patient(b)), "reachable", checkup.Good)
}

func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := servers.MariaDB(t).New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if found := checkup.CheckMaster(ctx, testdb.Patient(b),
		checkup.CheckOptions{}); len(found) != 1 || found[0].Grade != checkup.Wrong {
		t.Errorf("%+v", found)
	}
}

// closedPort is an address at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestCheckOfAReplica(t *testing.T) {
	t.Parallel()
	master := durable(t)
	b := master.New(t)
	withTables(t, b)
	server := servers.Replica(t, master, 0)
	r := b.On(t, server)
	opt := checkup.CheckOptions{Name: "teamtalk_slave", Patience: time.Minute}
	check := func() []checkup.Finding {
		t.Helper()
		found := checkup.CheckReplica(t.Context(), testdb.Patient(b), testdb.Patient(r), opt)
		var rows int
		if err := b.Admin.QueryRowContext(t.Context(),
			"SELECT COUNT(*) FROM IMProxyMark").Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows are left, %v", rows, err)
		}
		return found
	}
	found := check()
	wantGrades(t, found, checkup.Good)
	want(t, found, "replication", checkup.Good, "came")

	exec(t, r.Admin, "SET GLOBAL read_only=0")
	want(t, check(), "read_only", checkup.Doubtful)
	exec(t, r.Admin, "SET GLOBAL read_only=1")
	want(t, checkup.CheckReplica(t.Context(), testdb.Patient(b), testdb.Patient(b), opt),
		"replication", checkup.Good, "own server")

	exec(t, r.Admin, "STOP SLAVE SQL_THREAD")
	opt.Patience = 100 * time.Millisecond
	want(t, check(), "replication", checkup.Doubtful, "100ms", "read from the master",
		"teamtalk_slave_host")
	mayLook(t, r)
	want(t, check(), "replication", checkup.Doubtful, "applying: No")
	exec(t, r.Admin, "DROP TABLE IMProxyMark")
	want(t, check(), "tables", checkup.Doubtful, "IMProxyMark")
	exec(t, r.Admin, "ALTER TABLE IMUser DROP COLUMN nick")
	want(t, check(), "tables", checkup.Wrong, "IMUser.nick")
	exec(t, r.Admin, fmt.Sprintf("REVOKE SELECT ON `%s`.* FROM '%s'@'%%'", b.Name, b.User))
	want(t, check(), "rights", checkup.Wrong, "SELECT on all tables")

	other := master.New(t) // is this server's, and so no replica of anything
	withTables(t, other)
	lone := servers.StartMariaDB(t)
	strange := lone.New(t)
	withTables(t, strange)
	mayLook(t, strange)
	want(t, checkup.CheckReplica(t.Context(), testdb.Patient(other), testdb.Patient(strange), opt),
		"replication", checkup.Wrong, "no replica", "DBInstances")

	server.Kill(t)
	want(t, check(), "reachable", checkup.Wrong, "teamtalk_slave_host")
}

// mayLook lets a database's user see how its server replicates.
func mayLook(t *testing.T, b *servers.Database) {
	t.Helper()
	exec(t, b.Admin, fmt.Sprintf("GRANT REPLICATION CLIENT, REPLICA MONITOR ON *.* TO '%s'@'%%'",
		b.User))
}

func wantGrades(t *testing.T, findings []checkup.Finding, most checkup.Grade) {
	t.Helper()
	for _, f := range findings {
		if f.Grade > most {
			t.Errorf("%+v", f)
		}
	}
}
