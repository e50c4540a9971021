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

// mysqlConn is one connection. As every driver.Conn it is used by one goroutine at a time.
//
// The server binds the values of its statements, which are prepared, and kept: so no value can end
// the text that it belongs to. On a connection that joins, the driver puts the values into the text
// instead, in a character set that the connection was seen to have: only joined sends such texts.
type mysqlConn struct {
	driverConn
	of         *mysqlConnector
	generation uint64
	joins      bool
	node       bool       // to a node of Galera
	within     bool       // a transaction
	packet     int        // bytes that the server takes in one piece: its max_allowed_packet
	statements statements // where it does not join
	lost       bool       // it is not to be used again
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
	if c.lost {
		return nil, driver.ErrBadConn
	}
	c.of.note.hear(query, args)
	res, err := c.exec(ctx, query, args)
	return res, c.heard(err, query != begin && query != rollback)
}

// exec runs one text.
func (c *mysqlConn) exec(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Result, error) {
	if err := c.fits(query, args); err != nil {
		return nil, err
	}
	if c.joins || len(args) == 0 {
		return c.driverConn.ExecContext(ctx, query, args)
	}
	return bound(ctx, c, query, args, func(stmt driver.Stmt) (driver.Result, error) {
		return stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	}, func(text string) (driver.Result, error) {
		return c.driverConn.ExecContext(ctx, text, nil)
	})
}

// QueryContext implements driver.QueryerContext.
func (c *mysqlConn) QueryContext(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	if c.lost {
		return nil, driver.ErrBadConn
	}
	c.of.note.hear(query, args)
	rows, err := c.query(ctx, query, args)
	return rows, c.heard(err, false)
}

// query runs one text that has rows.
func (c *mysqlConn) query(
	ctx context.Context, query string, args []driver.NamedValue,
) (driver.Rows, error) {
	if err := c.fits(query, args); err != nil {
		return nil, err
	}
	if c.joins || len(args) == 0 {
		return c.driverConn.QueryContext(ctx, query, args)
	}
	return bound(ctx, c, query, args, func(stmt driver.Stmt) (driver.Rows, error) {
		return stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	}, func(text string) (driver.Rows, error) {
		return c.driverConn.QueryContext(ctx, text, nil)
	})
}

// heard notes what an answer says of the server. wrote: it is that to a write. Where there is no
// answer, nobody knows what was done, so that nothing may follow it on this connection.
func (c *mysqlConn) heard(err error, wrote bool) error {
	switch {
	case errors.Is(err, driver.ErrSkip): // now database/sql would prepare the text, as one statement
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

// Commit implements driver.Tx. It is waited for as long as the connection waits for anything. The
// error is notCommitted when the connection was lost before.
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
	if !tx.driverConn.IsValid() { // a connection that is gone has taken it along
		return nil
	}
	_, err := tx.driverConn.ExecContext(context.WithoutCancel(tx.ctx), rollback, nil)
	tx.lost = tx.lost || err != nil
	return err
}
