package checkup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// table checks one table.
func (s *shape) table(t tables.Table, there *tables.SeenTable) {
	if there.View {
		grade := Wrong
		if onlyRead(t) {
			grade = Good
		}
		s.note(oddViews, grade, t.Name, t.Name, fmt.Sprintf("!RENAME TABLE %s TO View%[1]s, "+
			"let \"dbproxy migrate\" make the table, and copy the rows into it", t.Name))
		return
	}
	if t.Primary == nil {
		s.ids(t, there)
	} else if !slices.Equal(there.PrimaryKey(), lowered(t.Primary)) {
		s.note(oddIDs, Wrong, t.Name, t.Name+" (its primary key)", primaryClause(t, there))
	}
	for _, want := range t.Columns {
		if is, ok := there.Columns[strings.ToLower(want.Name)]; ok {
			s.column(t, want, is)
		}
	}
	s.strangers(t, there)
}

func lowered(names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = strings.ToLower(name)
	}
	return all
}

// primaryClause makes the primary key what it must be.
func primaryClause(t tables.Table, there *tables.SeenTable) string {
	columns := t.Primary
	if columns == nil {
		columns = []string{"id"}
	}
	clause := "ADD PRIMARY KEY (" + strings.Join(columns, ",") + ")"
	if there.PrimaryKey() != nil {
		clause = "DROP PRIMARY KEY, " + clause
	}
	return clause
}

// ids checks the column that the database counts. A primary key that only begins with it, as
// partitions need, is as good.
func (s *shape) ids(t tables.Table, there *tables.SeenTable) {
	id, ok := there.Columns["id"]
	grade := gradeOf(t)
	if !ok {
		s.note(oddIDs, grade, t.Name, t.Name+" (no id)",
			"ADD COLUMN id "+idType(t)+" NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST")
		return
	}
	own, led := false, false // by a key that allows no second row of that id, by any key
	for name, k := range there.Keys {
		first := len(k.Columns) > 0 && k.Columns[0] == "id"
		own = own || first && k.Unique && (len(k.Columns) == 1 || name == tables.PrimaryName)
		led = led || first
	}
	if !own {
		g, what := grade, "its primary key"
		if led && id.Auto {
			g = Doubtful
		}
		if there.PrimaryKey() == nil {
			what = "no primary key"
		}
		s.note(oddIDs, g, t.Name, t.Name+" ("+what+")", primaryClause(t, there))
	}
	what := id.Declared
	if !id.Auto {
		what += ", not counted"
	}
	if !id.Auto || intBytes[id.Type] < 4 {
		s.note(oddIDs, grade, t.Name, t.Name+".id ("+what+")",
			"MODIFY id "+idType(t)+" NOT NULL AUTO_INCREMENT")
	}
}

func idType(t tables.Table) string {
	if t.UnsignedID {
		return "int unsigned"
	}
	return "int"
}

// intBytes are the types of whole numbers, and how many bytes they have.
var intBytes = map[string]int{
	"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 8,
}

// column compares a column with what it is to be.
func (s *shape) column(t tables.Table, want tables.Column, is tables.SeenColumn) {
	where := fmt.Sprintf("%s.%s (%s)", t.Name, is.Name, is.Declared)
	grade := gradeOf(t)
	if want.Name == "created" || want.Name == "updated" {
		grade = Wrong
	}
	kind, compare := oddTexts, compareText
	if want.Type <= tables.Tiny {
		kind, compare = oddNumbers, compareNumber
	}
	if fits, wide := compare(want, is); fits > Good {
		s.note(kind, min(fits, grade), t.Name, where, modify(want, is, wide))
	}
	if is.Null && !want.Null {
		value := "''"
		if want.Type <= tables.Tiny {
			value = "0"
		}
		is.Null = false
		s.note(oddNulls, Doubtful, t.Name, t.Name+"."+is.Name, fmt.Sprintf(
			"!UPDATE %s SET %s=%s WHERE %[2]s IS NULL; ALTER TABLE %[1]s %[4]s",
			t.Name, is.Name, value, modify(want, is, is.Whole())))
	}
}

// compareNumber returns how well a column fits the numbers that it is to have, and the type that
// does. Where they may be as large as 255 or 4294967295, the half of that is enough for what the
// suite stores, but for the shield, of which the protocol says 255.
func compareNumber(want tables.Column, is tables.SeenColumn) (fits Grade, wide string) {
	least := 4
	if want.Type == tables.Tiny {
		least = 1
	}
	wide = tables.MySQLColumn(tables.Column{Name: want.Name, Type: want.Type, Null: true})
	wide = strings.TrimSuffix(strings.TrimPrefix(wide, want.Name+" "), " DEFAULT NULL")
	size := intBytes[is.Type]
	switch {
	case size == 0 && is.Type == "decimal" && strings.Contains(is.Declared, ",0)"):
		return Good, wide
	case size < least:
		return Wrong, wide
	case want.Name == "push_shield_status" && size == 1 &&
		!strings.Contains(is.Declared, "unsigned"):
		return Doubtful, wide
	}
	return Good, wide
}

// compareText is compareNumber for a column of text.
func compareText(want tables.Column, is tables.SeenColumn) (fits Grade, wide string) {
	size, wide := int64(want.Size), fmt.Sprintf("varchar(%d)", want.Size)
	switch want.Type {
	case tables.Binary:
		wide = fmt.Sprintf("varbinary(%d)", want.Size)
	case tables.Text:
		size, wide = 1<<24-1, "mediumtext"
	}
	if is.Charset != "" && want.Type != tables.Binary {
		wide += " CHARACTER SET " + is.Charset + " COLLATE " + is.Collation
	}
	switch {
	case !is.IsText():
		return Wrong, wide
	case is.Length < size:
		return Doubtful, wide
	}
	return Good, wide
}

// modify is the clause that gives a column another type. It may be NULL if it may be now.
func modify(want tables.Column, is tables.SeenColumn, typ string) string {
	clause, def := "MODIFY "+is.Name+" "+typ, want.Default
	switch {
	case is.Null:
		return clause + " DEFAULT NULL"
	case want.Type == tables.Text,
		strings.HasSuffix(is.Type, "text") && strings.HasPrefix(typ, is.Type):
		return clause + " NOT NULL"
	case want.Type > tables.Tiny:
		def = "''"
	case def == "":
		def = "0"
	}
	return clause + " NOT NULL DEFAULT " + def
}

// strangers checks what others have added to a table: columns that want a value, and keys that
// forbid rows.
func (s *shape) strangers(t tables.Table, there *tables.SeenTable) {
	known := map[string]bool{"id": t.Primary == nil}
	for _, c := range t.Columns {
		known[strings.ToLower(c.Name)] = true
	}
	grade := gradeOf(t)
	for _, name := range slices.Sorted(maps.Keys(there.Columns)) {
		if is := there.Columns[name]; !known[name] && !is.Given {
			where := fmt.Sprintf("%s.%s (%s)", t.Name, is.Name, is.Declared)
			s.note(oddColumns, grade, t.Name, where, defaultClause(is))
		}
	}
	if onlyRead(t) || t.Primary != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(there.Keys)) {
		k := there.Keys[name]
		if !k.Unique || name == tables.PrimaryName || slices.Contains(k.Columns, "id") {
			continue
		}
		columns := strings.Join(k.Columns, ",")
		s.note(oddUniques, Doubtful, t.Name, t.Name+"("+columns+")",
			fmt.Sprintf("DROP KEY %s, ADD KEY %[1]s (%s)", quoted(name), columns))
	}
}

// defaultClause gives a column a default. One of a number, or of text that is not long, stands in
// the table's definition alone; others may be NULL from then on.
func defaultClause(is tables.SeenColumn) string {
	switch {
	case intBytes[is.Type] > 0, is.Type == "decimal", is.Type == "float", is.Type == "double":
		return "ALTER COLUMN " + quoted(is.Name) + " SET DEFAULT 0"
	case strings.HasSuffix(is.Type, "char"), strings.HasSuffix(is.Type, "binary"):
		return "ALTER COLUMN " + quoted(is.Name) + " SET DEFAULT ''"
	}
	return "MODIFY " + quoted(is.Name) + " " + is.Whole() + " NULL"
}
