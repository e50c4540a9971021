package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	// Where a row gets no id of its own, this would still be that of a row before.
	one := "DO LAST_INSERT_ID(0);\n" + query + ";\nSELECT LAST_INSERT_ID()"
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
			if err := results.Err(); err != nil || len(ids) == len(rows) {
				return ids, err
			}
			return nil, fmt.Errorf("%d of %d rows have ids", len(ids), len(rows))
		}
	}
}
