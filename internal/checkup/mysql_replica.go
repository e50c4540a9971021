package checkup

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// arrivalPause is how long to wait before looking again whether something arrived.
const arrivalPause = 20 * time.Millisecond

// CheckReplica connects to the server that is read, and reports how fit it is beside its master, which is reached as
// CheckMaster does. It changes nothing but one row of IMProxyMark on the master, for as long as that takes to reach the
// replica. A master that cannot be reached is CheckMaster's to report.
func CheckReplica(ctx context.Context, master, replica sqldb.MySQL, opt CheckOptions) []Finding {
	c, reached := inspect(ctx, replica, opt)
	defer c.close()
	if !reached || !c.cluster(ctx) {
		return c.found
	}
	m, masterReached := inspect(ctx, master, opt)
	defer m.close()
	if !masterReached {
		m = nil
	}
	if m != nil && c.serverID() == m.serverID() {
		c.add(Goodf("replication", "none: it is the master's own server under another name"))
	} else {
		if c.galera() {
			c.add(Goodf("read_only", "off, as on every node of a cluster"))
		} else if c.on("read_only") || c.on("super_read_only") || c.on("innodb_read_only") {
			c.add(Goodf("read_only", "on"))
		} else {
			c.add(Doubt("read_only", "off: what is written here by mistake makes it differ from its master",
				"SET GLOBAL read_only = 1, and the same in its configuration"))
		}
		if m != nil {
			c.arrival(ctx, m)
		}
	}
	c.prepared()
	c.idle()
	c.all(ctx, question{item: "connections", ask: c.connections}, question{item: "clock", ask: c.clock},
		question{item: "tables", ask: c.copied}, question{item: "rights", many: true, ask: func(ctx context.Context) error {
			return c.rightsOn(ctx, needsRead)
		}})
	return c.found
}

// serverID is the same for all addresses of a server, and for no two servers.
func (c *inspection) serverID() string {
	return strings.Join([]string{c.vars["server_uuid"], c.vars["hostname"], c.vars["port"], c.vars["datadir"], c.vars["pid_file"]}, "|")
}

// arrival writes a row on the master and waits for it on the replica.
func (c *inspection) arrival(ctx context.Context, m *inspection) {
	const item = "replication"
	name := "check:" + rand.Text()
	begun := c.opt.Now()
	if err := m.ask(ctx, func(ctx context.Context) error {
		_, err := sqldb.Exec(ctx, m.db, "INSERT INTO IMProxyMark (name,value) VALUES (?,1)", name)
		return err
	}); err != nil {
		c.add(Unseen(item, fmt.Errorf("no row can be written on the master: %w", sqldb.ExplainMySQL(err))))
		return
	}
	defer func() { // also when ctx has ended; a row that stays does no harm
		_ = m.ask(context.WithoutCancel(ctx), func(ctx context.Context) error {
			_, err := sqldb.Exec(ctx, m.db, "DELETE FROM IMProxyMark WHERE name=?", name)
			return err
		})
	}()
	waiting, cancel := context.WithTimeout(ctx, c.opt.Patience)
	defer cancel()
	for {
		var n int
		err := c.db.QueryRowContext(waiting, "SELECT COUNT(*) FROM IMProxyMark WHERE name=?", name).Scan(&n)
		switch {
		case n > 0:
			c.add(Goodf(item, "a row came from the master in %d ms", c.opt.Now().Sub(begun).Milliseconds()))
			return
		case err != nil && waiting.Err() == nil && sqldb.Code(err) != sqldb.CodeNoTable && sqldb.Code(err) != sqldb.CodeTableDenied:
			c.add(Unseen(item, sqldb.ExplainMySQL(err)))
			return
		}
		select {
		case <-waiting.Done():
			c.noArrival(ctx, item)
			return
		case <-time.After(arrivalPause):
		}
	}
}

// noArrival says why nothing arrives, as far as the replica lets us know.
func (c *inspection) noArrival(ctx context.Context, item string) {
	text := fmt.Sprintf("a row written on the master did not come within %v; until rows come, all is read from the master", c.opt.Patience)
	mend := fmt.Sprintf("look at SHOW REPLICA STATUS there, or mend %s_host and %[1]s_port", c.opt.Name)
	var status map[string]string
	err := c.ask(ctx, func(ctx context.Context) (err error) {
		for _, stmt := range []string{"SHOW REPLICA STATUS", "SHOW SLAVE STATUS"} { // servers before 2020 know only the latter
			if status, err = row(ctx, c.db, stmt); err == nil {
				return nil
			}
		}
		return err
	})
	first := func(names ...string) string {
		for _, n := range names {
			if status[n] != "" {
				return status[n]
			}
		}
		return ""
	}
	switch {
	case err != nil: // most users may not look
	case status == nil:
		c.add(Fault(item, "it is no replica: nothing comes from the master", "set up replication there, or mend "+
			c.opt.Name+"_host; without a replica take "+c.opt.Name+" out of DBInstances"))
		return
	default:
		why := first("Last_IO_Error", "Last_SQL_Error")
		if why == "" {
			why = fmt.Sprintf("receiving: %s, applying: %s, seconds behind: %s", first("Replica_IO_Running", "Slave_IO_Running"),
				first("Replica_SQL_Running", "Slave_SQL_Running"), first("Seconds_Behind_Source", "Seconds_Behind_Master"))
		}
		text += " (" + why + ")"
	}
	c.add(Doubt(item, text, mend))
}

// copied looks at whether the replica has the tables.
func (c *inspection) copied(ctx context.Context) error {
	if err := c.look(ctx); err != nil {
		return err
	}
	old, _ := c.seen.Absent(tables.Old())
	own, _ := c.seen.Absent(tables.New())
	const mend = "see whether it replicates all tables of the database, and that this user sees them"
	switch {
	case len(c.seen.Misnamed()) > 0:
		c.add(Fault("tables", "in other letters than they must be: "+tables.WhyMisnamed, c.seen.Renaming()))
	case len(old) > 0:
		c.add(Fault("tables", "missing: "+List(append(old, own...)), mend))
	case len(own) > 0:
		c.add(Doubt("tables", "missing: "+List(own)+"; until they come, all is read from the master",
			"once the master has them, "+mend))
	default:
		c.add(Goodf("tables", "all are there, with all columns"))
	}
	return nil
}

// row is the first row of an answer as text by column; nil when there is none.
func row(ctx context.Context, q sqldb.Querier, stmt string) (values map[string]string, err error) {
	rows, err := q.QueryContext(ctx, stmt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil || !rows.Next() {
		return nil, errors.Join(err, rows.Err())
	}
	cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	values = make(map[string]string, len(names))
	for i, name := range names {
		values[name] = cells[i].String
	}
	return values, nil
}
