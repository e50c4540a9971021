package records

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// seenTables is what a database has of the tables of the schema.
type seenTables struct {
	tables map[string]*seenTable // by the schema's names; those that are not there are missing
	// twins are tables whose names differ from those of the schema in upper and lower case only,
	// on a server that tells these apart: by the schema's names.
	twins map[string]string
}

// seenTable is one table, or a view in its place.
type seenTable struct {
	view    bool
	engine  string
	columns map[string]seenColumn // by name in lower case: everywhere that is all that counts
	keys    map[string]*seenKey   // likewise
}

// seenColumn is a column; what is more than its name is not known of the embedded store.
type seenColumn struct {
	name               string
	typ                string // in lower case: "int"
	declared           string // the same as CREATE TABLE has it: "int(11) unsigned"
	length             int64  // of text, in characters; 0: it is none
	null               bool
	auto               bool // the database counts it
	given              bool // it has a value without being given one
	charset, collation string
}

// seenKey is a key, with its columns in order, in lower case.
type seenKey struct {
	unique  bool
	columns []string
}

// primaryKey is the name that servers give it, in lower case.
const primaryKey = "primary"

func newSeen() seenTables {
	return seenTables{tables: map[string]*seenTable{}, twins: map[string]string{}}
}

func newSeenTable() *seenTable {
	return &seenTable{columns: map[string]seenColumn{}, keys: map[string]*seenKey{}}
}

func (t *seenTable) addColumn(c seenColumn) { t.columns[strings.ToLower(c.name)] = c }

// addKey adds the next column of a key.
func (t *seenTable) addKey(name string, unique bool, column string) {
	name = strings.ToLower(name)
	if t.keys[name] == nil {
		t.keys[name] = &seenKey{unique: unique}
	}
	t.keys[name].columns = append(t.keys[name].columns, strings.ToLower(column))
}

// has is whether the table has a column, or a key.
func (t *seenTable) has(column string) bool {
	_, ok := t.columns[strings.ToLower(column)]
	return ok
}

func (t *seenTable) hasKey(key string) bool { return t.keys[strings.ToLower(keyName(key))] != nil }

// primary is the columns of the primary key, in lower case.
func (t *seenTable) primary() []string {
	if k := t.keys[primaryKey]; k != nil {
		return k.columns
	}
	return nil
}

// names are the columns as the database has them.
func (t *seenTable) names() map[string]bool {
	names := make(map[string]bool, len(t.columns))
	for _, c := range t.columns {
		names[c.name] = true
	}
	return names
}

// there are the tables of the schema that the server has, in the schema's order.
func (s seenTables) there() (names []string) {
	for _, t := range schema() {
		if s.tables[t.name] != nil {
			names = append(names, t.name)
		}
	}
	return names
}

// misnamed are the tables that are there under a name that differs in case only, and not under
// their own.
func (s seenTables) misnamed() (names []string) {
	for _, t := range schema() {
		if s.tables[t.name] == nil && s.twins[t.name] != "" {
			names = append(names, t.name)
		}
	}
	return names
}

// whyMisnamed says what misnamed tables are about, and renaming gives them the names they need.
const whyMisnamed = "this server tells upper from lower case in names of tables " +
	"(lower_case_table_names is 0), so that it has no tables of the suite by their names"

func (s seenTables) renaming() string {
	var pairs []string
	for _, name := range s.misnamed() {
		pairs = append(pairs, s.twins[name]+" TO "+name)
	}
	return "RENAME TABLE " + strings.Join(pairs, ", ")
}

// named returns an error when tables are misnamed: empty ones beside them would hide their rows.
func (s seenTables) named() error {
	misnamed := s.misnamed()
	if len(misnamed) == 0 {
		return nil
	}
	first := misnamed[0]
	return chat.Errorf(chat.NotAllowed, "nothing is made beside tables that are there in other "+
		"letters, such as %s for %s: %s; rename them, with all that uses them stopped: %s",
		s.twins[first], first, whyMisnamed, s.renaming())
}

// The tables of a database, and what they are made of; schema() says which of them matter.
const (
	ofThisDatabase = " WHERE TABLE_SCHEMA=DATABASE() AND LOWER(TABLE_NAME) LIKE 'im%'"

	seenTablesQuery = "SELECT TABLE_NAME,TABLE_TYPE,COALESCE(ENGINE,'')" +
		" FROM information_schema.TABLES" + ofThisDatabase

	seenColumnsQuery = "SELECT TABLE_NAME,COLUMN_NAME,DATA_TYPE,COLUMN_TYPE," +
		"COALESCE(CHARACTER_MAXIMUM_LENGTH,0),IS_NULLABLE,COLUMN_DEFAULT,EXTRA," +
		"COALESCE(CHARACTER_SET_NAME,''),COALESCE(COLLATION_NAME,'')" +
		" FROM information_schema.COLUMNS" + ofThisDatabase

	seenKeysQuery = "SELECT TABLE_NAME,INDEX_NAME,NON_UNIQUE,COALESCE(COLUMN_NAME,'')" +
		" FROM information_schema.STATISTICS" + ofThisDatabase +
		" ORDER BY TABLE_NAME,INDEX_NAME,SEQ_IN_INDEX"
)

// inspect implements dialect: in four statements, however many tables there are.
func (mysqlDialect) inspect(ctx context.Context, q querier) (seenTables, error) {
	s := newSeen()
	folds := 0 // not 0: the server does not tell upper from lower case
	err := each(ctx, q, "SELECT @@lower_case_table_names", nil, func(scan scanner) error {
		return scan(&folds)
	})
	if err != nil {
		return s, fmt.Errorf("whether names are told apart by their case: %w", err)
	}
	ours := make(map[string]string) // the schema's names, by those that the server says
	fold := func(name string) string { return name }
	if folds != 0 {
		fold = strings.ToLower
	}
	lower := make(map[string]string)
	for _, t := range schema() {
		ours[fold(t.name)], lower[strings.ToLower(t.name)] = t.name, t.name
	}
	err = each(ctx, q, seenTablesQuery, nil, func(scan scanner) error {
		var name, kind, engine string
		if err := scan(&name, &kind, &engine); err != nil {
			return err
		}
		if own := ours[fold(name)]; own != "" {
			s.tables[own] = newSeenTable()
			s.tables[own].view, s.tables[own].engine = kind == "VIEW", engine
		} else if own := lower[strings.ToLower(name)]; own != "" {
			s.twins[own] = name
		}
		return nil
	})
	// table is the one that a row is about, nil when it is none of ours.
	table := func(name string) *seenTable { return s.tables[ours[fold(name)]] }
	if err == nil {
		err = each(ctx, q, seenColumnsQuery, nil, func(scan scanner) error {
			name, c, err := scanColumn(scan)
			if t := table(name); t != nil && err == nil {
				t.addColumn(c)
			}
			return err
		})
	}
	if err == nil {
		err = each(ctx, q, seenKeysQuery, nil, func(scan scanner) error {
			var name, key, column string
			var repeats int
			err := scan(&name, &key, &repeats, &column)
			if t := table(name); t != nil && err == nil {
				t.addKey(key, repeats == 0, column)
			}
			return err
		})
	}
	return s, err
}

func scanColumn(scan scanner) (table string, c seenColumn, err error) {
	var nullable, extra string
	var def sql.NullString
	err = scan(&table, &c.name, &c.typ, &c.declared, &c.length, &nullable, &def, &extra,
		&c.charset, &c.collation)
	c.typ, extra = strings.ToLower(c.typ), strings.ToLower(extra)
	c.null = nullable == "YES"
	// Whoever gives no value to an enum has its first one.
	c.auto = strings.Contains(extra, "auto_increment")
	c.given = c.null || c.auto || def.Valid || c.typ == "enum" ||
		slices.ContainsFunc([]string{"generated", "virtual", "persistent"}, func(kind string) bool {
			return strings.Contains(extra, kind)
		})
	return table, c, err
}

// isText is whether it holds text, or bytes.
func (c seenColumn) isText() bool { return c.charset != "" || slices.Contains(bytesTypes, c.typ) }

// whole is the type with its character set.
func (c seenColumn) whole() string {
	if c.charset == "" {
		return c.declared
	}
	return c.declared + " CHARACTER SET " + c.charset + " COLLATE " + c.collation
}

// bytesTypes are the types of text without a character set.
var bytesTypes = []string{"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
