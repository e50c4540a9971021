package records

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// failuresPruned is how many names KeepFailures deletes at most each time because they are old.
const failuresPruned = 1000

// FailedAt returns when logins of these names failed, as KeepFailures has stored it; names of which
// nothing is stored are left out.
func (s *Store) FailedAt(
	ctx context.Context, names []string,
) (map[string][]time.Time, error) {
	found := make(map[string][]time.Time)
	query := "SELECT name,times FROM IMProxyFailure WHERE name IN (%s)"
	row := func(scan sqldb.Scanner) error {
		var name, times string
		err := scan(&name, &times)
		var at []time.Time
		for text := range strings.SplitSeq(times, ",") {
			if ms, bad := strconv.ParseInt(text, 10, 64); bad == nil {
				at = append(at, time.UnixMilli(ms))
			}
		}
		found[name] = at
		return err
	}
	return found, sqldb.QueryIn(ctx, s.db.Pool, "failed logins", query, names, row)
}

// KeepFailures stores when logins of names failed, oldest first, in place of what is stored of
// these names; of a name without times nothing stays stored. It also deletes names whose last
// failure was before a time, failuresPruned at most, and says whether there may be more of them.
func (s *Store) KeepFailures(
	ctx context.Context, names map[string][]time.Time, before time.Time,
) (more bool, err error) {
	var rows, gone []any
	for name, at := range names {
		if len(at) == 0 {
			gone = append(gone, name)
			continue
		}
		var times []string
		for _, t := range at {
			times = append(times, strconv.FormatInt(t.UnixMilli(), 10))
		}
		rows = append(rows, name, seconds(at[len(at)-1]), strings.Join(times, ","))
	}
	err = s.db.Change(ctx, func(tx sqldb.Tx) error {
		for _, name := range gone {
			_, err := sqldb.Exec(ctx, tx, "DELETE FROM IMProxyFailure WHERE name=?", name)
			if err != nil {
				return err
			}
		}
		err := sqldb.Insert(ctx, tx.Session, "IMProxyFailure", "name,last,times", rows,
			s.db.Upsert([]string{"name"}, []string{"last", "times"}))
		if err != nil {
			return err
		}
		n, err := sqldb.Exec(ctx, tx, "DELETE FROM IMProxyFailure WHERE name IN"+
			" (SELECT name FROM IMProxyFailure WHERE last<? LIMIT ?)",
			seconds(before), failuresPruned)
		more = n == failuresPruned
		return err
	})
	return more, s.db.Fail("storing failed logins", err)
}

// seconds is a time in Unix seconds, as a column has it.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }
