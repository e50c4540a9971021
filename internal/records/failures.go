package records

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// failuresPruned is how many names PruneFailures deletes at most each time.
const failuresPruned = 1000

// FailedAt returns the failed logins of these names, as KeepFailures has stored them; names of
// which nothing is stored are left out.
func (s *Store) FailedAt(ctx context.Context, names []string) (map[string][]int64, error) {
	found := make(map[string][]int64)
	query := "SELECT name,times FROM IMProxyFailure WHERE name IN (%s)"
	return found, sqldb.QueryIn(ctx, s.db.Pool, "failed logins", query, names, intoFailures(found))
}

// intoFailures reads rows of names and their failed logins.
func intoFailures(found map[string][]int64) func(sqldb.Scanner) error {
	return func(scan sqldb.Scanner) error {
		var name, times string
		err := scan(&name, &times)
		for text := range strings.SplitSeq(times, ",") {
			if at, bad := strconv.ParseInt(text, 10, 64); bad == nil {
				found[name] = append(found[name], at)
			}
		}
		return err
	}
}

// KeepFailures adds failed logins of names, at least one of each, to what is stored of these, and
// returns what is stored then: the last chat.LockoutFailures, the oldest first. A failed login is
// its time in Unix nanoseconds, and a name has each only once: what is stored already changes
// nothing. Of what several processes add at once nothing is lost, as each locks the rows of its
// names, in their order.
func (s *Store) KeepFailures(
	ctx context.Context, names map[string][]int64,
) (stored map[string][]int64, err error) {
	sorted := slices.Sorted(maps.Keys(names))
	err = s.db.Change(ctx, func(tx sqldb.Tx) error {
		if tx.ManyWriters() { // only rows that are there can be locked
			var empty []any
			for _, name := range sorted {
				empty = append(empty, name, 0, "")
			}
			if err := insertFailures(ctx, tx, empty, "name"); err != nil {
				return err
			}
		}
		stored = make(map[string][]int64, len(names))
		query := "SELECT name,times FROM IMProxyFailure" + tx.ForceIndex("PRIMARY") +
			" WHERE name IN (%s)" + tx.ForUpdate()
		err := sqldb.Chunked(sorted, func(some []string) error {
			return sqldb.Each(ctx, tx, sqldb.WithParams(query, len(some)), sqldb.Args(some),
				intoFailures(stored))
		})
		if err != nil {
			return err
		}
		var rows []any
		for _, name := range sorted {
			at := slices.Concat(stored[name], names[name])
			slices.Sort(at)
			at = slices.Compact(at)
			at = at[max(len(at)-chat.LockoutFailures, 0):]
			stored[name] = at
			var times []string
			for _, t := range at {
				times = append(times, strconv.FormatInt(t, 10))
			}
			last := time.Unix(0, at[len(at)-1])
			rows = append(rows, name, seconds(last), strings.Join(times, ","))
		}
		return insertFailures(ctx, tx, rows, "last", "times")
	})
	return stored, s.db.Fail("storing failed logins", err)
}

// insertFailures inserts rows of names, their last failures and their times. Of a name that has a
// row, the columns set are overwritten.
func insertFailures(ctx context.Context, tx sqldb.Tx, rows []any, set ...string) error {
	return sqldb.Insert(ctx, tx.Session, "IMProxyFailure", "name,last,times", rows,
		tx.Upsert([]string{"name"}, set))
}

// ClearFailures deletes all that is stored of these names.
func (s *Store) ClearFailures(ctx context.Context, names []string) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		return sqldb.ExecIn(ctx, tx.Session, "DELETE FROM IMProxyFailure WHERE name IN (%s)",
			names)
	})
	return s.db.Fail("deleting failed logins", err)
}

// PruneFailures deletes names whose last failure was before a time, failuresPruned at most, and
// says whether there may be more of them.
func (s *Store) PruneFailures(ctx context.Context, before time.Time) (more bool, err error) {
	var old []string
	err = s.db.Query(ctx, "failed logins", "SELECT name FROM IMProxyFailure WHERE last<? LIMIT ?",
		[]any{seconds(before), failuresPruned}, func(scan sqldb.Scanner) error {
			var name string
			err := scan(&name)
			old = append(old, name)
			return err
		})
	if err != nil || len(old) == 0 {
		return false, err
	}
	err = s.db.Change(ctx, func(tx sqldb.Tx) error {
		return sqldb.ExecIn(ctx, tx.Session,
			"DELETE FROM IMProxyFailure WHERE last<? AND name IN (%s)", old, seconds(before))
	})
	return len(old) == failuresPruned, s.db.Fail("deleting old failed logins", err)
}

// seconds is a time in Unix seconds, as a column has it.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }
