package sqldb

import (
	"context"
	"errors"
	"strings"
)

// Fetch is a query, and what to do with each row of its answer.
type Fetch struct {
	Text string
	Args []any
	Row  func(Scanner) error
}

// Fetches is what fetches keys, in as few queries as suit: see Chunked.
func Fetches[K any](d Dialect, keys []K, of func([]K) Fetch) (all []Fetch) {
	_ = chunked(keys, d.listLength, func(keys []K) error {
		all = append(all, of(keys))
		return nil
	})
	return all
}

// FetchAll runs queries one after the other: where texts may be joined, in one round trip.
func FetchAll(ctx context.Context, s Session, all []Fetch) (err error) {
	if len(all) < 2 || !s.joins() {
		for _, f := range all {
			if err := Each(ctx, s, f.Text, f.Args, f.Row); err != nil {
				return err
			}
		}
		return nil
	}
	texts := make([]string, len(all))
	var args []any
	for i, f := range all {
		texts[i] = f.Text
		args = append(args, f.Args...)
	}
	rows, err := s.QueryContext(ctx, strings.Join(texts, joint), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for i, f := range all {
		if i > 0 && !rows.NextResultSet() {
			return errors.Join(errors.New("a query has no answer"), rows.Err())
		}
		if err := eachRow(rows, f.Row); err != nil {
			return err
		}
	}
	return nil
}
