package testdb

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// Raw is a connection to a store's tables beside the store, as original servers and administrators
// have one. What fails ends the test.
type Raw struct {
	*sql.DB
	t testing.TB
}

// RawSQLite connects to the file of a store until the test ends.
func RawSQLite(t testing.TB, path string) Raw {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+
		"?_pragma=busy_timeout(20000)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return Raw{db, t}
}

// RawMySQL is the connections that there are to a database.
func RawMySQL(t testing.TB, db *servers.Database) Raw { return Raw{db.Admin, t} }

// Run executes a statement.
func (r Raw) Run(query string, args ...any) {
	r.t.Helper()
	ctx, cancel := r.within()
	defer cancel()
	if _, err := r.ExecContext(ctx, query, args...); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
}

// within is the time that a statement has, on a busy machine.
func (r Raw) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

// Rows returns what a query finds: a text per row, its columns separated by spaces.
func (r Raw) Rows(query string, args ...any) (found []string) {
	r.t.Helper()
	ctx, cancel := r.within()
	defer cancel()
	rows, err := r.QueryContext(ctx, query, args...)
	if err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	texts := make([]string, len(columns))
	for err == nil && rows.Next() {
		err = rows.Scan(into...)
		for i, v := range values {
			if texts[i] = v.String; !v.Valid {
				texts[i] = "NULL"
			}
		}
		found = append(found, strings.Join(texts, " "))
	}
	if err = cmp.Or(err, rows.Err()); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return found
}

// Count returns the number that a query finds.
func (r Raw) Count(query string, args ...any) (n int) {
	r.t.Helper()
	ctx, cancel := r.within()
	defer cancel()
	if err := r.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// Want checks what a query finds: rows as Rows returns them.
func (r Raw) Want(query string, want ...string) {
	r.t.Helper()
	if got := r.Rows(query); !slices.Equal(got, want) {
		r.t.Errorf("%s finds\n%q\nwant\n%q", query, got, want)
	}
}
