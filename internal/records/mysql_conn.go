package records

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
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
// the text that it belongs to.
//
// A connection that joins saves round trips instead, within a transaction: the begin, and what is
// executed with later, go to the server together with the statement that comes next, as one text.
// The statements are constants of ours, and the driver puts in the values, in a character set that
// the connection was seen to have.
type mysqlConn struct {
	driverConn
	of         *mysqlConnector
	generation uint64
	joins      bool
	node       bool       // to a node of Galera
	within     bool       // a transaction
	packet     int        // bytes that the server takes in one piece: its max_allowed_packet
	statements statements // where it does not join

	kept []string // statements that go with the next one
	args []driver.NamedValue
	size int  // of both, in bytes
	lost bool // it is not to be used again
}

const (
	begin    = "START TRANSACTION"
	rollback = "ROLLBACK"
)

type laterKey struct{}

// later lets a connection that joins keep back what is executed with the context it returns, until
// the transaction's next query, or its end. Nothing is known then of what it affects, and its error
// may be that of the query, or of the end.
func later(ctx context.Context) context.Context { return context.WithValue(ctx, laterKey{}, true) }

func (c *mysqlConn) joinsTexts() bool { return c.joins }

// BeginTx implements driver.ConnBeginTx.
func (c *mysqlConn) BeginTx(ctx context.Context, opt driver.TxOptions) (driver.Tx, error) {
	if opt != (driver.TxOptions{}) {
		return nil, errors.New("a transaction is to be of another kind than all others")
	}
	if c.joins {
		c.kept, c.size = []string{begin}, len(begin)
		return mysqlTx{c, ctx}, nil
	}
	if err := c.prepareMissed(ctx); err != nil {
		return nil, err
	}
	_, err := c.ExecContext(ctx, begin, nil)
	c.within = err == nil
	return mysqlTx{c, ctx}, err
}

// untouched reports whether the server knows nothing yet of a transaction.
func (c *mysqlConn) untouched() bool { return len(c.kept) > 0 && c.kept[0] == begin }

// ExecContext implements driver.ExecerContext.
func (c *mysqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.lost {
		return nil, driver.ErrBadConn
	}
	if c.joins && ctx.Value(laterKey{}) != nil {
		size := sizeOf(query, args)
		if c.size > 0 && c.size+size > c.packet-packetRoom {
			if err := c.sendKept(ctx); err != nil {
				return nil, err
			}
		}
		c.kept, c.args, c.size = append(c.kept, query), append(c.args, args...), c.size+size
		return driver.RowsAffected(0), nil
	}
	query, args = c.together(query, args)
	res, err := c.exec(ctx, query, args)
	return res, c.heard(err, query != begin && query != rollback)
}

// sendKept executes what was kept back, as no more goes into the packet with it.
func (c *mysqlConn) sendKept(ctx context.Context) error {
	last := len(c.kept) - 1
	query := c.kept[last]
	c.kept = c.kept[:last]
	query, args := c.together(query, nil)
	_, err := c.exec(ctx, query, args)
	return c.heard(err, true)
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
func (c *mysqlConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.lost {
		return nil, driver.ErrBadConn
	}
	wrote := len(c.args) > 0
	if c.size+sizeOf(query, args) > c.packet-packetRoom && len(c.args) > 0 {
		if err := c.sendKept(ctx); err != nil {
			return nil, err
		}
	}
	query, args = c.together(query, args)
	rows, err := c.query(ctx, query, args)
	return rows, c.heard(err, wrote)
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

// together is a statement and what was kept back for it.
func (c *mysqlConn) together(query string, args []driver.NamedValue) (string, []driver.NamedValue) {
	if len(c.kept) > 0 {
		query, args = strings.Join(append(c.kept, query), ";\n"), append(c.args, args...)
		c.kept, c.args, c.size = nil, nil, 0
	}
	return query, args
}

// heard notes what an answer says of the server. wrote: it is that to a write. Where there is none, what was kept back may
// not have been done, so that nothing may follow it.
func (c *mysqlConn) heard(err error, wrote bool) error {
	switch {
	case errors.Is(err, driver.ErrSkip): // now database/sql would prepare the statement, without what was kept back for it
		err = errors.New("the driver cannot bind the values of a statement, or it is too large")
		c.lost = true
	case takesNoWrites(err):
		if !c.of.role.refused.Swap(true) {
			c.of.role.generation.Add(1)
		}
		c.lost = true
	case err != nil:
		c.lost = c.lost || mysqlCode(err) == 0
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

// Commit implements driver.Tx. What was kept back goes with the COMMIT, and is waited for until the transaction's context
// ends; the COMMIT itself for as long as the connection waits for anything. The error is notCommitted when the server did
// not come to the COMMIT.
func (tx mysqlTx) Commit() error {
	defer func() { tx.within = false }()
	switch {
	case tx.untouched() && len(tx.kept) == 1:
		tx.kept, tx.size = nil, 0
		return nil
	case len(tx.kept) == 0:
		if tx.lost {
			return notCommitted{errors.Join(driver.ErrBadConn, tx.Rollback())}
		}
		_, err := tx.driverConn.ExecContext(context.WithoutCancel(tx.ctx), "COMMIT", nil)
		tx.lost = tx.lost || err != nil && !undoneByOthers(err)
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
	err = tx.heard(answerOfCommit(rows), true)
	tx.lost = tx.lost || err != nil
	return errors.Join(err, rows.Close())
}

// answerOfCommit reads what follows the row of a SELECT.
func answerOfCommit(rows driver.Rows) error {
	row := make([]driver.Value, 1)
	for {
		if err := rows.Next(row); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	results, ok := rows.(driver.RowsNextResultSet)
	if !ok || !results.HasNextResultSet() {
		return errors.New("there was no answer to a COMMIT")
	}
	if err := results.NextResultSet(); err != io.EOF { // it has no rows, and is the last
		return err
	}
	return nil
}

// Rollback implements driver.Tx.
func (tx mysqlTx) Rollback() error {
	defer func() { tx.within = false }()
	untouched := tx.untouched()
	tx.kept, tx.args, tx.size = nil, nil, 0
	if untouched || !tx.driverConn.IsValid() { // a connection that is gone has taken it along
		return nil
	}
	_, err := tx.driverConn.ExecContext(context.WithoutCancel(tx.ctx), rollback, nil)
	tx.lost = tx.lost || err != nil
	return err
}

// notCommitted is the error of a transaction's end that came before its COMMIT.
type notCommitted struct{ error }

func (n notCommitted) Unwrap() error { return n.error }
