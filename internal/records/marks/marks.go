// Package marks keeps values by name, such as how far the group sync has come, by which the
// processes that use one database agree: in IMProxyMark. Beside them are leases, in IMProxyLease:
// who does what one process is enough for.
package marks

import (
	"context"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Table is the table of the marks.
const Table = "IMProxyMark"

// Keeper keeps the marks and leases of a database. It is safe for concurrent use. Errors have
// kinds: see sqldb.Pool.Fail.
type Keeper struct{ db *sqldb.DB }

// Of returns the Keeper of a database.
func Of(db *sqldb.DB) Keeper { return Keeper{db} }

// Raise is a statement of MySQL's that raises a mark by one, and makes it where it is missing. Its
// parameter is the name. After the largest number comes 0.
const Raise = "INSERT INTO IMProxyMark (name,value) VALUES (?,1)" +
	" ON DUPLICATE KEY UPDATE value=(value+1)&4294967295"

// Mark returns the value of a mark; ok is false when it was never set.
func (m Keeper) Mark(ctx context.Context, name string) (value uint32, ok bool, err error) {
	ctx, cancel := m.db.Bounded(ctx)
	defer cancel()
	value, ok, err = Read(ctx, m.db, name)
	return value, ok, m.db.Fail("reading a mark", err)
}

// Read is Mark through a pool, a connection or a transaction.
func Read(ctx context.Context, q sqldb.Querier, name string) (value uint32, ok bool, err error) {
	const query = "SELECT value FROM IMProxyMark WHERE name=?"
	err = sqldb.Each(ctx, q, query, []any{name}, func(scan sqldb.Scanner) error {
		ok = true
		return scan(&value)
	})
	return value, ok, err
}

// SetMark sets a mark to a value. Its name has 64 bytes at most.
func (m Keeper) SetMark(ctx context.Context, name string, value uint32) error {
	return m.db.Change(ctx, func(tx sqldb.Tx) error {
		return sqldb.Insert(ctx, tx.Session, "IMProxyMark", "name,value", []any{name, value},
			m.db.Upsert([]string{"name"}, []string{"value"}))
	})
}

// Marks returns those of the named marks that were ever set.
func (m Keeper) Marks(ctx context.Context, names []string) (map[string]uint32, error) {
	found := make(map[string]uint32, len(names))
	const query = "SELECT name,value FROM IMProxyMark WHERE name IN (%s)"
	return found, sqldb.QueryIn(ctx, m.db.Pool, "marks", query, names, sqldb.Into(found))
}

// SwapMark sets a mark to value if it is old, or was never set and old is 0, and says whether it
// did.
func (m Keeper) SwapMark(
	ctx context.Context, name string, old, value uint32,
) (swapped bool, err error) {
	err = m.db.Change(ctx, func(tx sqldb.Tx) error {
		if old != 0 {
			n, err := sqldb.Exec(ctx, tx, "UPDATE IMProxyMark SET value=? WHERE name=? AND value=?",
				value, name, old)
			swapped = n == 1
			return err
		}
		_, err := sqldb.Exec(ctx, tx,
			"INSERT INTO IMProxyMark (name,value) VALUES (?,?)", name, value)
		if swapped = err == nil; err != nil && m.db.Duplicate(err) {
			return nil
		}
		return err
	})
	return swapped && err == nil, err
}

// RaiseMarks sets those of the marks to these values that are below them. It makes none.
func (m Keeper) RaiseMarks(ctx context.Context, values map[string]uint32) error {
	return m.db.Change(ctx, func(tx sqldb.Tx) error {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			_, err := sqldb.Exec(ctx, tx, "UPDATE IMProxyMark SET value=? WHERE name=? AND value<?",
				values[name], name, values[name])
			if err != nil {
				return err
			}
		}
		return nil
	})
}
