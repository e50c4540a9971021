package records

import (
	"context"
	"database/sql"
	"math"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// dialect is all in which SQL engines differ for us.
type dialect interface {
	// create returns the statements that make a table and its keys.
	create(t table) []string
	// addColumn and addKey return the statement that completes an existing table.
	addColumn(t table, c column) string
	addKey(t table, key string) string
	// inspect returns what the database has of the tables of the schema.
	inspect(ctx context.Context, q querier) (seenTables, error)
	// carryOver returns the statements that bring the rows of an earlier version's IMProxyToken under
	// its present key.
	carryOver(t table) []string

	// waitForTables has statements of a connection that define tables wait for those who use the tables not longer than
	// these would bear; or as long as usual again.
	waitForTables(ctx context.Context, q querier, briefly bool) error

	// shared reports whether other processes change talks at the same time, so that rows must be claimed and locked.
	shared() bool
	// lock is appended to a SELECT in a transaction whose rows are to stay as they are until its end.
	lock() string
	// lookup begins a query for the rows of a table, named t, whose keys are one of n lists of parameters; a WHERE and more
	// may follow. A list that is given twice may find its row twice.
	lookup(columns, table string, keys []string, n int) string
	// insertRows is how many of the rows left (at least one) the next INSERT takes.
	insertRows(left int) int
	// upsert is appended to an INSERT: where a row with these keys is there, the columns set are overwritten.
	upsert(keys, set []string) string
	// on is the dialect of one connection to store batches with.
	on(conn *sql.Conn) (dialect, error)
	// joins reports whether several statements may go in one text.
	joins() bool
	// together returns a transaction that may keep back what is executed.
	together(tx *sql.Tx) batched

	// classify says what an error of the driver means: Invalid where a text from a caller has no place in its column,
	// else Unavailable. rejects says whether the engine refuses what it was given, and not to work, explain adds what
	// can be done about it, duplicate says whether it is a second row for a unique key, and exists whether a table, column or key is there already.
	classify(err error) chat.Kind
	rejects(err error) bool
	explain(err error) error
	duplicate(err error) bool
	// lacksCharacter reports whether a statement was refused as a text in it has a character that
	// is in no column's character set which the text was compared with.
	lacksCharacter(err error) bool
	exists(err error) bool
	// undone reports whether a COMMIT that met err has certainly stored nothing, and retry, moreover, whether the
	// transaction may succeed when it is run again at once.
	undone(err error) bool
	retry(err error) bool
	// raced reports whether it was undone in favour of another one.
	raced(err error) bool
}

// madeID is the id of a row that was just inserted into a table. Where the table does not count, or has counted too far,
// there is none.
func madeID(table string, id int64, err error) (uint32, error) {
	if err == nil && (id <= 0 || id > math.MaxUint32) {
		err = chat.Errorf(chat.Unavailable, "%w: a new row of %s got the id %d: the column id must count by itself "+
			"(AUTO_INCREMENT)", chat.ErrRejected, table, id)
	}
	return uint32(id), err
}

// querier is what runs statements: a pool or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// batched runs statements, if it likes only with the next query or the COMMIT. What an execution affected is not known.
type batched interface {
	querier
	// insertIDs runs a statement that inserts one row once for each list of arguments, and returns the rows' ids.
	insertIDs(ctx context.Context, query string, rows [][]any) ([]int64, error)
}

// atOnce is a transaction that keeps nothing back.
type atOnce struct{ *sql.Tx }

func (a atOnce) insertIDs(ctx context.Context, query string, rows [][]any) (ids []int64, err error) {
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

// marks is a list of n parameters.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// tuples is n bracketed lists of width parameters, as in VALUES.
func tuples(n, width int) string {
	return strings.TrimSuffix(strings.Repeat("("+marks(width)+"),", n), ",")
}

// args turns ids into arguments.
func args(ids []uint32) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}

// sprint puts a list of n parameters where format has its only %s.
func sprint(format string, n int) string { return strings.Replace(format, "%s", marks(n), 1) }
