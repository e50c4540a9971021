package checkup

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// itemCluster is the item of findings that say whether a server takes part in its cluster. One that
// does not may do so in a while.
const itemCluster = "cluster"

// galera is whether the server is a node of Galera, or of Percona XtraDB Cluster: the same here.
func (c *inspection) galera() bool { return c.on("wsrep_on") }

// cluster checks the cluster that the server is a node of. takesPart is whether the server can be
// asked more: a node that is cut off answers nothing else.
func (c *inspection) cluster(ctx context.Context) (takesPart bool) {
	switch provider := c.vars["wsrep_provider"]; {
	case c.galera():
		c.all(ctx, question{item: itemCluster, ask: c.asNode})
	case provider != "" && provider != "none":
		c.add(Fault("wsrep_on",
			"off on a node of Galera: what is written here no other node gets",
			"SET GLOBAL wsrep_on = 1, and find out what the other nodes lack; or start it without "+
				"wsrep_provider"))
	case c.vars["group_replication_group_name"] != "":
		c.all(ctx, question{item: itemCluster, ask: c.asMember})
	}
	return !slices.ContainsFunc(c.found, func(f Finding) bool {
		return f.Grade == Wrong && (f.Item == itemCluster || f.Item == "reachable")
	})
}

// asNode checks a node of Galera.
func (c *inspection) asNode(ctx context.Context) error {
	status, err := c.named(ctx, "SHOW GLOBAL STATUS LIKE 'wsrep%'")
	if err != nil {
		return err
	}
	state := nodeState(status)
	c.add(state)
	if state.Grade == Wrong {
		return nil
	}
	c.add(nodeCount(status))
	c.add(c.writers(status))
	c.nodeSettings()
	return c.replicates(ctx)
}

// nodeState reports whether a node takes part.
func nodeState(status map[string]string) Finding {
	state := status["wsrep_local_state_comment"]
	switch view := status["wsrep_cluster_status"]; {
	case !strings.EqualFold(view, "Primary"):
		return Fault(itemCluster, fmt.Sprintf("a node of Galera that is not of the majority "+
			"(wsrep_cluster_status is %s): it refuses all statements", cmp.Or(view, "empty")),
			"start the other nodes, or see why it does not reach them; when they are gone for "+
				"good, SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1' on one node, and on "+
				"no other")
	case status["wsrep_ready"] != "ON":
		return Fault(itemCluster,
			"a node of Galera that is not ready ("+state+"): it refuses all statements",
			"wait until it has what it lacks; look at its error log if it takes long")
	case state != "Synced":
		return Doubt(itemCluster,
			"a node of Galera that is "+state+": it may be far behind the others",
			"wait until it is Synced, or name another node")
	default:
		return Goodf(itemCluster, "a node of Galera, synced; texts are not joined on it")
	}
}

// nodeCount checks how many members the cluster has, arbitrators included.
func nodeCount(status map[string]string) Finding {
	const item = "cluster size"
	const mend = "have three members, of which one may be an arbitrator (garbd), each on a " +
		"machine of its own"
	size, weight := status["wsrep_cluster_size"], status["wsrep_cluster_weight"]
	switch {
	case size == "1":
		return Doubt(item, "1: there is no other node when this one fails", mend)
	case size == "2" && (weight == "" || weight == "2"):
		return Doubt(item, "2, and equal: when one is lost the other cannot know whether it is "+
			"the one that was cut off, and refuses all statements until somebody says so", mend)
	default:
		return Goodf(item, "%s", size)
	}
}

// From when on it is doubtful that several nodes are written to. In the load of the tests, where
// all is about a few talks, one transaction is undone for six that are not, and nothing is refused.
const (
	leastUndone = 100 // transactions undone; fewer say little
	oftenUndone = 4   // one undone for so many that were committed
)

// writers says what comes of it that several nodes are written to.
func (c *inspection) writers(status map[string]string) Finding {
	const item = "writers"
	count := func(name string) (n int64) {
		n, _ = strconv.ParseInt(status[name], 10, 64) // 0 where a version does not count that
		return n
	}
	// Most of those that are undone at their COMMIT count as undone before it, too.
	undone := max(count("wsrep_local_cert_failures"), count("wsrep_local_bf_aborts"))
	committed := count("wsrep_local_commits")
	if undone == 0 {
		return Goodf(item, "no transaction here was ever undone because of another node's")
	}
	text := fmt.Sprintf("several nodes are written to: since this one started %d transactions "+
		"were committed here, and %d undone because of another node's; proxies try them again",
		committed, undone)
	if undone >= leastUndone && undone*oftenUndone > committed {
		return Doubt(item, text+", which costs time", "name the same node in "+c.key("host")+
			" and "+c.key("port")+" of all proxies, and another one only while that is away")
	}
	return Finding{Item: item, Text: text}
}

// slowToSuspect is Galera's own default for how long a member is silent before it is suspected; a
// request has as much time by default.
const slowToSuspect = 5 * time.Second

// nodeSettings checks how a node is configured.
func (c *inspection) nodeSettings() {
	if v, ok := c.vars["innodb_autoinc_lock_mode"]; ok && v != "2" {
		c.add(Doubt("innodb_autoinc_lock_mode",
			v+": Galera needs 2; with others the nodes wait for each other in circles",
			"innodb_autoinc_lock_mode = 2 in its configuration, and start it anew"))
	}
	const spread = "wsrep_auto_increment_control"
	if c.vars[spread] != "" && !c.on(spread) && c.vars["auto_increment_increment"] == "1" {
		c.add(Doubt(spread, "off, and auto_increment_increment is 1: nodes that are written to "+
			"at once give their rows the same ids, and undo each other's transactions",
			"SET GLOBAL "+spread+" = 1 on all nodes, and the same in their configuration"))
	}
	options := c.vars["wsrep_provider_options"]
	suspect, ok := isoDuration(providerOption(options, "evs.suspect_timeout"))
	if ok && suspect >= slowToSuspect {
		c.add(Doubt("evs.suspect_timeout", fmt.Sprintf("%v: when a node dies all others wait so "+
			"long, which is as long as a request may take; messages are refused meanwhile",
			suspect),
			"'evs.suspect_timeout=PT2S' among the wsrep_provider_options of all members"))
	}
	for _, option := range []string{"pc.ignore_sb", "pc.ignore_quorum"} {
		if providerOption(options, option) == "true" {
			c.add(Doubt(option, "true: nodes that do not see each other go on, each for itself, "+
				"and what all but one of them store meanwhile is lost",
				setGlobal("wsrep_provider_options", "'"+option+"=false'")))
		}
	}
	if v := strings.ToUpper(c.vars["wsrep_osu_method"]); v != "" && v != "TOI" {
		c.add(Doubt("wsrep_osu_method",
			v+": tables that \"dbproxy migrate\" makes here come to be on this node alone",
			setGlobal("wsrep_osu_method", "'TOI'")))
	}
	if v := cmp.Or(c.vars["wsrep_sync_wait"], "0"); v == "0" {
		c.add(Goodf("wsrep_sync_wait",
			"0: what other nodes committed a moment ago may be missing in what is read here"))
	} else {
		c.add(Goodf("wsrep_sync_wait", "%s: reads wait for what other nodes committed", v))
	}
}

// providerOption is one of wsrep_provider_options, "a = b; c = d".
func providerOption(options, name string) string {
	for option := range strings.SplitSeq(options, ";") {
		if key, value, _ := strings.Cut(option, "="); strings.TrimSpace(key) == name {
			return strings.ToLower(strings.TrimSpace(value))
		}
	}
	return ""
}

// isoDuration reads hours, minutes and seconds in the way of ISO 8601, in lower case: "pt1m30.5s".
func isoDuration(text string) (d time.Duration, ok bool) {
	text, ok = strings.CutPrefix(text, "pt")
	d, err := time.ParseDuration(text)
	return d, ok && err == nil
}

// replicates checks whether what our user writes goes to the other nodes.
func (c *inspection) replicates(ctx context.Context) error {
	var on string
	if err := c.db.QueryRowContext(ctx, "SELECT @@SESSION.wsrep_on").Scan(&on); err != nil {
		return err
	}
	if on != "1" && !strings.EqualFold(on, "ON") {
		c.add(Fault("wsrep_on",
			"off for this user's sessions: what they write no other node gets",
			"take SET wsrep_on out of init_connect"))
	}
	return nil
}

// MembersOfGroup asks for the members of a replication group. MariaDB has no such table.
const MembersOfGroup = "SELECT MEMBER_ID,MEMBER_HOST,MEMBER_PORT,MEMBER_STATE,MEMBER_ROLE " +
	"FROM performance_schema.replication_group_members"

// asMember checks a member of MySQL's Group Replication.
func (c *inspection) asMember(ctx context.Context) error {
	var all []groupMember
	err := sqldb.Each(ctx, c.db, MembersOfGroup, nil, func(scan sqldb.Scanner) error {
		var m groupMember
		var port sql.NullInt64
		err := scan(&m.id, &m.addr, &port, &m.state, &m.role)
		m.addr = fmt.Sprintf("%s:%d", m.addr, port.Int64)
		all = append(all, m)
		return err
	})
	switch {
	case denied(err):
		c.add(Doubt(itemCluster,
			"a member of a replication group; how it is, this user may not see",
			"GRANT SELECT ON performance_schema.replication_group_members TO "+c.account(ctx)))
		return nil
	case err != nil:
		return err
	}
	c.found = append(c.found, groupFindings(c.vars, all)...)
	return nil
}

// groupMember is a member of a replication group.
type groupMember struct{ id, addr, state, role string }

// groupFindings is what is to be said of a member that has these variables, in a group of all
// these.
func groupFindings(vars map[string]string, all []groupMember) []Finding {
	var me groupMember
	var primary string
	var silent []string
	for _, m := range all {
		if m.id == vars["server_uuid"] {
			me = m
		}
		if m.role == "PRIMARY" {
			primary = m.addr
		}
		if m.state == "UNREACHABLE" {
			silent = append(silent, m.addr)
		}
	}
	single := vars["group_replication_single_primary_mode"] == "ON"
	state := Goodf(itemCluster, "the primary of a replication group, online")
	switch {
	case me.state != "ONLINE":
		return []Finding{Fault(itemCluster,
			"a member of a replication group that is "+cmp.Or(me.state, "OFFLINE"),
			"wait while it is RECOVERING; otherwise see its error log, and START "+
				"GROUP_REPLICATION")}
	case 2*len(silent) >= len(all):
		return []Finding{Fault(itemCluster, "a member of a replication group without a majority: "+
			"writes hang; it does not reach "+list(silent),
			"start the others, or see why it does not reach them")}
	case single && me.role != "PRIMARY":
		state = Goodf(itemCluster,
			"a secondary of a replication group, online; its primary is %s", primary)
	case !single:
		state = Doubt(itemCluster, "a member of a replication group of which all members take "+
			"writes; dbproxy was never tried on one",
			"SELECT group_replication_switch_to_single_primary_mode() on a member")
	}
	return append([]Finding{state, consistency(vars[groupConsistency], single)},
		groupSize(len(all), silent)...)
}

// groupSize is the part of groupFindings about how many members there are, and are seen.
func groupSize(size int, silent []string) (found []Finding) {
	if len(silent) > 0 {
		found = append(found, Doubt("cluster members",
			"it does not reach "+list(silent), "see whether they run"))
	}
	if size < 3 {
		return append(found, Doubt("cluster size",
			fmt.Sprintf("%d: when one member is lost there is no majority, and writes hang", size),
			"add members, so that there are three at least"))
	}
	return append(found, Goodf("cluster size", "%d", size))
}

const groupConsistency = "group_replication_consistency"

// consistency is the part of groupFindings about whether a member may answer before it has what
// others stored. single says that only one of them is written to.
func consistency(v string, single bool) Finding {
	const set = "SET PERSIST " + groupConsistency + " = "
	known := cmp.Or(v, "not known to this version")
	switch {
	case !single && (v == "" || v == "EVENTUAL" || v == "BEFORE_ON_PRIMARY_FAILOVER"):
		return Doubt(groupConsistency, known+": what was stored through another member a moment "+
			"ago may be missing here, and be refused as if it were not there",
			"write to one member; or, from MySQL 8.0.14 on, "+set+"'BEFORE' on all members")
	case v == "EVENTUAL":
		return Doubt(groupConsistency, v+": after a failover the new primary answers before it "+
			"has all that the old one stored",
			set+"'BEFORE_ON_PRIMARY_FAILOVER' on all members")
	default:
		return Goodf(groupConsistency, "%s", known)
	}
}
