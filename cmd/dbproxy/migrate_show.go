package main

import (
	"fmt"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// additions are what statements add to a database.
type additions struct {
	tables, columns, keys []string
	others                []string // statements that are none of these
}

// addedBy reads what statements of records.Store.Missing and UserIndex add.
func addedBy(stmts []string) (a additions) {
	for _, stmt := range stmts {
		first, _, _ := strings.Cut(stmt, "\n")
		words := strings.Fields(strings.NewReplacer("IF NOT EXISTS ", "", "(", " (").Replace(first))
		switch begins := strings.Join(words[:min(2, len(words))], " "); {
		case begins == "CREATE TABLE" && len(words) > 2:
			a.tables = append(a.tables, words[2])
		case begins == "ALTER TABLE" && len(words) > 5 && words[3] == "ADD" && words[4] == "COLUMN":
			a.columns = append(a.columns, words[2]+"."+words[5])
		case begins == "ALTER TABLE" && len(words) > 6 && words[3] == "ADD" && words[4] == "KEY":
			a.keys = append(a.keys, words[2]+" "+strings.Join(words[6:], ""))
		default:
			a.others = append(a.others, first)
		}
	}
	return a
}

// String lists them for people, in lines of at most 80 cells.
func (a additions) String() string {
	var b strings.Builder
	for _, part := range []struct {
		what  string
		names []string
	}{{"tables", a.tables}, {"columns", a.columns}, {"keys", a.keys}, {"others", a.others}} {
		if len(part.names) == 0 {
			continue
		}
		head := "  " + part.what
		for _, line := range terminal.Wrap(strings.Join(part.names, ", "), 68) {
			fmt.Fprintf(&b, "%-12s%s\n", head, line)
			head = ""
		}
	}
	return b.String()
}

// count is how many there are, such as "12 tables and 1 key".
func (a additions) count() string {
	var parts []string
	for _, part := range []struct {
		what  string
		names []string
	}{{"table", a.tables}, {"column", a.columns}, {"key", a.keys}, {"other", a.others}} {
		if len(part.names) > 0 {
			parts = append(parts, admin.Count(len(part.names), part.what))
		}
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}
