package records

import (
	"context"
	"database/sql"
)

// Migrate creates the tables that are missing and completes those that lack columns or keys. It never touches data and
// is safe to repeat. It returns the statements it ran, none when all was there.
func (s *Store) Migrate(ctx context.Context) (ran []string, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		ran = nil
		for _, t := range schema() {
			columns, keys, err := s.dialect.inspect(ctx, tx, t)
			if err != nil {
				return err
			}
			for _, stmt := range missing(s.dialect, t, columns, keys) {
				if _, err := tx.ExecContext(ctx, stmt); err != nil {
					return err
				}
				ran = append(ran, stmt)
			}
		}
		return nil
	})
	return ran, err
}

// missing returns the statements that bring a table to its declared form, additions only.
func missing(d dialect, t table, columns, keys map[string]bool) (stmts []string) {
	if len(columns) == 0 {
		return d.create(t)
	}
	for _, c := range t.columns {
		if !columns[c.name] {
			stmts = append(stmts, d.addColumn(t, c))
		}
	}
	for _, k := range t.keys {
		if !keys[keyName(k)] {
			stmts = append(stmts, d.addKey(t, k))
		}
	}
	return stmts
}
