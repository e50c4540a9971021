package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Querier is what runs statements: a pool, a connection or a transaction.
type Querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Dialect is how the SQL of an engine differs from that of others, for those who write statements.
// There is one for each engine.
type Dialect interface {
	// ManyWriters reports whether other processes change rows at the same time, so that rows which
	// must stay as they are have to be locked.
	ManyWriters() bool
	// Remote reports whether each statement is a round trip to a server, so that few are better.
	Remote() bool
	// ForUpdate is appended to a SELECT in a transaction whose rows are to stay as they are until
	// its end.
	ForUpdate() string
	// Lookup begins a query for the rows of a table, named t, whose keys are one of n lists of
	// parameters. It ends in its WHERE: an AND and more may follow. Rows are locked in the order of
	// the lists. A list that is given twice may find its row twice.
	Lookup(columns, table string, keys []string, n int) string
	// Upsert is appended to an INSERT: where a row with these keys is there, the columns set are
	// overwritten.
	Upsert(keys, set []string) string
	// ForceIndex comes after the name of a table in a query: an engine that guesses which key is
	// the best one takes this one. Statistics that lag behind a growing table mislead such an
	// engine.
	ForceIndex(name string) string

	// Duplicate reports whether err refuses a second row with a unique key, lacksCharacter whether
	// a text was compared with columns whose character sets lack one of its characters.
	Duplicate(err error) bool
	lacksCharacter(err error) bool

	// insertRows is how many of the rows left (at least one) the next INSERT takes.
	insertRows(left int) int
	// listLength is how long a list of n keys is made: see Chunked.
	listLength(n int) int
	// joins reports whether several statements may go in one text.
	joins() bool
}

// Session is something to run statements on, with the dialect that they are written in.
type Session struct {
	Querier
	Dialect
}

// Tx is a transaction that writes. It is for one goroutine, and ends when the function returns that
// it was given to.
type Tx struct {
	Session
	rows inserter
}

// inserter inserts rows whose ids are wanted.
type inserter interface {
	insertIDs(ctx context.Context, query string, rows [][]any) ([]int64, error)
}

// InsertIDs runs a statement that inserts one row once for each list of arguments, and returns the
// ids of the rows, in their order. Where the table counts no ids, an id is 0: see NewID.
func (tx Tx) InsertIDs(ctx context.Context, query string, rows [][]any) ([]int64, error) {
	return tx.rows.insertIDs(ctx, query, rows)
}

// InsertID is InsertIDs for one row of a table, which must count its ids: see NewID.
func (tx Tx) InsertID(ctx context.Context, table, query string, row ...any) (uint32, error) {
	ids, err := tx.InsertIDs(ctx, query, [][]any{row})
	if err != nil {
		return 0, err
	}
	return NewID(table, ids[0], nil)
}

// The texts of a transaction's begin and of its undoing.
const (
	begin    = "START TRANSACTION"
	rollback = "ROLLBACK"
)

// Anew has the transaction undone, which releases its locks, then runs work, each
// statement of which is a transaction of its own, and begins the transaction anew.
func (tx Tx) Anew(ctx context.Context, work func() error) error {
	if _, err := Exec(ctx, tx, rollback); err != nil {
		return err
	}
	if err := work(); err != nil {
		return err
	}
	_, err := Exec(ctx, tx, begin)
	return err
}

// eachAtOnce is a transaction that runs each statement when it is told to.
type eachAtOnce struct{ *sql.Tx }

func (a eachAtOnce) insertIDs(
	ctx context.Context, query string, rows [][]any,
) (ids []int64, err error) {
	for _, row := range rows {
		res, err := a.ExecContext(ctx, query, row...)
		if err != nil {
			return nil, err
		}
		id, err := res.LastInsertId()
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// NewID is the id of a row that was just inserted into a table, given what the driver says of it.
// Where the table does not count its ids, or has counted too far, the error says so; its kind is
// Unavailable.
func NewID(table string, id int64, err error) (uint32, error) {
	if err == nil && (id <= 0 || id > math.MaxUint32) {
		err = chat.Errorf(chat.Unavailable,
			"%w: a new row of %s got the id %d: the column id must count by itself "+
				"(AUTO_INCREMENT)", chat.ErrRejected, table, id)
	}
	return uint32(id), err
}

// Exec runs a statement and returns how many rows it affected. In a batch that is not known: see
// DB.Batch.
func Exec(ctx context.Context, q Querier, query string, args ...any) (affected int64, err error) {
	res, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// ErrEnough ends a query early, without an error, when it is returned for a row.
var ErrEnough = errors.New("enough rows")

// Each runs a query and calls row for every row of the result. An error of row ends it.
func Each(
	ctx context.Context, q Querier, query string, args []any, row func(Scanner) error,
) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if err = eachRow(rows, row); errors.Is(err, ErrEnough) {
		return nil
	}
	return err
}

// eachRow calls row for every row of one result.
func eachRow(rows *sql.Rows, row func(Scanner) error) error {
	scan := scanRows(rows)
	for rows.Next() {
		if err := row(scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Drain runs a query and passes over its rows.
func Drain(ctx context.Context, q Querier, query string) error {
	return Each(ctx, q, query, nil, func(Scanner) error { return nil })
}

// Insert inserts rows, given flat, with as few statements as suit the engine. tail ends each
// statement: see Dialect.Upsert.
func Insert(
	ctx context.Context, s Session, table, columns string, rows []any, tail string,
) error {
	width := 1 + strings.Count(columns, ",")
	head := fmt.Sprintf("INSERT INTO %s (%s) VALUES ", table, columns)
	j, joins := s.Querier.(*joined)
	for len(rows) > 0 {
		n := s.insertRows(fewRows(rows, width))
		some := rows[:n*width]
		rows = rows[n*width:]
		var err error
		if joins {
			err = j.insert(ctx, head, width, some, tail)
		} else {
			_, err = s.ExecContext(ctx, head+tuples(n, width)+tail, some...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fewRows is how many of the first rows have at most maxInsert bytes of text, and at least one.
// rows are given flat, each of so many values.
func fewRows(rows []any, width int) (n int) {
	size := 0
	for n*width < len(rows) {
		if size += textSize(rows[n*width : (n+1)*width]); size > maxInsert && n > 0 {
			break
		}
		n++
	}
	return n
}

// textSize is how many bytes the texts among values have.
func textSize(values []any) (size int) {
	for _, v := range values {
		if text, ok := v.(string); ok {
			size += len(text)
		}
	}
	return size
}
