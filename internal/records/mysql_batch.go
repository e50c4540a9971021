package records

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
)

// keptBack is a transaction that sends what is executed together: see mysqlConn.
type keptBack struct{ *sql.Tx }

func (k keptBack) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return k.Tx.ExecContext(later(ctx), query, args...)
}

func (k keptBack) insertIDs(ctx context.Context, query string, rows [][]any) (ids []int64, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	one := query + ";\nSELECT LAST_INSERT_ID()"
	results, err := k.QueryContext(ctx, strings.Repeat(one+";\n", len(rows)-1)+one, slices.Concat(rows...)...)
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
			return ids, results.Err()
		}
	}
}
