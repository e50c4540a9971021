package tables

import (
	"context"
	"fmt"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// sqliteTables is SQLite's definer.
type sqliteTables struct{}

func (d sqliteTables) create(t Table) []string {
	var cols []string
	options := ""
	if t.Primary == nil {
		cols = append(cols, "id INTEGER PRIMARY KEY")
	} else {
		options = " WITHOUT ROWID"
	}
	for _, c := range t.Columns {
		cols = append(cols, d.column(c))
	}
	if t.Primary != nil {
		cols = append(cols, "PRIMARY KEY ("+strings.Join(t.Primary, ",")+")")
	}
	stmts := []string{fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s)%s", t.Name,
		strings.Join(cols, ", "), options)}
	for _, k := range t.Keys {
		stmts = append(stmts, d.addKey(t, k))
	}
	return stmts
}

func (sqliteTables) column(c Column) string {
	typ, def := "INTEGER", c.Default
	switch {
	case c.Type == Varchar || c.Type == Text || c.Type == Binary:
		typ, def = "TEXT", "''"
	case def == "":
		def = "0"
	}
	if c.Null {
		return fmt.Sprintf("%s %s DEFAULT NULL", c.Name, typ)
	}
	return fmt.Sprintf("%s %s NOT NULL DEFAULT %s", c.Name, typ, def)
}

func (d sqliteTables) addColumn(t Table, c Column) string {
	return fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", t.Name, d.column(c))
}

// addKey names keys after their table too: SQLite has one space of names for all.
func (sqliteTables) addKey(t Table, key string) string {
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s_%s ON %s (%s)", t.Name, KeyName(key), t.Name,
		strings.ReplaceAll(key, "(191)", ""))
}

func (sqliteTables) inspect(ctx context.Context, q sqldb.Querier) (Seen, error) {
	const (
		columns = "SELECT name,pk FROM pragma_table_info(?) ORDER BY pk"
		keys    = "SELECT name FROM pragma_index_list(?)"
	)
	s := newSeen()
	for _, t := range All() {
		seen := newSeenTable()
		err := sqldb.Each(ctx, q, columns, []any{t.Name}, func(scan sqldb.Scanner) error {
			var c SeenColumn
			var at int // its position in the primary key, from 1; 0: it is not in it
			err := scan(&c.Name, &at)
			if seen.addColumn(c); at > 0 {
				seen.addKey(PrimaryName, true, c.Name)
			}
			return err
		})
		if err == nil {
			err = sqldb.Each(ctx, q, keys, []any{t.Name}, func(scan sqldb.Scanner) error {
				var name string
				err := scan(&name)
				seen.addKey(strings.TrimPrefix(name, t.Name+"_"), false, "")
				return err
			})
		}
		if err != nil {
			return s, fmt.Errorf("table %s: %w", t.Name, err)
		}
		if len(seen.Columns) > 0 {
			s.Tables[t.Name] = seen
		}
	}
	return s, nil
}

// carryOver: see carrySQLite.
func (sqliteTables) carryOver(Table) []string { return nil }

// carrySQLite brings the rows of an earlier version's IMProxyToken under its present key. It
// computes their digests here, as SQLite cannot.
func carrySQLite(ctx context.Context, tx sqldb.Tx) error {
	seen, err := sqliteTables{}.inspect(ctx, tx)
	if err != nil {
		return err
	}
	for _, t := range Own() {
		if !t.Outdated(seen.Tables[t.Name]) {
			continue
		}
		var rows []any
		query := "SELECT token,userId FROM " + t.Name + " WHERE userId<>0"
		err := sqldb.Each(ctx, tx, query, nil, func(scan sqldb.Scanner) error {
			var token string
			var user uint32
			err := scan(&token, &user)
			rows = append(rows, TokenDigest(token), token, user)
			return err
		})
		if err != nil {
			return err
		}
		for _, stmt := range append([]string{"DROP TABLE " + t.Name}, sqliteTables{}.create(t)...) {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		if err := sqldb.Insert(ctx, tx.Session, t.Name, TokenColumns, rows, ""); err != nil {
			return err
		}
	}
	return nil
}
