package checkup

import (
	"cmp"
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

// arrivalPause is how long to wait before asking again whether something has arrived.
const arrivalPause = 20 * time.Millisecond

// CheckReplica connects to the server that is read, and reports how fit it is beside its master,
// which is reached as CheckMaster does. It changes nothing but one row of IMProxyMark on the
// master, for as long as that takes to reach the replica. A master that cannot be reached is
// CheckMaster's to report.
func CheckReplica(ctx context.Context, master, replica sqldb.MySQL, opt CheckOptions) []Finding {
	c, reached := inspect(ctx, replica, opt)
	defer c.close()
	if !reached || !c.cluster(ctx) {
		return c.found
	}
	m, masterReached := inspect(ctx, master, opt)
	defer m.close()
	if masterReached && c.serverID() == m.serverID() {
		c.add(Goodf("replication", "none: it is the master's own server under another name"))
	} else {
		c.onlyRead()
		if masterReached {
			c.arrival(ctx, m)
		}
	}
	c.prepared()
	c.idle()
	rights := func(ctx context.Context) error { return c.rightsOn(ctx, needsRead) }
	c.all(ctx, question{item: "connections", ask: c.connections},
		question{item: "clock", ask: c.clock}, question{item: "tables", ask: c.copied},
		question{item: "rights", ask: rights, many: true})
	return c.found
}

// serverID is the same for all addresses of a server, and differs from one server to another.
func (c *inspection) serverID() string {
	return strings.Join([]string{c.vars["server_uuid"], c.vars["hostname"], c.vars["port"],
		c.vars["datadir"], c.vars["pid_file"]}, "|")
}

// onlyRead checks whether a replica takes no writes.
func (c *inspection) onlyRead() {
	const item = "read_only"
	switch {
	case c.galera():
		c.add(Goodf(item, "off, as on every node of a cluster"))
	case c.on("read_only"), c.on("super_read_only"), c.on("innodb_read_only"):
		c.add(Goodf(item, "on"))
	default:
		c.add(Doubt(item, "off: what is written here by mistake makes it differ from its master",
			setGlobal(item, "1")))
	}
}

// arrival writes a row on the master and waits for it on the replica.
func (c *inspection) arrival(ctx context.Context, m *inspection) {
	const item = "replication"
	name := "check:" + rand.Text()
	exec := func(ctx context.Context, statement string) error {
		return bounded(ctx, m.StatementTimeout, func(ctx context.Context) error {
			_, err := sqldb.Exec(ctx, m.db, statement, name)
			return err
		})
	}
	begun := c.opt.Now()
	if err := exec(ctx, "INSERT INTO IMProxyMark (name,value) VALUES (?,1)"); err != nil {
		err = c.Explain(err)
		c.add(unseen(item, fmt.Errorf("no row can be written on the master: %w", err)))
		return
	}
	defer func() { // also when ctx has ended; a row that stays does no harm
		_ = exec(context.WithoutCancel(ctx), "DELETE FROM IMProxyMark WHERE name=?")
	}()
	waiting, cancel := context.WithTimeout(ctx, c.opt.Patience)
	defer cancel()
	for {
		var n int
		const query = "SELECT COUNT(*) FROM IMProxyMark WHERE name=?"
		err := c.db.QueryRowContext(waiting, query, name).Scan(&n)
		code := sqldb.Code(err)
		switch {
		case n > 0:
			took := c.opt.Now().Sub(begun).Milliseconds()
			c.add(Goodf(item, "a row came from the master in %d ms", took))
			return
		case code == sqldb.CodeNoTable, code == sqldb.CodeTableDenied: // other findings say so
		case err != nil && waiting.Err() == nil:
			c.add(unseen(item, c.Explain(err)))
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

// noArrival says why nothing arrives, as far as the user may see that on the replica.
func (c *inspection) noArrival(ctx context.Context, item string) {
	var status map[string]string
	err := bounded(ctx, c.StatementTimeout, func(ctx context.Context) (err error) {
		// Servers before 2020 know only the latter.
		for _, stmt := range []string{"SHOW REPLICA STATUS", "SHOW SLAVE STATUS"} {
			if status, err = row(ctx, c.db, stmt); err == nil {
				return nil
			}
		}
		return err
	})
	if err == nil && status == nil {
		c.add(Fault(item, "it is no replica: nothing comes from the master",
			"set up replication there, or mend "+c.key("host")+"; without a replica take "+
				c.opt.Name+" out of DBInstances"))
		return
	}
	text := fmt.Sprintf("a row written on the master did not come within %v; until rows come, all "+
		"is read from the master", c.opt.Patience)
	if err == nil { // most users may not ask
		either := func(newer, older string) string { return cmp.Or(status[newer], status[older]) }
		why := either("Last_IO_Error", "Last_SQL_Error")
		if why == "" {
			why = fmt.Sprintf("receiving: %s, applying: %s, seconds behind: %s",
				either("Replica_IO_Running", "Slave_IO_Running"),
				either("Replica_SQL_Running", "Slave_SQL_Running"),
				either("Seconds_Behind_Source", "Seconds_Behind_Master"))
		}
		text += " (" + why + ")"
	}
	c.add(Doubt(item, text, "look at SHOW REPLICA STATUS there, or mend "+c.key("host")+" and "+
		c.key("port")))
}

// copied checks whether the replica has the tables.
func (c *inspection) copied(ctx context.Context) error {
	if err := c.readTables(ctx); err != nil {
		return err
	}
	old, _ := c.seen.Absent(tables.Old())
	own, _ := c.seen.Absent(tables.New())
	const item = "tables"
	const mend = "see whether it replicates all tables of the database, and that this user " +
		"sees them"
	switch {
	case len(c.seen.Misnamed()) > 0:
		c.add(Fault(item, "in other letters than they must be: "+tables.WhyMisnamed,
			c.seen.Renaming()))
	case len(old) > 0:
		c.add(Fault(item, "missing: "+list(append(old, own...)), mend))
	case len(own) > 0:
		c.add(Doubt(item, "missing: "+list(own)+"; until they come, all is read from the master",
			"once the master has them, "+mend))
	default:
		c.add(Goodf(item, "all are there, with all columns"))
	}
	return nil
}

// row is the first row of an answer, as text by column; nil when there is none.
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
