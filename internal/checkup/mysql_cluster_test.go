package checkup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestCheckOfANodeOfGalera goes through what may be wrong with a cluster, from good to worse.
func TestCheckOfANodeOfGalera(t *testing.T) {
	t.Parallel()
	g := servers.StartGalera(t, "--innodb-flush-log-at-trx-commit=1")
	b := g.Nodes[0].New(t)
	withTables(t, b)
	r := b.On(t, g.Nodes[1])
	found := ofMaster(t, testdb.Patient(b))
	wantAllGood(t, found)
	want(t, found, "cluster", checkup.Good, "Galera", "synced", "not joined")
	want(t, found, "cluster size", checkup.Good, "3")
	want(t, found, "writers", checkup.Good, "no transaction")
	want(t, found, "wsrep_sync_wait", checkup.Good, "a moment ago")
	opt := checkup.CheckOptions{Name: "teamtalk_slave"}
	found = checkup.CheckReplica(t.Context(), testdb.Patient(b), testdb.Patient(r), opt)
	wantGrades(t, found, checkup.Good)
	want(t, found, "replication", checkup.Good, "came")
	want(t, found, "cluster", checkup.Good)

	for _, c := range []struct {
		set, back string
		item      string
		grade     checkup.Grade
		words     []string
	}{
		{"wsrep_osu_method='RSU'", "='TOI'", "wsrep_osu_method", checkup.Doubtful,
			[]string{"migrate", "this node alone"}},
		{"wsrep_sync_wait=3", "=0", "wsrep_sync_wait", checkup.Good, []string{"3", "wait"}},
		{"wsrep_provider_options='pc.ignore_sb=true'", "='pc.ignore_sb=false'", "pc.ignore_sb",
			checkup.Doubtful,
			[]string{"lost", "pc.ignore_sb=false"}},
		{"wsrep_provider_options='evs.suspect_timeout=PT5S'", "='evs.suspect_timeout=PT2S'",
			"evs.suspect_timeout", checkup.Doubtful, []string{"5s", "refused", "PT2S"}},
		{"wsrep_auto_increment_control=0", "=1", "wsrep_auto_increment_control", checkup.Doubtful,
			[]string{"same ids", "all nodes"}},
		{"wsrep_desync=1", "=0", "cluster", checkup.Doubtful, []string{"Donor/Desynced",
			"another node"}},
		{"innodb_flush_log_at_trx_commit=2", "=1", "durability", checkup.Doubtful,
			[]string{"all nodes"}},
		{"wsrep_on=0", "=1", "wsrep_on", checkup.Wrong, []string{"no other node"}},
	} {
		exec(t, b.Admin, "SET GLOBAL "+c.set)
		want(t, ofMaster(t, testdb.Patient(b)), c.item, c.grade, c.words...)
		name, _, _ := strings.Cut(c.set, "=")
		exec(t, b.Admin, "SET GLOBAL "+name+c.back)
	}
	wantAllGood(t, ofMaster(t, testdb.Patient(b)))

	overtake(t, b, r, 1)
	want(t, ofMaster(t, testdb.Patient(b)), "writers", checkup.Good, "several nodes",
		"try them again")
	overtake(t, b, r, 150)
	want(t, ofMaster(t, testdb.Patient(b)), "writers", checkup.Doubtful, "several nodes",
		"teamtalk_master_host")

	g.Arbitrator.Stop(t)
	g.AwaitSize(t, 0, 2)
	want(t, ofMaster(t, testdb.Patient(b)), "cluster size", checkup.Doubtful, "2, and equal",
		"garbd")
	g.Nodes[1].Stop(t)
	g.AwaitSize(t, 0, 1)
	want(t, ofMaster(t, testdb.Patient(b)), "cluster size", checkup.Doubtful, "no other node")

	g.Nodes[1].Restart(t)
	// without a word: this node cannot know whether it is the one that was cut off
	g.Nodes[1].Kill(t)
	apart := func(f checkup.Finding) bool {
		return f.Item == "cluster" && f.Grade == checkup.Wrong
	}
	deadline := time.Now().Add(time.Minute)
	for ; !slices.ContainsFunc(found, apart); found = ofMaster(t, testdb.Patient(b)) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not seen that the other one is gone: %+v", found)
		}
	}
	want(t, found, "cluster", checkup.Wrong, "not of the majority", "non-Primary", "pc.bootstrap=1")
	for _, f := range found {
		if f.Grade != checkup.Good && f.Item != "cluster" {
			t.Errorf("also: %+v", f)
		}
	}
}

// overtake has transactions at a node undone because of such at another node.
func overtake(t *testing.T, node, other *servers.Database, times int) {
	t.Helper()
	exec(t, node.Admin, "REPLACE INTO IMProxyMark (name,value) VALUES ('contested',1)")
	const change = "UPDATE IMProxyMark SET value=value+1 WHERE name='contested'"
	for range times {
		tx, err := node.Admin.BeginTx(t.Context(), nil)
		if err == nil {
			_, err = tx.ExecContext(t.Context(), change)
		}
		if err != nil {
			t.Fatal(err)
		}
		exec(t, other.Admin, change)
		if err := tx.Commit(); err == nil || !strings.Contains(err.Error(), "1213") {
			t.Fatalf("the second of two that write the same row ends with %v", err)
		}
	}
}

// TestWhatIsSaidOfAReplicationGroup judges members as MySQL's Group Replication shows them. No such
// server was asked.
func TestWhatIsSaidOfAReplicationGroup(t *testing.T) {
	const consistency = "group_replication_consistency"
	member := func(id, state, role string) checkup.GroupMember {
		return checkup.NewGroupMember(id, "host-"+id+":3306", state, role)
	}
	three := func(state, role string, others ...checkup.GroupMember) []checkup.GroupMember {
		return append([]checkup.GroupMember{member("me", state, role)}, others...)
	}
	secondaries := []checkup.GroupMember{
		member("b", "ONLINE", "SECONDARY"), member("c", "ONLINE", "SECONDARY"),
	}
	for name, c := range map[string]struct {
		single, consistency string
		members             []checkup.GroupMember
		item                string
		grade               checkup.Grade
		words               []string
	}{
		"primary": {"ON", "", three("ONLINE", "PRIMARY", secondaries...), "cluster", checkup.Good,
			[]string{"the primary"}},
		"secondary": {"ON", "",
			three("ONLINE", "SECONDARY", member("b", "ONLINE", "PRIMARY"), secondaries[1]),
			"cluster", checkup.Good, []string{"secondary", "host-b:3306"}},
		"recovering": {"ON", "", three("RECOVERING", "SECONDARY", secondaries...), "cluster",
			checkup.Wrong,
			[]string{"RECOVERING", "wait"}},
		"in error": {"ON", "", three("ERROR", ""), "cluster", checkup.Wrong,
			[]string{"ERROR", "START GROUP_REPLICATION"}},
		"of no group": {"ON", "", nil, "cluster", checkup.Wrong, []string{"OFFLINE"}},
		"all write": {"OFF", "", three("ONLINE", "PRIMARY", secondaries...), "cluster",
			checkup.Doubtful,
			[]string{"all members", "single_primary"}},
		"two": {"ON", "", three("ONLINE", "PRIMARY", secondaries[0]), "cluster size",
			checkup.Doubtful,
			[]string{"2", "three"}},
		"three": {"ON", "", three("ONLINE", "PRIMARY", secondaries...), "cluster size",
			checkup.Good,
			[]string{"3"}},
		"one is lost": {"ON", "",
			three("ONLINE", "PRIMARY", secondaries[0], member("c", "UNREACHABLE", "")),
			"cluster members", checkup.Doubtful, []string{"host-c:3306"}},
		"two are lost": {"ON", "",
			three("ONLINE", "PRIMARY", member("b", "UNREACHABLE", ""),
				member("c", "UNREACHABLE", "")),
			"cluster", checkup.Wrong, []string{"majority", "host-b:3306, host-c:3306"}},
		"all write, eventual": {"OFF", "EVENTUAL",
			three("ONLINE", "PRIMARY", secondaries...), consistency,
			checkup.Doubtful, []string{"another member", "'BEFORE'"}},
		"all write, careful after a failover": {"OFF", "BEFORE_ON_PRIMARY_FAILOVER",
			three("ONLINE", "PRIMARY", secondaries...), consistency, checkup.Doubtful,
			[]string{"'BEFORE'"}},
		"all write, and wait": {"OFF", "BEFORE", three("ONLINE", "PRIMARY", secondaries...),
			consistency,
			checkup.Good, []string{"BEFORE"}},
		"all write, MySQL 5.7": {"OFF", "", three("ONLINE", "PRIMARY", secondaries...), consistency,
			checkup.Doubtful, []string{"not known"}},
		"eventual": {"ON", "EVENTUAL", three("ONLINE", "PRIMARY", secondaries...), consistency,
			checkup.Doubtful, []string{"failover", "BEFORE_ON_PRIMARY_FAILOVER"}},
		"not eventual": {"ON", "AFTER", three("ONLINE", "PRIMARY", secondaries...), consistency,
			checkup.Good, []string{"AFTER"}},
		"MySQL 5.7": {"ON", "", three("ONLINE", "PRIMARY", secondaries...), consistency,
			checkup.Good,
			[]string{"not known"}},
	} {
		t.Run(name, func(t *testing.T) {
			vars := map[string]string{
				"server_uuid":                           "me",
				"group_replication_single_primary_mode": c.single,
				consistency:                             c.consistency,
			}
			want(t, checkup.GroupFindings(vars, c.members), c.item, c.grade, c.words...)
		})
	}
}
