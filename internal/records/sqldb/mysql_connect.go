package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// mysqlConnector makes the connections of a pool, and takes those out of use that lead to a server
// which is the master no more: after a failover the old one may still run, and answer those who
// read from it.
type mysqlConnector struct {
	driver.Connector
	addr    string
	dialect mysqlDialect
	log     *slog.Logger
	note    Note
	role    *serverRole // shared by all pools of one server

	mayJoin bool // several statements may go in one text, if the server is no node of Galera
	join    Joining

	silence time.Duration // how long the server may be silent before a connection is given up

	unbound atomic.Bool // the log says that values go with the texts: see mysqlConn.cannotBind
}

// serverRole is what is known of whether a server is the master. All connections to it share one.
type serverRole struct {
	// generation is raised when the server refuses writes, and when one takes them again:
	// connections made before that are not used any more, for reads neither.
	generation atomic.Uint64
	refused    atomic.Bool // writes, the last time
	node       atomic.Bool // of Galera, the last that was connected to
}

// charset and collation are what a connection speaks. Were the server to read a text in another
// character set, a value could end the text that it stands in.
const (
	charset   = "utf8mb4"
	collation = "utf8mb4_bin"
)

// session is what every connection says first, so that what we rely on depends neither on the
// server's configuration nor on its init_connect. A wait for a lock ends before the request that
// waits.
var session = []string{
	"SET NAMES " + charset + " COLLATE " + collation + ", SESSION sql_mode='" + sqlMode + "', " +
		"SESSION autocommit=1, SESSION completion_type=0, SESSION innodb_lock_wait_timeout=3, " +
		"SESSION sql_select_limit=18446744073709551615, SESSION sql_safe_updates=0, " +
		"SESSION sql_big_selects=1, SESSION sql_auto_is_null=0",
	"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
}

const sqlMode = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

// heldVariables asks what a connection has become. The isolation has two names; every server knows
// one of them.
const heldVariables = "SHOW VARIABLES WHERE Variable_name IN (" +
	"'character_set_client','character_set_connection','character_set_results'," +
	"'collation_connection','sql_mode','autocommit','tx_isolation','transaction_isolation'," +
	"'wsrep_on','max_allowed_packet')"

// Connect implements driver.Connector. A connection that does not become what session says is not
// used.
func (c *mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	generation := c.role.generation.Load()
	begun := time.Now()
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		if time.Since(begun) < c.silence {
			err = lettingIn(c.addr, err)
		}
		return nil, err
	}
	inner, ok := conn.(driverConn)
	if !ok {
		err := fmt.Errorf("the MySQL driver's connection (%T) cannot do all it must", conn)
		return nil, errors.Join(err, conn.Close())
	}
	m := &mysqlConn{driverConn: inner, of: c, generation: generation, statements: newStatements()}
	if err := m.setUp(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return m, nil
}

// setUp says what a connection is, asks whether it has become that, and finds out whether texts are
// joined on it.
func (m *mysqlConn) setUp(ctx context.Context) (err error) {
	for _, text := range session {
		if _, err := m.driverConn.ExecContext(ctx, text, nil); err != nil {
			return err
		}
	}
	has, err := m.of.verify(ctx, m.driverConn)
	if err != nil {
		return err
	}
	m.node = strings.EqualFold(has["wsrep_on"], "ON")
	if m.packet, err = strconv.Atoi(has["max_allowed_packet"]); err != nil {
		m.packet = LeastPacket
	}
	m.of.role.node.Store(m.node)
	if m.of.mayJoin && !m.node {
		m.joins, err = m.of.mayBeJoined(ctx, m.driverConn)
	}
	return err
}

// mayBeJoined reports whether texts are joined on a connection.
func (c *mysqlConnector) mayBeJoined(ctx context.Context, conn driverConn) (bool, error) {
	rows, err := textRows(ctx, conn, "SELECT @@wsrep_on")
	switch code := Code(err); {
	case code == errNoVariable:
		return true, nil
	case err == nil && len(rows) == 1:
		return rows[0][0] != "1" && !strings.EqualFold(rows[0][0], "ON"), nil
	case err != nil && code == 0:
		return false, err
	default:
		return c.join == JoinAlways, nil
	}
}

// verify asks whether what session says holds: something between this process and the server may
// have kept it from the server. It returns heldVariables, by their names in lower case.
func (c *mysqlConnector) verify(
	ctx context.Context, conn driverConn,
) (has map[string]string, err error) {
	rows, err := textRows(ctx, conn, heldVariables)
	if err != nil {
		return nil, err
	}
	has = make(map[string]string, len(rows))
	for _, row := range rows {
		has[strings.ToLower(row[0])] = row[1]
	}
	if has["transaction_isolation"] == "" {
		has["transaction_isolation"] = has["tx_isolation"]
	}
	for _, want := range [][2]string{
		{"character_set_client", charset}, {"character_set_connection", charset},
		{"character_set_results", charset}, {"collation_connection", collation},
		{"autocommit", "ON"}, {"transaction_isolation", "READ-COMMITTED"},
	} {
		if name := want[0]; !strings.EqualFold(has[name], want[1]) {
			return nil, notHeld(c.addr, name, want[1], has[name])
		}
	}
	modes := func(list string) []string { return slices.Sorted(strings.SplitSeq(list, ",")) }
	if is := has["sql_mode"]; !slices.Equal(modes(is), modes(sqlMode)) {
		return nil, notHeld(c.addr, "sql_mode", sqlMode, is)
	}
	return has, nil
}

func notHeld(addr, name, want, is string) error {
	return fmt.Errorf("the connection to MySQL at %s has %s %q after it was set to %q, and is not "+
		"used: see whether a proxy in between, or the server, keeps sessions from setting it",
		addr, name, is, want)
}

// textRows returns the rows of a query without values, as text.
func textRows(ctx context.Context, conn driverConn, query string) (all [][]string, err error) {
	rows, err := conn.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		row := make([]driver.Value, len(rows.Columns()))
		switch err := rows.Next(row); {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, err
		}
		texts := make([]string, len(row))
		for i, v := range row {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			texts[i] = fmt.Sprint(v)
		}
		all = append(all, texts)
	}
}
