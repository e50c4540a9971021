// Package yardstick measures what a MySQL does by itself, with no proxy, so that the speed of a
// proxy can be told in shares of it, which hold on other machines, too. It has SQL of its own, as
// what it measures is the server, and not the statements of records. It works in a table of its
// own, of the form in which messages are stored, which it makes and removes.
package yardstick

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Table is the table that is made and removed.
const Table = "dbproxy_yardstick"

// Connections is how many connections it has at most.
const Connections = readers

const (
	writers    = 4   // connections that insert
	readers    = 16  // connections that select
	rowsAtOnce = 256 // rows of one transaction
	talks      = 50
	talkRows   = 25 // rows that each talk has before anything is measured
	page       = 20
)

// codeUnknownTable is what MySQL says of a table that is not there, and that one may drop.
const codeUnknownTable = 1051

// create makes the table: as IMMessage_0 of the original has it, with its four trees.
const create = "CREATE TABLE " + Table + ` (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, relateId INT UNSIGNED NOT NULL,
  fromId INT UNSIGNED NOT NULL, toId INT UNSIGNED NOT NULL, msgId INT UNSIGNED NOT NULL,
  content VARCHAR(4096) COLLATE utf8mb4_bin DEFAULT '', type TINYINT NOT NULL DEFAULT 1,
  status TINYINT NOT NULL DEFAULT 0, updated INT NOT NULL, created INT NOT NULL,
  KEY idx_relateId_status_created (relateId, status, created),
  KEY idx_relateId_status_msgId_created (relateId, status, msgId, created),
  KEY idx_fromId_toId_status (fromId, toId, status)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`

const (
	find   = "SELECT count(*) FROM (SELECT 1 FROM " + Table + " LIMIT 1) AS first"
	drop   = "DROP TABLE " + Table
	insert = "INSERT INTO " + Table +
		" (relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES "
	selectRow  = "SELECT msgId,fromId,type,created,content FROM " + Table + " WHERE id=?"
	selectPage = "SELECT msgId,fromId,type,created,content FROM " + Table +
		" WHERE relateId=? AND status=0 ORDER BY created DESC, id DESC LIMIT 20"
)

// Measure measures each of the three for so long, in the database that pool reaches, and removes
// the table again, also when ctx ends. An error says what of it was not possible.
func Measure(
	ctx context.Context, pool *sqldb.Pool, each time.Duration,
) (y bench.Yardsticks, err error) {
	if err := makeTable(ctx, pool); err != nil {
		return y, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if _, gone := pool.Connections().ExecContext(ctx, drop); gone != nil {
			err = errors.Join(err, fmt.Errorf("the table %s is not removed: drop it: %w", Table,
				explain(pool, gone)))
		}
	}()
	m := meter{ctx, pool, each}
	if err := m.fill(); err != nil {
		return y, explain(pool, err)
	}
	if y.Selects, err = m.reads(selectRow, 1, talks*talkRows); err != nil {
		return y, err
	}
	if y.Pages, err = m.reads(selectPage, page, talks); err != nil {
		return y, err
	}
	y.Rows, err = m.writes()
	return y, err
}

// makeTable makes the table. Before that it finds out whether the user may remove it, by removing
// it: it is missing, or empty and left by a measurement that could not. One with rows stays.
func makeTable(ctx context.Context, pool *sqldb.Pool) error {
	var rows int
	switch err := pool.Connections().QueryRowContext(ctx, find).Scan(&rows); {
	case rows > 0:
		return fmt.Errorf("the table %s is there and has rows: a measurement was killed, and "+
			"nobody removed it: drop it", Table)
	case err != nil && sqldb.Code(err) != sqldb.CodeNoTable:
		return explain(pool, err)
	}
	_, err := pool.Connections().ExecContext(ctx, drop)
	if err == nil || sqldb.Code(err) == codeUnknownTable {
		_, err = pool.Connections().ExecContext(ctx, create)
	}
	return explain(pool, err)
}

// explain adds to an error what can be done about it.
func explain(pool *sqldb.Pool, err error) error {
	if sqldb.Code(err) == sqldb.CodeTableDenied {
		return fmt.Errorf("%w: yardsticks want SELECT, INSERT, CREATE and DROP of the table %s: "+
			"grant the user that, or name another one", err, Table)
	}
	return pool.Explain(err)
}

// meter measures.
type meter struct {
	ctx  context.Context
	pool *sqldb.Pool
	each time.Duration
}

// fill gives each talk its rows.
func (m meter) fill() error {
	var rows []any
	for i := range talkRows {
		for talk := range talks {
			rows = append(rows, row(1+talk, i)...)
		}
	}
	values := strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?,?),", talks*talkRows), ",")
	_, err := m.pool.Connections().ExecContext(m.ctx, insert+values, rows...)
	return err
}

// content is what each row has, of 100 bytes.
var content = strings.Repeat("yardstick ", 10)

func row(talk, number int) []any {
	return []any{talk, talk, talk + 1, number + 1, content, 1, 0, number + 1, number + 1}
}

// during has so many workers, each with a connection, do something over and over for as long as is
// measured, and returns how much they did in a second.
func (m meter) during(
	workers int,
	open func(context.Context) (work func() (int, error), conn io.Closer, err error),
) (float64, error) {
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	var done atomic.Int64
	var opened, working sync.WaitGroup
	opened.Add(workers)
	begin := make(chan struct{})
	stop := make(chan struct{})
	for range workers {
		working.Go(func() {
			work, conn, err := open(ctx)
			if conn != nil {
				defer conn.Close()
			}
			opened.Done()
			<-begin
			for err == nil {
				select {
				case <-stop:
					return
				default:
				}
				var n int
				n, err = work()
				done.Add(int64(n))
			}
			cancel(err)
		})
	}
	opened.Wait()
	begun := time.Now()
	close(begin)
	timer := time.NewTimer(m.each)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	took, n := time.Since(begun), done.Load()
	close(stop)
	working.Wait()
	timer.Stop()
	if err := context.Cause(ctx); err != nil {
		return 0, explain(m.pool, err)
	}
	return float64(n) / took.Seconds(), nil
}

// reads measures a query that returns so many rows for each of the keys from 1 to the highest.
func (m meter) reads(query string, rows, highest int) (float64, error) {
	return m.during(readers, func(ctx context.Context) (func() (int, error), io.Closer, error) {
		conn, err := m.pool.Connections().Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		stmt, err := conn.PrepareContext(ctx, query)
		return func() (int, error) {
			found, err := stmt.QueryContext(ctx, 1+rand.IntN(highest))
			if err != nil {
				return 0, err
			}
			defer found.Close()
			n := 0
			for ; found.Next(); n++ {
				var id, from, typ, created uint32
				var text string
				if err := found.Scan(&id, &from, &typ, &created, &text); err != nil {
					return 0, err
				}
			}
			if n != rows && found.Err() == nil {
				return 0, fmt.Errorf("a query had %d rows, not %d", n, rows)
			}
			return 1, found.Err()
		}, conn, err
	})
}

// writes measures transactions that insert.
func (m meter) writes() (float64, error) {
	values := strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?,?),", rowsAtOnce), ",")
	return m.during(writers, func(ctx context.Context) (func() (int, error), io.Closer, error) {
		conn, err := m.pool.Connections().Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		stmt, err := conn.PrepareContext(ctx, insert+values)
		number := talkRows
		var rows []any
		return func() (int, error) {
			rows = rows[:0]
			for range rowsAtOnce {
				number++
				// Talks of their own, so that pages stay as they are.
				rows = append(rows, row(1+talks+rand.IntN(talks), number)...)
			}
			_, err := stmt.ExecContext(ctx, rows...) // a transaction by itself
			return rowsAtOnce, err
		}, conn, err
	})
}
