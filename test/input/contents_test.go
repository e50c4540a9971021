package input

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

// contents are the rows of all tables, each a line, in order: what the same requests leave on every
// engine. Times and paths are left out, and the ids of rows that nobody names by them.
type contents map[string][]string // by table

// differing are columns that are not the same wherever the same was done.
var differing = []string{
	"at", "created", "updated", "lastChated", "lastCreated", "oldRow", "path",
	"sessionA", "sessionB", "turn",
}

// numbered are tables whose rows are known by their ids.
var numbered = []string{"IMUser", "IMDepart", "IMGroup", "IMRelationShip"}

// passing are tables whose rows come and go by themselves, and that of failed logins, which are in
// Redis elsewhere.
var passing = []string{"IMProxyCommit", "IMProxyFailure", "IMProxyLease", "IMProxyMark",
	"IMProxyServer"}

// readContents reads all tables.
func readContents(t *testing.T, w *rig.Setup) contents {
	t.Helper()
	names := "SELECT name FROM sqlite_schema WHERE type='table' AND name LIKE 'IM%'"
	if w.Data == "" {
		names = "SELECT table_name FROM information_schema.tables WHERE table_schema=DATABASE()"
	}
	all := make(contents)
	for _, table := range column(t, w.DB, names) {
		if !slices.Contains(passing, table) {
			all[table] = lines(t, w, table)
		}
	}
	return all
}

// column is the only column of an answer.
func column(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(rig.Within(t), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// lines are the rows of a table.
func lines(t *testing.T, w *rig.Setup, table string) (lines []string) {
	t.Helper()
	rows, err := w.DB.QueryContext(rig.Within(t), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		row := make(map[string]string, len(names))
		for i, name := range names {
			if row[name] = fmt.Sprintf("%q", values[i].String); !values[i].Valid {
				row[name] = "NULL"
			}
		}
		if line := lineOf(table, row); line != "" {
			lines = append(lines, line)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// lineOf is a row as it is compared; empty: it is not.
func lineOf(table string, row map[string]string) string {
	switch {
	case table == "IMRecentSession" && row["type"] == `"2"`: // of a group: the group sync makes it
		return ""
	case table == "IMUser" && row["salt"] != `"1a2b"`: // it is not of seed.sql, but random
		delete(row, "password")
		delete(row, "salt")
	case strings.Contains(table, "Message_") && (row["type"] == `"2"` || row["type"] == `"18"`):
		row["content"] = "a voice message's: the id of a row"
	}
	if !slices.Contains(numbered, table) { // transactions that are tried again leave numbers out
		delete(row, "id")
	}
	var cells []string
	for name, value := range row {
		if !slices.Contains(differing, name) {
			cells = append(cells, name+"="+value)
		}
	}
	slices.Sort(cells)
	return strings.Join(cells, " ")
}

// compare reports the rows that got lacks of what is wanted, and those that nobody wants; of many
// the first.
func (wanted contents) compare(t *testing.T, got contents) {
	t.Helper()
	for table, rows := range wanted {
		const most = 5
		for what, only := range map[string][]string{
			"lacks": without(rows, got[table]), "has": without(got[table], rows),
		} {
			for i, row := range only[:min(len(only), most)] {
				t.Errorf("%s wrongly %s %d of %d: %.400s", table, what, i+1, len(only), row)
			}
		}
	}
	if len(got) != len(wanted) || len(got) < 20 {
		t.Errorf("%d tables, %d in the embedded store", len(got), len(wanted))
	}
}

// without returns list without the elements of others: each of those takes one away.
func without(list, others []string) (rest []string) {
	seen := make(map[string]int)
	for _, o := range others {
		seen[o]++
	}
	for _, l := range list {
		if seen[l]--; seen[l] < 0 {
			rest = append(rest, l)
		}
	}
	return rest
}
