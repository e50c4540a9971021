package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// joined is a transaction on a connection of its own that sends several statements as one text.
//
// It saves round trips: the begin, and what is executed, are kept back and go to the server
// together with the next query, or with the COMMIT. Nothing is known then of what a statement
// affected, and its error may be that of a later one, or of the COMMIT. Statements are constants
// of ours, and the driver puts in the values, in a character set that the connection was seen to
// have. It is for one goroutine.
type joined struct {
	conn   *sql.Conn
	packet int // bytes that the server takes in one piece

	kept []string // statements that go with the next one
	args []any    // theirs
	size int      // of both, in bytes
	sent bool     // the server knows of the transaction
}

func newJoined(conn *sql.Conn, packet int) *joined {
	return &joined{conn: conn, packet: packet, kept: []string{begin}, size: len(begin)}
}

// ExecContext keeps a statement back. What is too much for one packet is sent before it.
func (j *joined) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	size := sizeOf(query, args)
	if err := j.makeFree(ctx, size); err != nil {
		return nil, err
	}
	j.kept, j.args, j.size = append(j.kept, query), append(j.args, args...), j.size+size
	return driver.RowsAffected(0), nil
}

// QueryContext sends what was kept back, and a query with it.
func (j *joined) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil { // the driver would give up the connection for it
		return nil, err
	}
	if err := j.makeFree(ctx, sizeOf(query, args)); err != nil {
		return nil, err
	}
	query, args = j.take(query, args)
	return j.conn.QueryContext(ctx, query, args...)
}

// makeFree sends what was kept back if more bytes do not fit into the packet with it.
func (j *joined) makeFree(ctx context.Context, more int) error {
	if j.size == 0 || j.size+more <= j.packet-packetSpare {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return j.sendKept(ctx)
}

// sendKept executes what was kept back.
func (j *joined) sendKept(ctx context.Context) error {
	last := len(j.kept) - 1
	query := j.kept[last]
	j.kept = j.kept[:last]
	query, args := j.take(query, nil)
	_, err := j.conn.ExecContext(ctx, query, args...)
	return err
}

// take returns a statement with what was kept back in front of it, which is then kept no more.
func (j *joined) take(query string, args []any) (string, []any) {
	j.sent = true
	if len(j.kept) > 0 {
		query, args = strings.Join(append(j.kept, query), ";\n"), append(j.args, args...)
		j.kept, j.args, j.size = nil, nil, 0
	}
	return query, args
}

func (j *joined) insertIDs(
	ctx context.Context, query string, rows [][]any,
) (ids []int64, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	// Where a row gets no id of its own, this would still be that of a row before.
	one := "DO LAST_INSERT_ID(0);\n" + query + ";\nSELECT LAST_INSERT_ID()"
	text := strings.Repeat(one+";\n", len(rows)-1) + one
	results, err := j.QueryContext(ctx, text, slices.Concat(rows...)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, results.Close()) }()
	for {
		for results.Next() {
			var id int64
			if err := results.Scan(&id); err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		if !results.NextResultSet() {
			if err := results.Err(); err != nil || len(ids) == len(rows) {
				return ids, err
			}
			return nil, fmt.Errorf("%d of %d rows have ids", len(ids), len(rows))
		}
	}
}

// Commit sends what is kept back and the COMMIT. It waits for the former until ctx ends, and for
// the COMMIT as long as the connection waits for any answer. The error is notCommitted when the
// server did not come to the COMMIT; then the transaction is undone.
func (j *joined) Commit(ctx context.Context) error {
	if !j.sent && len(j.kept) == 1 {
		return nil
	}
	if err := j.makeFree(ctx, len(endOfJoined)); err != nil {
		return notCommitted{errors.Join(err, j.Rollback(ctx))}
	}
	query, args := j.take(endOfJoined, nil)
	var reached bool
	err := j.conn.Raw(func(c any) (err error) {
		reached, err = c.(*mysqlConn).commitJoined(ctx, query, args)
		return err
	})
	if err != nil && !reached {
		return notCommitted{errors.Join(err, j.Rollback(ctx))}
	}
	return err
}

// endOfJoined ends a transaction. The SELECT has an answer when all before it was done, so that an
// error of an earlier statement is told from a COMMIT of which nothing is known.
const endOfJoined = "SELECT 1;\nCOMMIT"

// commitJoined runs a text that ends with endOfJoined. reached is false when the server certainly
// did not come to the COMMIT.
func (c *mysqlConn) commitJoined(
	ctx context.Context, query string, args []any,
) (reached bool, err error) {
	named := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
		if err := c.CheckNamedValue(&named[i]); err != nil {
			return false, err
		}
	}
	bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unbind := context.AfterFunc(ctx, cancel)
	defer unbind()
	rows, err := c.QueryContext(bounded, query, named)
	if err != nil {
		return Code(err) == 0 && !errors.Is(err, driver.ErrBadConn), err
	}
	unbind()
	err = c.heard(answerOfCommit(rows), true)
	c.lost = c.lost || err != nil
	return true, errors.Join(err, rows.Close())
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

// Rollback undoes the transaction. When that fails, the connection is not used again, and the
// server undoes the transaction as the connection ends.
func (j *joined) Rollback(ctx context.Context) error {
	j.kept, j.args, j.size = nil, nil, 0
	if !j.sent {
		return nil
	}
	_, err := j.conn.ExecContext(context.WithoutCancel(ctx), rollback)
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return nil // a connection that is gone has taken the transaction along
	}
	if err != nil {
		err = errors.Join(err, j.drop())
	}
	return err
}

// drop has the connection never be used again.
func (j *joined) drop() error {
	err := j.conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// notCommitted is the error of a transaction's end that came before its COMMIT.
type notCommitted struct{ error }

func (n notCommitted) Unwrap() error { return n.error }
