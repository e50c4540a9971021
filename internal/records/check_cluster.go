package records

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

// ItemCluster is the item of findings that say whether a server takes part in its cluster. One that
// does not may do so in a while.
const ItemCluster = "cluster"

// galera is whether the server is a node of Galera, or of Percona XtraDB Cluster, which is the same.
func (c *inspection) galera() bool { return c.on("wsrep_on") }

// cluster looks at the cluster that the server is a node of. It reports whether the server can be
// asked more: a node that is cut off answers nothing else.
func (c *inspection) cluster(ctx context.Context) (takesPart bool) {
	switch provider := c.vars["wsrep_provider"]; {
	case c.galera():
		c.all(ctx, question{item: ItemCluster, ask: c.asNode})
	case provider != "" && provider != "none":
		c.add(checkup.Fault("wsrep_on",
			"off on a node of Galera: what is written here no other node gets",
			"SET GLOBAL wsrep_on = 1, and find out what the other nodes lack; "+
				"or start it without wsrep_provider"))
	case c.vars["group_replication_group_name"] != "":
		c.all(ctx, question{item: ItemCluster, ask: c.asMember})
	}
	return !slices.ContainsFunc(c.found, func(f checkup.Finding) bool {
		return f.Grade == checkup.Wrong && (f.Item == ItemCluster || f.Item == "reachable")
	})
}

// asNode looks at a node of Galera.
func (c *inspection) asNode(ctx context.Context) error {
	status := make(map[string]string)
	err := each(ctx, c.db, "SHOW GLOBAL STATUS LIKE 'wsrep%'", nil, func(scan scanner) error {
		var name, value string
		err := scan(&name, &value)
		status[strings.ToLower(name)] = value
		return err
	})
	if err != nil {
		return err
	}
	state := nodeState(status)
	c.add(state)
	if state.Grade == checkup.Wrong {
		return nil
	}
	c.add(nodeCount(status))
	c.add(overtaken(status))
	c.nodeSettings()
	return c.replicates(ctx)
}

// nodeState is whether a node takes part.
func nodeState(status map[string]string) checkup.Finding {
	state := status["wsrep_local_state_comment"]
	switch view := status["wsrep_cluster_status"]; {
	case !strings.EqualFold(view, "Primary"):
		return checkup.Fault(ItemCluster, fmt.Sprintf("a node of Galera that is not of the majority "+
			"(wsrep_cluster_status is %s): it refuses all statements", cmp.Or(view, "empty")),
			"start the other nodes, or see why it does not reach them; when they are gone for good, "+
				"SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1' on one node, and on no other")
	case status["wsrep_ready"] != "ON":
		return checkup.Fault(ItemCluster,
			fmt.Sprintf("a node of Galera that is not ready (%s): it refuses all statements", state),
			"wait until it has what it lacks; look at its error log if it takes long")
	case state != "Synced":
		return checkup.Doubt(ItemCluster,
			fmt.Sprintf("a node of Galera that is %s: it may be far behind the others", state),
			"wait until it is Synced, or name another node")
	default:
		return checkup.Goodf(ItemCluster, "a node of Galera, synced; texts are not joined on it")
	}
}

// nodeCount looks at how many members the cluster has, arbitrators included.
func nodeCount(status map[string]string) checkup.Finding {
	const item = "cluster size"
	const mend = "have three members, of which one may be an arbitrator (garbd), each on a machine of its own"
	size, weight := status["wsrep_cluster_size"], status["wsrep_cluster_weight"]
	switch {
	case size == "1":
		return checkup.Doubt(item, "1: there is no other node when this one fails", mend)
	case size == "2" && (weight == "" || weight == "2"):
		return checkup.Doubt(item, "2, and equal: when one is lost the other cannot know whether it is "+
			"the one that was cut off, and refuses all statements until somebody says so", mend)
	default:
		return checkup.Goodf(item, "%s", size)
	}
}

// overtaken says what comes of it that several nodes are written to.
func overtaken(status map[string]string) checkup.Finding {
	const item = "writers"
	refused, aborted := status["wsrep_local_cert_failures"], status["wsrep_local_bf_aborts"]
	if refused == "0" && aborted == "0" {
		return checkup.Goodf(item, "no transaction here was ever undone because of another node's")
	}
	return checkup.Goodf(item, "several nodes are written to: because of another node's, %s transactions "+
		"here were undone at their COMMIT and %s before it; proxies try them again", refused, aborted)
}

// nodeSettings looks at what a node was told.
func (c *inspection) nodeSettings() {
	if v, ok := c.vars["innodb_autoinc_lock_mode"]; ok && v != "2" {
		c.add(checkup.Doubt("innodb_autoinc_lock_mode",
			v+": Galera needs 2; with others the nodes wait for each other in circles",
			"innodb_autoinc_lock_mode = 2 in its configuration, and start it anew"))
	}
	for _, option := range []string{"pc.ignore_sb", "pc.ignore_quorum"} {
		if providerOption(c.vars["wsrep_provider_options"], option) == "true" {
			c.add(checkup.Doubt(option, "true: nodes that do not see each other go on, each for itself, "+
				"and what all but one of them store meanwhile is lost", "SET GLOBAL "+
				"wsrep_provider_options = '"+option+"=false', and the same in its configuration"))
		}
	}
	if v := strings.ToUpper(c.vars["wsrep_osu_method"]); v != "" && v != "TOI" {
		c.add(checkup.Doubt("wsrep_osu_method",
			v+": tables that \"dbproxy migrate\" makes here come to be on this node alone",
			"SET GLOBAL wsrep_osu_method = 'TOI', and the same in its configuration"))
	}
	if v := cmp.Or(c.vars["wsrep_sync_wait"], "0"); v == "0" {
		c.add(checkup.Goodf("wsrep_sync_wait",
			"0: what other nodes committed a moment ago may be missing in what is read here"))
	} else {
		c.add(checkup.Goodf("wsrep_sync_wait", "%s: reads wait for what other nodes committed", v))
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

// replicates looks at whether what our user writes goes to the other nodes.
func (c *inspection) replicates(ctx context.Context) error {
	var on string
	if err := c.db.QueryRowContext(ctx, "SELECT @@SESSION.wsrep_on").Scan(&on); err != nil {
		return err
	}
	if on != "1" && !strings.EqualFold(on, "ON") {
		c.add(checkup.Fault("wsrep_on", "off for this user's sessions: what they write no other node gets",
			"take SET wsrep_on out of init_connect"))
	}
	return nil
}

const membersOfGroup = "SELECT MEMBER_ID,MEMBER_HOST,MEMBER_PORT,MEMBER_STATE,MEMBER_ROLE " +
	"FROM performance_schema.replication_group_members"

// asMember looks at a member of MySQL's Group Replication.
func (c *inspection) asMember(ctx context.Context) error {
	var all []groupMember
	err := each(ctx, c.db, membersOfGroup, nil, func(scan scanner) error {
		var m groupMember
		var port sql.NullInt64
		err := scan(&m.id, &m.addr, &port, &m.state, &m.role)
		m.addr = fmt.Sprintf("%s:%d", m.addr, port.Int64)
		all = append(all, m)
		return err
	})
	switch {
	case denied(err):
		c.add(checkup.Doubt(ItemCluster,
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

// groupFindings is what is to be said of a member whose variables are vars.
func groupFindings(vars map[string]string, all []groupMember) []checkup.Finding {
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
	state := checkup.Goodf(ItemCluster, "the primary of a replication group, online")
	switch {
	case me.state != "ONLINE":
		return []checkup.Finding{checkup.Fault(ItemCluster,
			"a member of a replication group that is "+cmp.Or(me.state, "OFFLINE"),
			"wait while it is RECOVERING; otherwise see its error log, and START GROUP_REPLICATION")}
	case 2*len(silent) >= len(all):
		return []checkup.Finding{checkup.Fault(ItemCluster, "a member of a replication group without "+
			"a majority: writes hang; it does not reach "+checkup.List(silent),
			"start the others, or see why it does not reach them")}
	case single && me.role != "PRIMARY":
		state = checkup.Goodf(ItemCluster,
			"a secondary of a replication group, online; its primary is %s", primary)
	case !single:
		state = checkup.Doubt(ItemCluster, "a member of a replication group of which all members take "+
			"writes; dbproxy was never tried on one",
			"SELECT group_replication_switch_to_single_primary_mode() on a member")
	}
	return append([]checkup.Finding{state}, groupSettings(vars, len(all), silent)...)
}

// groupSettings is groupFindings for how large a group is, and what it was told.
func groupSettings(vars map[string]string, size int, silent []string) (found []checkup.Finding) {
	if len(silent) > 0 {
		found = append(found, checkup.Doubt("cluster members",
			"it does not reach "+checkup.List(silent), "see whether they run"))
	}
	if size < 3 {
		found = append(found, checkup.Doubt("cluster size",
			fmt.Sprintf("%d: when one member is lost there is no majority, and writes hang", size),
			"add members, so that there are three at least"))
	} else {
		found = append(found, checkup.Goodf("cluster size", "%d", size))
	}
	const name = "group_replication_consistency"
	switch v := vars[name]; v {
	case "EVENTUAL":
		return append(found, checkup.Doubt(name,
			v+": after a failover the new primary answers before it has all that the old one stored",
			"SET PERSIST "+name+" = 'BEFORE_ON_PRIMARY_FAILOVER' on all members"))
	case "":
		return append(found, checkup.Goodf(name, "not known to this version"))
	default:
		return append(found, checkup.Goodf(name, "%s", v))
	}
}
