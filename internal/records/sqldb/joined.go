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
// of ours, and values are put into their texts (spell), in a character set that the connection was
// seen to have. It is for one goroutine.
type joined struct {
	conn   *sql.Conn
	packet int // bytes that the server takes in one piece

	text []byte // the statements that go with the next one
	sent bool   // the server knows of the transaction
}

// keptBuffer is how large a buffer a connection keeps at most, in bytes. It is enough for a batch
// of short messages.
const keptBuffer = 128 << 10

// joint stands between two statements of a text.
const joint = ";\n"

// newJoined begins a transaction on a connection. It takes the buffer of the connection, which it
// gives back with the COMMIT.
func newJoined(conn *sql.Conn, c *mysqlConn) *joined {
	j := &joined{conn: conn, packet: c.packet, text: append(c.buffer, begin...)}
	c.buffer = nil
	return j
}

// ExecContext keeps a statement back. What is too much for one packet with it is sent before it.
func (j *joined) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return driver.RowsAffected(0), j.keep(ctx, func(text []byte) ([]byte, error) {
		return spell(text, query, args, appendText)
	})
}

// QueryContext sends what was kept back, and a query with it.
func (j *joined) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil { // the driver would give up the connection for it
		return nil, err
	}
	if _, err := j.ExecContext(ctx, query, args...); err != nil {
		return nil, err
	}
	return j.conn.QueryContext(ctx, j.take())
}

// insert keeps back a statement that inserts rows, given flat, each of so many values. It begins
// and ends with head and tail.
func (j *joined) insert(
	ctx context.Context, head string, width int, rows []any, tail string,
) error {
	return j.keep(ctx, func(text []byte) (_ []byte, err error) {
		text = append(text, head...)
		for i, value := range rows {
			switch {
			case i%width > 0:
				text = append(text, ',')
			case i > 0:
				text = append(text, "),("...)
			default:
				text = append(text, '(')
			}
			if text, err = appendValue(text, value, appendText); err != nil {
				return text, err
			}
		}
		return append(append(text, ')'), tail...), nil
	})
}

// keep puts a statement behind what was kept back: add appends it to a text. If all that does not
// fit into one packet, it sends what was there before.
func (j *joined) keep(ctx context.Context, add func(text []byte) ([]byte, error)) (err error) {
	before := len(j.text)
	if before > 0 {
		j.text = append(j.text, joint...)
	}
	begins := len(j.text)
	if j.text, err = add(j.text); err != nil {
		return err
	}
	if before == 0 || len(j.text) <= j.packet-packetSpare {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	rest := j.text[begins:]
	j.text = j.text[:before]
	_, err = j.conn.ExecContext(ctx, j.take())
	j.text = rest
	return err
}

// take returns what was kept back, which is then kept no more.
func (j *joined) take() string {
	text := string(j.text)
	j.text, j.sent = j.text[:0], true
	return text
}

func (j *joined) insertIDs(
	ctx context.Context, query string, rows [][]any,
) (ids []int64, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	// Where a row gets no id of its own, this would still be that of a row before.
	one := "DO LAST_INSERT_ID(0);\n" + query + ";\nSELECT LAST_INSERT_ID()"
	text := strings.Repeat(one+joint, len(rows)-1) + one
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
	if !j.sent && len(j.text) == len(begin) {
		return nil
	}
	if _, err := j.ExecContext(ctx, endOfJoined); err != nil {
		return notCommitted{errors.Join(err, j.Rollback(ctx))}
	}
	text := j.take()
	var reached bool
	err := j.conn.Raw(func(c any) (err error) {
		m := c.(*mysqlConn)
		if cap(j.text) <= keptBuffer {
			m.buffer = j.text[:0]
		}
		reached, err = m.commitJoined(ctx, text)
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
func (c *mysqlConn) commitJoined(ctx context.Context, text string) (reached bool, err error) {
	bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unbind := context.AfterFunc(ctx, cancel)
	defer unbind()
	rows, err := c.QueryContext(bounded, text, nil)
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
	j.text = nil
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
