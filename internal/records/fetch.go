package records

import (
	"context"
	"errors"
	"strings"
)

// fetch is a query, and what to do with each row of its answer.
type fetch struct {
	text string
	args []any
	row  func(scanner) error
}

// fetches is what fetches keys, in as few queries as suit: see chunked.
func fetches[K any](keys []K, of func([]K) fetch) (all []fetch) {
	_ = chunked(keys, func(keys []K) error {
		all = append(all, of(keys))
		return nil
	})
	return all
}

// fetchAll runs queries one after the other: where texts may be joined, in one round trip.
func fetchAll(ctx context.Context, q querier, d dialect, all []fetch) (err error) {
	if len(all) < 2 || !d.joins() {
		for _, f := range all {
			if err := each(ctx, q, f.text, f.args, f.row); err != nil {
				return err
			}
		}
		return nil
	}
	texts := make([]string, len(all))
	var args []any
	for i, f := range all {
		texts[i] = f.text
		args = append(args, f.args...)
	}
	rows, err := q.QueryContext(ctx, strings.Join(texts, ";\n"), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for i, f := range all {
		if i > 0 && !rows.NextResultSet() {
			return errors.Join(errors.New("a query has no answer"), rows.Err())
		}
		scan := scanRows(rows)
		for rows.Next() {
			if err := f.row(scan); err != nil {
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}
