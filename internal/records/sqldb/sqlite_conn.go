package sqldb

import (
	"context"
	"database/sql/driver"
	"fmt"

	"modernc.org/sqlite"
)

// sqliteConnector opens connections to a SQLite file that keep their compiled statements: compiling
// takes longer than running for most of ours.
type sqliteConnector struct {
	dsn  string
	note Note
}

func (c sqliteConnector) Driver() driver.Driver { return &sqlite.Driver{} }

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(sqliteDriverConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("the SQLite driver's connection (%T) lacks an interface that "+
			"records need", conn)
	}
	return &sqliteConn{sqliteDriverConn: full, note: c.note, stmts: make(map[string]*keptStmt)}, nil
}

// sqliteDriverConn is what database/sql uses of the driver's connection.
type sqliteDriverConn interface {
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Conn
	driver.SessionResetter
	driver.Validator
}

// maxKept is how many compiled statements a connection keeps; then it begins anew.
const maxKept = 512

// sqliteConn is used by one goroutine at a time, as database/sql promises.
type sqliteConn struct {
	sqliteDriverConn
	note  Note
	stmts map[string]*keptStmt
}

// keptStmt is a compiled statement; busy while rows of it are being read.
type keptStmt struct {
	driver.Stmt
	busy bool
}

// prepared returns the compiled statement of a text. The error is driver.ErrSkip while rows of that
// statement are being read: then database/sql compiles the text once more, for this once.
func (c *sqliteConn) prepared(
	ctx context.Context, query string, args []driver.NamedValue,
) (*keptStmt, error) {
	c.note.hear(query, args)
	if s := c.stmts[query]; s != nil {
		if s.busy {
			return nil, driver.ErrSkip
		}
		return s, nil
	}
	if len(c.stmts) >= maxKept {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &keptStmt{Stmt: stmt}
	c.stmts[query] = s
	return s, nil
}

// forget closes the statements that are not busy.
func (c *sqliteConn) forget() error {
	for query, s := range c.stmts {
		if s.busy {
			continue
		}
		delete(c.stmts, query)
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

// ExecContext implements driver.ExecerContext.
func (c *sqliteConn) ExecContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	s, err := c.prepared(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *sqliteConn) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	s, err := c.prepared(ctx, query, args)
	if err != nil {
		return nil, err
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &keptRows{Rows: rows, stmt: s}, nil
}

// Close implements driver.Conn.
func (c *sqliteConn) Close() error {
	if err := c.forget(); err != nil {
		return err
	}
	return c.sqliteDriverConn.Close()
}

// keptRows gives its statement back when it is closed.
type keptRows struct {
	driver.Rows
	stmt *keptStmt
}

func (r *keptRows) Close() error {
	r.stmt.busy = false
	return r.Rows.Close()
}
