package records

import (
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

// table looks at one table.
func (s *shape) table(t table, there *seenTable) {
	if there.view {
		grade := checkup.Wrong
		if t.onlyRead() {
			grade = checkup.Good
		}
		s.note(oddViews, grade, t.name, t.name, fmt.Sprintf("!RENAME TABLE %s TO View%[1]s, "+
			"let \"dbproxy migrate\" make the table, and copy the rows into it", t.name))
		return
	}
	if t.primary == nil {
		s.ids(t, there)
	} else if !slices.Equal(there.primary(), lowered(t.primary)) {
		s.note(oddIDs, checkup.Wrong, t.name, t.name+" (its primary key)", primaryClause(t, there))
	}
	for _, want := range t.columns {
		if is, ok := there.columns[strings.ToLower(want.name)]; ok {
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
func primaryClause(t table, there *seenTable) string {
	columns := t.primary
	if columns == nil {
		columns = []string{"id"}
	}
	clause := "ADD PRIMARY KEY (" + strings.Join(columns, ",") + ")"
	if there.primary() != nil {
		clause = "DROP PRIMARY KEY, " + clause
	}
	return clause
}

// ids looks at the column that the database counts. A primary key that only begins with it, as
// partitions need, is as good.
func (s *shape) ids(t table, there *seenTable) {
	id, ok := there.columns["id"]
	grade := checkup.Wrong
	if t.onlyRead() {
		grade = checkup.Doubtful
	}
	if !ok {
		s.note(oddIDs, grade, t.name, t.name+" (no id)",
			"ADD COLUMN id "+idType(t)+" NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST")
		return
	}
	own, led := false, false // by a key that allows no second row of that id, by any key
	for name, k := range there.keys {
		first := len(k.columns) > 0 && k.columns[0] == "id"
		own = own || first && k.unique && (len(k.columns) == 1 || name == primaryKey)
		led = led || first
	}
	if !own {
		g, what := grade, "its primary key"
		if led && id.auto {
			g = checkup.Doubtful
		}
		if there.primary() == nil {
			what = "no primary key"
		}
		s.note(oddIDs, g, t.name, t.name+" ("+what+")", primaryClause(t, there))
	}
	what := id.declared
	if !id.auto {
		what += ", not counted"
	}
	if !id.auto || intBytes[id.typ] < 4 {
		s.note(oddIDs, grade, t.name, t.name+".id ("+what+")",
			"MODIFY id "+idType(t)+" NOT NULL AUTO_INCREMENT")
	}
}

func idType(t table) string {
	if t.unsignedID {
		return "int unsigned"
	}
	return "int"
}

// intBytes are the types of whole numbers, and how many bytes they have.
var intBytes = map[string]int{
	"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 8,
}

// column compares a column with what it is to be.
func (s *shape) column(t table, want column, is seenColumn) {
	place := fmt.Sprintf("%s.%s (%s)", t.name, is.name, is.declared)
	grade := checkup.Wrong
	if time := want.name == "created" || want.name == "updated"; t.onlyRead() && !time {
		grade = checkup.Doubtful
	}
	switch want.typ {
	case signed, unsigned, tiny:
		s.number(t, want, is, grade, place)
	default:
		s.text(t, want, is, grade, place)
	}
	if is.null && !want.null {
		value := "''"
		if want.typ <= tiny {
			value = "0"
		}
		is.null = false
		s.note(oddNulls, checkup.Doubtful, t.name, t.name+"."+is.name, fmt.Sprintf(
			"!UPDATE %s SET %s=%s WHERE %[2]s IS NULL; ALTER TABLE %[1]s MODIFY %[4]s",
			t.name, is.name, value, definition(want, is, is.whole())))
	}
}

// number compares a column of numbers. Where it may be as large as 255 or 4294967295, the half of
// that is enough for what the suite stores, but for the shield, of which the protocol says 255.
func (s *shape) number(t table, want column, is seenColumn, grade checkup.Grade, place string) {
	least := 4
	if want.typ == tiny {
		least = 1
	}
	wide := mysqlDialect{}.column(column{name: want.name, typ: want.typ, null: true})
	wide = strings.TrimSuffix(strings.TrimPrefix(wide, want.name+" "), " DEFAULT NULL")
	size := intBytes[is.typ]
	switch {
	case size == 0 && is.typ == "decimal" && strings.Contains(is.declared, ",0)"):
	case size < least:
		s.note(oddNumbers, grade, t.name, place, "MODIFY "+definition(want, is, wide))
	case want.name == "push_shield_status" && size == 1 && !strings.Contains(is.declared, "unsigned"):
		s.note(oddNumbers, checkup.Doubtful, t.name, place, "MODIFY "+definition(want, is, wide))
	}
}

// text compares a column of text.
func (s *shape) text(t table, want column, is seenColumn, grade checkup.Grade, place string) {
	size, wide := int64(want.size), fmt.Sprintf("varchar(%d)", want.size)
	switch want.typ {
	case binary:
		wide = fmt.Sprintf("varbinary(%d)", want.size)
	case text:
		size, wide = 1<<24-1, "mediumtext"
	}
	if is.charset != "" && want.typ != binary {
		wide += " CHARACTER SET " + is.charset + " COLLATE " + is.collation
	}
	switch {
	case !is.isText():
		s.note(oddTexts, grade, t.name, place, "MODIFY "+definition(want, is, wide))
	case is.length < size:
		s.note(oddTexts, checkup.Doubtful, t.name, place, "MODIFY "+definition(want, is, wide))
	}
}

// definition is a column with another type, which may be NULL as it may now.
func definition(want column, is seenColumn, typ string) string {
	def := want.def
	switch {
	case is.null:
		return is.name + " " + typ + " DEFAULT NULL"
	case want.typ == text || strings.HasSuffix(is.typ, "text") && strings.HasPrefix(typ, is.typ):
		return is.name + " " + typ + " NOT NULL"
	case want.typ > tiny:
		def = "''"
	case def == "":
		def = "0"
	}
	return is.name + " " + typ + " NOT NULL DEFAULT " + def
}

// strangers looks at what others have added to a table: columns that want a value, keys that forbid
// rows.
func (s *shape) strangers(t table, there *seenTable) {
	known := map[string]bool{"id": t.primary == nil}
	for _, c := range t.columns {
		known[strings.ToLower(c.name)] = true
	}
	grade := checkup.Wrong
	if t.onlyRead() {
		grade = checkup.Doubtful
	}
	for _, name := range sortedKeys(there.columns) {
		if is := there.columns[name]; !known[name] && !is.given {
			place := fmt.Sprintf("%s.%s (%s)", t.name, is.name, is.declared)
			s.note(oddColumns, grade, t.name, place, defaultClause(is))
		}
	}
	if t.onlyRead() || t.primary != nil {
		return
	}
	for _, name := range sortedKeys(there.keys) {
		k := there.keys[name]
		if !k.unique || name == primaryKey || slices.Contains(k.columns, "id") {
			continue
		}
		columns := strings.Join(k.columns, ",")
		s.note(oddUniques, checkup.Doubtful, t.name, t.name+"("+columns+")",
			fmt.Sprintf("DROP KEY %s, ADD KEY %[1]s (%s)", quoted(name), columns))
	}
}

// defaultClause gives a column a default. One of a number, or of text that is not long, stands in
// the table's definition alone; others may be NULL from then on.
func defaultClause(is seenColumn) string {
	switch {
	case intBytes[is.typ] > 0, is.typ == "decimal", is.typ == "float", is.typ == "double":
		return "ALTER COLUMN " + quoted(is.name) + " SET DEFAULT 0"
	case strings.HasSuffix(is.typ, "char"), strings.HasSuffix(is.typ, "binary"):
		return "ALTER COLUMN " + quoted(is.name) + " SET DEFAULT ''"
	}
	return "MODIFY " + quoted(is.name) + " " + is.whole() + " NULL"
}
