package records

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"net/url"
	"time"
)

// OpenNoting is OpenSQLite for tests of how statements run: note hears every statement of the store before it runs. The
// file must have its tables.
func OpenNoting(path string, opt Options, note func(query string, args []driver.NamedValue)) *Store {
	open := func(txlock string) *sql.DB {
		query := url.Values{"_txlock": {txlock}, "_pragma": {"busy_timeout(3000)"}}
		db := sql.OpenDB(notingConnector{sqliteConnector{dsn: "file:" + path + "?" + query.Encode()}, note})
		db.SetMaxOpenConns(1)
		return db
	}
	return newStore(open("immediate"), open("deferred"), sqliteDialect{}, opt)
}

type notingConnector struct {
	sqliteConnector
	note func(string, []driver.NamedValue)
}

func (c notingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.sqliteConnector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &notingConn{conn.(*sqliteConn), c.note}, nil
}

type notingConn struct {
	*sqliteConn
	note func(string, []driver.NamedValue)
}

func (c *notingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.note(query, args)
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c *notingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.note(query, args)
	return c.sqliteConn.QueryContext(ctx, query, args)
}

// OpenNotingMySQL is OpenMySQL without a replica; note hears every statement of the store before it runs.
func OpenNotingMySQL(m MySQL, opt Options, note func(query string, args []driver.NamedValue)) (*Store, error) {
	batches, others := m.split()
	toStore, err := batches.batchConnector(opt.Log)
	if err != nil {
		return nil, err
	}
	connector, err := others.connector(opt.Log)
	if err != nil {
		return nil, err
	}
	connector.role = toStore.role
	db := others.pool(notingMySQL{connector, note})
	s := newStore(db, db, mysqlDialect{}, opt)
	s.batches, s.role = batches.pool(notingMySQL{toStore, note}), toStore.role
	s.statement = cmp.Or(m.StatementTimeout, readTimeout)
	return s, nil
}

type notingMySQL struct {
	driver.Connector
	note func(string, []driver.NamedValue)
}

func (c notingMySQL) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return notingMySQLConn{conn.(*mysqlConn), c.note}, nil
}

type notingMySQLConn struct {
	*mysqlConn
	note func(string, []driver.NamedValue)
}

func (c notingMySQLConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.note(query, args)
	return c.mysqlConn.ExecContext(ctx, query, args)
}

func (c notingMySQLConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.note(query, args)
	return c.mysqlConn.QueryContext(ctx, query, args)
}

// Unheard are statements for servers that have a replica, fail, or are of another kind than those of the tests.
var Unheard = []string{raiseMark, tryWrite, membersOfGroup}

// Unshared has requests of a store run queries of their own.
func Unshared(s *Store) { s.reader.batches = newBatches(reader{s, s.read, nil}, 1<<30) }

// SetMaxLag sets how far behind a store's replica may be.
func SetMaxLag(s *Store, lag time.Duration) {
	s.replica.mu.Lock()
	defer s.replica.mu.Unlock()
	s.replica.maxLag = lag
}

// InMind is how many subjects a store keeps away from its replica.
func InMind(s *Store) int {
	s.replica.mu.RLock()
	defer s.replica.mu.RUnlock()
	return len(s.replica.wrote)
}

// GroupMember is a member of a replication group.
type GroupMember = groupMember

// NewGroupMember is one as its server shows it.
func NewGroupMember(id, addr, state, role string) GroupMember {
	return groupMember{id, addr, state, role}
}

// GroupFindings is what a check says of a member whose variables are vars.
var GroupFindings = groupFindings
