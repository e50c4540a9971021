package recordings

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

// tableRow is a row as it is compared: its columns as JSON values.
type tableRow map[string]any

// leftover is what a recording leaves behind in the stores.
type leftover struct {
	tables map[string][]tableRow
	keys   map[string]any // text, or a hash as a map
}

// changed is the name under which the rows of a seeded table stand that are not as they were.
func changed(table string) string { return table + " (changed)" }

// changedColumns are what is recorded of rows that were changed, by table; of other tables it is
// all columns.
var changedColumns = map[string][]string{"IMUser": {"id", "avatar", "push_shield_status",
	"sign_info"}}

// readTables reads all tables of the original's. Those that before has rows of stand there with the
// rows that are new or changed.
func readTables(t *testing.T, f *rig.Fleet, before map[string][]tableRow) map[string][]tableRow {
	t.Helper()
	tables := make(map[string][]tableRow)
	const all = "SELECT table_name AS name FROM information_schema.tables WHERE " +
		"table_schema=DATABASE()"
	for _, found := range query(t, f, all) {
		name := found["name"].(string)
		if strings.HasPrefix(name, "IMProxy") {
			continue // our own
		}
		rows := query(t, f, "SELECT * FROM `"+name+"`")
		if was := before[name]; len(was) > 0 {
			rows = news(was, rows, changedColumns[name])
			name = changed(name)
		}
		if len(rows) > 0 {
			tables[name] = rows
		}
	}
	return tables
}

// news are the rows that were not there before, with these columns of theirs, nil: with all.
func news(before, rows []tableRow, columns []string) (fresh []tableRow) {
	for _, row := range rows {
		if slices.ContainsFunc(before, func(was tableRow) bool { return gocmp.Equal(was, row) }) {
			continue
		}
		maps.DeleteFunc(row, func(column string, _ any) bool {
			return columns != nil && !slices.Contains(columns, column)
		})
		fresh = append(fresh, row)
	}
	return fresh
}

// query returns the rows of a statement, numbers as in JSON.
func query(t *testing.T, f *rig.Fleet, statement string, args ...any) (all []tableRow) {
	t.Helper()
	rows, err := f.DB.Admin.QueryContext(rig.Within(t), statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]*string, len(columns))
		dest := make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		row := make(tableRow, len(columns))
		for i, c := range columns {
			switch {
			case values[i] == nil:
				row[c.Name()] = nil
			case strings.Contains(c.DatabaseTypeName(), "INT"):
				n, err := strconv.ParseFloat(*values[i], 64)
				if err != nil {
					t.Fatal(err)
				}
				row[c.Name()] = n
			default:
				row[c.Name()] = *values[i]
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// leftover is what the original left; nil tables: nothing in any.
func (r recording) leftover() (l leftover, err error) {
	for part, into := range map[*json.RawMessage]any{&r.Database: &l.tables, &r.Redis: &l.keys} {
		if len(*part) > 0 {
			if err := json.Unmarshal(*part, into); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

// marks is what stands for values that are others in each run.
type marks struct {
	start time.Time
	url   string // what all URLs of files begin with
}

// mark returns a tree of JSON values with "$now" for times of the run, numbers or text, and "$url"
// for URLs.
func (m marks) mark(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		marked := make(map[string]any, len(v))
		for k, e := range v {
			marked[k] = m.mark(e)
		}
		return marked
	case float64:
		if withinRun(v, m.start) {
			return "$now"
		}
	case string:
		if n, err := strconv.ParseUint(v, 10, 32); err == nil && withinRun(float64(n), m.start) {
			return "$now"
		}
		if strings.HasPrefix(v, m.url) {
			return "$url"
		}
	}
	return tree
}

// lines are rows in the form that is compared: each as JSON, in the order of that. userCnt is left
// out, and the id unless withID.
func (m marks) lines(t *testing.T, rows []tableRow, withID bool) []string {
	t.Helper()
	lines := make([]string, len(rows))
	for i, row := range rows {
		row = m.mark(map[string]any(row)).(map[string]any)
		if delete(row, "userCnt"); !withID {
			delete(row, "id")
		}
		text, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = string(text)
	}
	slices.Sort(lines)
	return lines
}

// compareLeftover returns the differences by where they are: a table, or a key.
func compareLeftover(t *testing.T, m marks, want, got leftover) map[string]string {
	t.Helper()
	diffs := make(map[string]string)
	for _, table := range union(want.tables, got.tables) {
		withID := len(want.tables[table]) > 0 && want.tables[table][0]["id"] != nil
		note(diffs, "table "+table, gocmp.Diff(m.lines(t, want.tables[table], withID),
			m.lines(t, got.tables[table], withID)))
	}
	for _, key := range union(want.keys, got.keys) {
		note(diffs, "key "+key, gocmp.Diff(want.keys[key], m.mark(got.keys[key])))
	}
	return diffs
}

func note(diffs map[string]string, where, diff string) {
	if diff != "" {
		diffs[where] = diff
	}
}

// union is the keys of both maps, sorted.
func union[V any](a, b map[string]V) []string {
	all := maps.Clone(b)
	if all == nil {
		all = make(map[string]V)
	}
	maps.Copy(all, a)
	return slices.SortedFunc(maps.Keys(all), cmp.Compare[string])
}
