package records

import (
	"context"
	"database/sql"
	"strings"
)

// Missing returns the statements that create the tables that are missing and complete those that lack columns or keys;
// none when all is there. They only add.
func (s *Store) Missing(ctx context.Context) (stmts []string, err error) {
	return missing(ctx, s.write, s.dialect, schema(), s.failed)
}

// MissingOwn is Missing for the tables of the proxy's own, which no other server knows, and for IMTransmitFile, which old
// databases do not have.
func (s *Store) MissingOwn(ctx context.Context) (stmts []string, err error) {
	return missing(ctx, s.write, s.dialect, newTables(), s.failed)
}

func missing(ctx context.Context, q querier, d dialect, tables []table, failed func(string, error) error) (stmts []string, err error) {
	for _, t := range tables {
		columns, keys, err := d.inspect(ctx, q, t)
		if err != nil {
			return nil, failed("looking at table "+t.name, err)
		}
		stmts = append(stmts, lacking(d, t, columns, keys)...)
	}
	return stmts, nil
}

// lacking returns the statements that bring a table to its declared form, additions only.
func lacking(d dialect, t table, columns, keys map[string]bool) (stmts []string) {
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

// Migrate runs what Missing returns, and returns it. It never touches data and is safe to repeat, and to run by several
// processes at once.
func (s *Store) Migrate(ctx context.Context) (ran []string, err error) {
	if s.dialect.shared() { // a statement that defines tables is its own transaction there
		stmts, err := s.Missing(ctx)
		if err != nil {
			return nil, err
		}
		return s.Run(ctx, stmts, nil)
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		ran, err = missing(ctx, tx, s.dialect, schema(), s.failed)
		for _, stmt := range ran {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		return err
	})
	return ran, err
}

// Run executes statements that Missing returned, one by one; begin is called before each, unless it is nil. What
// somebody else has added meanwhile is no error. It returns those that were executed.
func (s *Store) Run(ctx context.Context, stmts []string, begin func(stmt string)) (ran []string, err error) {
	for _, stmt := range stmts {
		if begin != nil {
			begin(stmt)
		}
		if _, err := exec(ctx, s.write, stmt); err != nil && !s.dialect.exists(err) {
			return ran, s.failed(firstLine(stmt), err)
		}
		ran = append(ran, stmt)
	}
	return ran, nil
}

func firstLine(stmt string) string {
	line, _, _ := strings.Cut(stmt, "\n")
	return strings.TrimSuffix(line, " (")
}
