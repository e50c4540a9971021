package records

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

// mysqlConnector prepares every connection of a pool, and takes those out of use that lead to a server which is the
// master no more. After a failover the old one may still run, and answer who reads from it.
type mysqlConnector struct {
	driver.Connector
	// generation is raised when the server refuses writes, and when one takes them again: connections made before that
	// are not used any more, for reads neither.
	generation atomic.Uint64
	refused    atomic.Bool // writes, the last time
}

// Connect implements driver.Connector.
func (c *mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	generation := c.generation.Load()
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(driverConn)
	if !ok {
		err = fmt.Errorf("the MySQL driver's connection (%T) cannot do all it must", conn)
	} else {
		_, err = inner.ExecContext(ctx, session, nil)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &mysqlConn{driverConn: inner, of: c, generation: generation}, nil
}

// driverConn is what a connection of the driver can do.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// mysqlConn is one connection. As every driver.Conn it is used by one goroutine at a time.
//
// Within a transaction it saves round trips: the begin, and what is executed with later, go to the server together with
// the statement that comes next, as one text. The statements are constants of ours and the driver binds the values, so no
// value can end one.
type mysqlConn struct {
	driverConn
	of         *mysqlConnector
	generation uint64

	kept []string // statements that go with the next one
	args []driver.NamedValue
	lost bool // a transaction may be open still
}

const begin = "START TRANSACTION"

type laterKey struct{}

// later has a connection keep back what is executed with the context it returns, until the transaction's next query, or
// its end. Nothing is known then of what it affects, and its error is that of the query, or of the end.
func later(ctx context.Context) context.Context { return context.WithValue(ctx, laterKey{}, true) }

// BeginTx implements driver.ConnBeginTx.
func (c *mysqlConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	c.kept = []string{begin}
	return mysqlTx{c, ctx}, nil
}

// untouched reports whether the server knows nothing yet of a transaction.
func (c *mysqlConn) untouched() bool { return len(c.kept) > 0 && c.kept[0] == begin }

// ExecContext implements driver.ExecerContext.
func (c *mysqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if ctx.Value(laterKey{}) != nil {
		c.kept, c.args = append(c.kept, query), append(c.args, args...)
		return driver.RowsAffected(0), nil
	}
	query, args = c.together(query, args)
	res, err := c.driverConn.ExecContext(ctx, query, args)
	return res, c.heard(err, true)
}

// QueryContext implements driver.QueryerContext.
func (c *mysqlConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	wrote := len(c.args) > 0
	query, args = c.together(query, args)
	rows, err := c.driverConn.QueryContext(ctx, query, args)
	return rows, c.heard(err, wrote)
}

// together is a statement and what was kept back for it.
func (c *mysqlConn) together(query string, args []driver.NamedValue) (string, []driver.NamedValue) {
	if len(c.kept) > 0 {
		query, args = strings.Join(append(c.kept, query), ";\n"), append(c.args, args...)
		c.kept, c.args = nil, nil
	}
	return query, args
}

// heard notes what an answer says of the server. wrote: it is that to a write.
func (c *mysqlConn) heard(err error, wrote bool) error {
	switch {
	case errors.Is(err, driver.ErrSkip): // now database/sql would prepare the statement, without what was kept back for it
		return errors.New("the driver cannot bind the values of a statement, or it is too large")
	case takesNoWrites(err):
		c.of.refused.Store(true)
		c.of.generation.CompareAndSwap(c.generation, c.generation+1)
	case err == nil && wrote && c.of.refused.CompareAndSwap(true, false):
		c.generation = c.of.generation.Add(1)
	}
	return err
}

// ResetSession implements driver.SessionResetter; it is called before a connection is used again.
func (c *mysqlConn) ResetSession(ctx context.Context) error {
	if c.generation != c.of.generation.Load() {
		return driver.ErrBadConn
	}
	return c.driverConn.ResetSession(ctx)
}

// IsValid implements driver.Validator; it is called when a connection is given back.
func (c *mysqlConn) IsValid() bool {
	return !c.lost && c.generation == c.of.generation.Load() && c.driverConn.IsValid()
}

// mysqlTx is the transaction of a connection.
type mysqlTx struct {
	*mysqlConn
	ctx context.Context
}

// Commit implements driver.Tx. What was kept back goes with the COMMIT, and is waited for until the transaction's context
// ends; the COMMIT itself for as long as the connection waits for anything. The error is notCommitted when the server did
// not come to the COMMIT.
func (tx mysqlTx) Commit() error {
	switch {
	case tx.untouched() && len(tx.kept) == 1:
		tx.kept = nil
		return nil
	case len(tx.kept) == 0:
		_, err := tx.driverConn.ExecContext(context.WithoutCancel(tx.ctx), "COMMIT", nil)
		return tx.heard(err, false)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tx.ctx))
	defer cancel()
	ended := context.AfterFunc(tx.ctx, cancel)
	defer ended()
	rows, err := tx.QueryContext(ctx, "SELECT 1;\nCOMMIT", nil) // the SELECT has an answer when all before it was done
	if mysqlCode(err) != 0 || errors.Is(err, driver.ErrBadConn) {
		return notCommitted{errors.Join(err, tx.Rollback())}
	}
	if err != nil {
		return err
	}
	ended()
	results, ok := rows.(driver.RowsNextResultSet)
	if !ok || !results.HasNextResultSet() {
		err = errors.New("there was no answer to a COMMIT")
	} else if err = results.NextResultSet(); err == io.EOF { // it has one, without rows, and is the last
		err = nil
	}
	return errors.Join(tx.heard(err, true), rows.Close())
}

// Rollback implements driver.Tx.
func (tx mysqlTx) Rollback() error {
	untouched := tx.untouched()
	tx.kept, tx.args = nil, nil
	if untouched || !tx.driverConn.IsValid() { // a connection that is gone has taken it along
		return nil
	}
	_, err := tx.driverConn.ExecContext(context.WithoutCancel(tx.ctx), "ROLLBACK", nil)
	tx.lost = err != nil
	return err
}

// notCommitted is the error of a transaction's end that came before its COMMIT.
type notCommitted struct{ error }

func (n notCommitted) Unwrap() error { return n.error }
