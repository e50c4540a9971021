package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
)

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

// mysqlConn is one connection. As every driver.Conn it is used by one goroutine at a time, which
// owns all its fields.
//
// The server binds the values of its statements, which are prepared, and kept: so no value can end
// the text that it belongs to. On a connection that joins, values stand in the texts instead,
// spelled in the character set that it was seen to have: only joined uses such a connection.
type mysqlConn struct {
	driverConn
	of         *mysqlConnector
	generation uint64     // of the server's role when it was made: see serverRole
	joins      bool       // several statements may go in one text
	node       bool       // the server is a node of Galera
	within     bool       // a transaction has begun
	packet     int        // bytes that the server takes in one piece: its max_allowed_packet
	statements statements // used where it does not join
	buffer     []byte     // empty, for the next text of joined; used where it joins
	lost       bool       // it must not be used again
}

// BeginTx implements driver.ConnBeginTx.
func (c *mysqlConn) BeginTx(ctx context.Context, opt driver.TxOptions) (driver.Tx, error) {
	if opt != (driver.TxOptions{}) {
		return nil, errors.New("a transaction is to be of another kind than all others")
	}
	if err := c.prepareMissed(ctx); err != nil {
		return nil, err
	}
	_, err := c.ExecContext(ctx, begin, nil)
	c.within = err == nil
	return mysqlTx{c, ctx}, err
}

// ExecContext implements driver.ExecerContext.
func (c *mysqlConn) ExecContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	writes := query != begin && query != rollback
	return run(ctx, c, query, args, writes, c.driverConn.ExecContext,
		func(stmt driver.Stmt) (driver.Result, error) {
			return stmt.(driver.StmtExecContext).ExecContext(ctx, args)
		})
}

// QueryContext implements driver.QueryerContext.
func (c *mysqlConn) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	return run(ctx, c, query, args, false, c.driverConn.QueryContext,
		func(stmt driver.Stmt) (driver.Rows, error) {
			return stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
		})
}

// run runs one text, by asText as it is, or by prepared as a statement that the server has
// prepared.
func run[R any](
	ctx context.Context, c *mysqlConn, query string, args []driver.NamedValue, writes bool,
	asText func(context.Context, string, []driver.NamedValue) (R, error),
	prepared func(driver.Stmt) (R, error),
) (result R, err error) {
	if c.lost {
		return result, driver.ErrBadConn
	}
	c.of.note.hear(query, args)
	switch err = c.fits(query, args); {
	case err != nil:
	case c.joins, len(args) == 0:
		result, err = asText(ctx, query, args)
	default:
		result, err = bound(ctx, c, query, args, asText, prepared)
	}
	return result, c.heard(err, writes)
}

// heard notes what an answer says of the server, and returns its error. wrote means that it is the
// answer to a write. Where there is no answer, nobody knows what was done, so that nothing may
// follow it on this connection.
func (c *mysqlConn) heard(err error, wrote bool) error {
	switch {
	case errors.Is(err, driver.ErrSkip):
		// else database/sql would prepare the text as one statement
		err = errors.New("the driver cannot bind the values of a statement, or it is too large")
		c.lost = true
	case takesNoWrites(err):
		if !c.of.role.refused.Swap(true) {
			c.of.role.generation.Add(1)
		}
		c.lost = true
	case err != nil:
		c.lost = c.lost || Code(err) == 0
	case wrote && c.of.role.refused.CompareAndSwap(true, false):
		c.generation = c.of.role.generation.Add(1)
	}
	return err
}

// ResetSession implements driver.SessionResetter; it is called before a connection is used again.
func (c *mysqlConn) ResetSession(ctx context.Context) error {
	if c.generation != c.of.role.generation.Load() {
		return driver.ErrBadConn
	}
	return c.driverConn.ResetSession(ctx)
}

// IsValid implements driver.Validator; it is called when a connection is given back.
func (c *mysqlConn) IsValid() bool {
	return !c.lost && c.generation == c.of.role.generation.Load() && c.driverConn.IsValid()
}

// mysqlTx is the transaction of a connection.
type mysqlTx struct {
	*mysqlConn
	ctx context.Context
}

// Commit implements driver.Tx. It waits as long as the connection waits for any answer, also when
// the context of the transaction has ended. The error is notCommitted when the connection was lost
// before.
func (tx mysqlTx) Commit() error {
	defer func() { tx.within = false }()
	if tx.lost {
		return notCommitted{errors.Join(driver.ErrBadConn, tx.Rollback())}
	}
	_, err := tx.driverConn.ExecContext(context.WithoutCancel(tx.ctx), "COMMIT", nil)
	tx.lost = tx.lost || err != nil && !undoneByOthers(err)
	return tx.heard(err, false)
}

// Rollback implements driver.Tx.
func (tx mysqlTx) Rollback() error {
	defer func() { tx.within = false }()
	if !tx.driverConn.IsValid() { // the server undoes what a broken connection has begun
		return nil
	}
	_, err := tx.driverConn.ExecContext(context.WithoutCancel(tx.ctx), rollback, nil)
	tx.lost = tx.lost || err != nil
	return err
}
