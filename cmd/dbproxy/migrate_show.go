package main

import (
	"fmt"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// additions are the names of what statements add to a database, by what it is: one of added.
type additions map[string][]string

// added is what statements may add. Others are statements that add none of the rest.
var added = []string{"table", "column", "key", "mark", "other"}

// addedBy reads what statements of records.Store.Missing and UserIndex add.
func addedBy(stmts []string) additions {
	a := make(additions)
	note := func(what, name string) { a[what] = append(a[what], name) }
	for _, stmt := range stmts {
		first, _, _ := strings.Cut(stmt, "\n")
		words := strings.Fields(strings.NewReplacer("IF NOT EXISTS ", "", "(", " (").Replace(first))
		switch begins := strings.Join(words[:min(2, len(words))], " "); {
		case stmt == fleet.CountWithoutRedis:
			note("mark", "its proxies count without Redis")
		case begins == "CREATE TABLE" && len(words) > 2:
			note("table", words[2])
		case begins == "ALTER TABLE" && len(words) > 5 && words[3] == "ADD" && words[4] == "COLUMN":
			note("column", words[2]+"."+words[5])
		case begins == "ALTER TABLE" && len(words) > 6 && words[3] == "ADD" && words[4] == "KEY":
			note("key", words[2]+" "+strings.Join(words[6:], ""))
		default:
			note("other", first)
		}
	}
	return a
}

// String lists them for people, in lines of at most 80 cells.
func (a additions) String() string {
	var b strings.Builder
	for _, what := range added {
		if len(a[what]) == 0 {
			continue
		}
		head := "  " + what + "s"
		for _, line := range terminal.Wrap(strings.Join(a[what], ", "), 68) {
			fmt.Fprintf(&b, "%-12s%s\n", head, line)
			head = ""
		}
	}
	return b.String()
}

// count is how many there are, such as "12 tables and 1 key".
func (a additions) count() string {
	var parts []string
	for _, what := range added {
		if n := len(a[what]); n > 0 {
			parts = append(parts, admin.Count(n, what))
		}
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}
