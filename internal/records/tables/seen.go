package tables

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Seen is what a database has of the tables of the schema. It is never changed once it is made.
type Seen struct {
	Tables map[string]*SeenTable // by the schema's names; those that are not there are missing
	// Twins are tables whose names differ from those of the schema in upper and lower case only,
	// on a server that tells these apart: by the schema's names.
	Twins map[string]string
}

// SeenTable is a table that is there, or a view of its name.
type SeenTable struct {
	View    bool
	Engine  string                // of MySQL's: "InnoDB"
	Columns map[string]SeenColumn // by name in lower case: everywhere that is all that counts
	Keys    map[string]*SeenKey   // likewise
}

// SeenColumn is a column that is there. Of the embedded store only its name is known.
type SeenColumn struct {
	Name               string
	Type               string // in lower case: "int"
	Declared           string // the same as CREATE TABLE has it: "int(11) unsigned"
	Length             int64  // how many characters of text it holds; 0: it holds none
	Null               bool
	Auto               bool // the database counts it
	Given              bool // it has a value without being given one
	Charset, Collation string
}

// SeenKey is a key, with its columns in order, in lower case.
type SeenKey struct {
	Unique  bool
	Columns []string
}

// PrimaryName is the name that servers give the primary key, in lower case.
const PrimaryName = "primary"

func newSeen() Seen {
	return Seen{Tables: map[string]*SeenTable{}, Twins: map[string]string{}}
}

func newSeenTable() *SeenTable {
	return &SeenTable{Columns: map[string]SeenColumn{}, Keys: map[string]*SeenKey{}}
}

func (t *SeenTable) addColumn(c SeenColumn) { t.Columns[strings.ToLower(c.Name)] = c }

// addKey adds the next column of a key.
func (t *SeenTable) addKey(name string, unique bool, column string) {
	name = strings.ToLower(name)
	if t.Keys[name] == nil {
		t.Keys[name] = &SeenKey{Unique: unique}
	}
	t.Keys[name].Columns = append(t.Keys[name].Columns, strings.ToLower(column))
}

// Has reports whether the table has a column.
func (t *SeenTable) Has(column string) bool {
	_, ok := t.Columns[strings.ToLower(column)]
	return ok
}

// HasKey reports whether the table has a key, given by its columns: see Table.Keys.
func (t *SeenTable) HasKey(key string) bool { return t.Keys[strings.ToLower(KeyName(key))] != nil }

// PrimaryKey is the columns of the primary key, in lower case.
func (t *SeenTable) PrimaryKey() []string {
	if k := t.Keys[PrimaryName]; k != nil {
		return k.Columns
	}
	return nil
}

// Names are the columns as the database has them.
func (t *SeenTable) Names() map[string]bool {
	names := make(map[string]bool, len(t.Columns))
	for _, c := range t.Columns {
		names[c.Name] = true
	}
	return names
}

// There are the tables of the schema that the server has, in the schema's order.
func (s Seen) There() (names []string) {
	for _, t := range All() {
		if s.Tables[t.Name] != nil {
			names = append(names, t.Name)
		}
	}
	return names
}

// Misnamed are the tables that are there under a name that differs in case only, and not under
// their own.
func (s Seen) Misnamed() (names []string) {
	for _, t := range All() {
		if s.Tables[t.Name] == nil && s.Twins[t.Name] != "" {
			names = append(names, t.Name)
		}
	}
	return names
}

// WhyMisnamed says what misnamed tables are about.
const WhyMisnamed = "this server tells upper from lower case in names of tables " +
	"(lower_case_table_names is 0), so that it has no tables of the suite by their names"

// Renaming is the statement that gives misnamed tables the names they need.
func (s Seen) Renaming() string {
	var pairs []string
	for _, name := range s.Misnamed() {
		pairs = append(pairs, s.Twins[name]+" TO "+name)
	}
	return "RENAME TABLE " + strings.Join(pairs, ", ")
}

// Named returns an error when tables are misnamed: empty ones beside them would hide their rows.
func (s Seen) Named() error {
	misnamed := s.Misnamed()
	if len(misnamed) == 0 {
		return nil
	}
	first := misnamed[0]
	return chat.Errorf(chat.NotAllowed, "nothing is made beside tables that are there in other "+
		"letters, such as %s for %s: %s; rename them, with all that uses them stopped: %s",
		s.Twins[first], first, WhyMisnamed, s.Renaming())
}

// The tables of a database, and what they are made of; All says which of them matter.
const (
	ofThisDatabase = " WHERE TABLE_SCHEMA=DATABASE() AND LOWER(TABLE_NAME) LIKE 'im%'"

	seenTablesQuery = "SELECT TABLE_NAME,TABLE_TYPE,COALESCE(ENGINE,'') FROM " +
		"information_schema.TABLES" + ofThisDatabase

	seenColumnsQuery = "SELECT TABLE_NAME,COLUMN_NAME,DATA_TYPE,COLUMN_TYPE," +
		"COALESCE(CHARACTER_MAXIMUM_LENGTH,0),IS_NULLABLE,COLUMN_DEFAULT,EXTRA," +
		"COALESCE(CHARACTER_SET_NAME,''),COALESCE(COLLATION_NAME,'') FROM " +
		"information_schema.COLUMNS" + ofThisDatabase

	seenKeysQuery = "SELECT TABLE_NAME,INDEX_NAME,NON_UNIQUE,COALESCE(COLUMN_NAME,'') FROM " +
		"information_schema.STATISTICS" + ofThisDatabase +
		" ORDER BY TABLE_NAME,INDEX_NAME,SEQ_IN_INDEX"
)

// inspect implements definer, in four statements, however many tables there are.
func (mysqlTables) inspect(ctx context.Context, q sqldb.Querier) (Seen, error) {
	s := newSeen()
	folds := 0 // not 0: the server does not tell upper from lower case
	err := sqldb.Each(ctx, q, "SELECT @@lower_case_table_names", nil,
		func(scan sqldb.Scanner) error { return scan(&folds) })
	if err != nil {
		return s, fmt.Errorf("whether names are told apart by their case: %w", err)
	}
	ours := make(map[string]string) // the schema's names, by those that the server says
	fold := func(name string) string { return name }
	if folds != 0 {
		fold = strings.ToLower
	}
	lower := make(map[string]string)
	for _, t := range All() {
		ours[fold(t.Name)], lower[strings.ToLower(t.Name)] = t.Name, t.Name
	}
	err = sqldb.Each(ctx, q, seenTablesQuery, nil, func(scan sqldb.Scanner) error {
		var name, kind, engine string
		if err := scan(&name, &kind, &engine); err != nil {
			return err
		}
		if own := ours[fold(name)]; own != "" {
			s.Tables[own] = newSeenTable()
			s.Tables[own].View, s.Tables[own].Engine = kind == "VIEW", engine
		} else if own := lower[strings.ToLower(name)]; own != "" {
			s.Twins[own] = name
		}
		return nil
	})
	// table is the one that a row is about, nil when it is none of ours.
	table := func(name string) *SeenTable { return s.Tables[ours[fold(name)]] }
	if err == nil {
		err = sqldb.Each(ctx, q, seenColumnsQuery, nil, func(scan sqldb.Scanner) error {
			name, c, err := scanColumn(scan)
			if t := table(name); t != nil && err == nil {
				t.addColumn(c)
			}
			return err
		})
	}
	if err == nil {
		err = sqldb.Each(ctx, q, seenKeysQuery, nil, func(scan sqldb.Scanner) error {
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

func scanColumn(scan sqldb.Scanner) (table string, c SeenColumn, err error) {
	var nullable, extra string
	var def sql.NullString
	err = scan(&table, &c.Name, &c.Type, &c.Declared, &c.Length, &nullable, &def, &extra,
		&c.Charset, &c.Collation)
	c.Type, extra = strings.ToLower(c.Type), strings.ToLower(extra)
	c.Null = nullable == "YES"
	// Whoever gives no value to an enum has its first one.
	c.Auto = strings.Contains(extra, "auto_increment")
	c.Given = c.Null || c.Auto || def.Valid || c.Type == "enum" ||
		slices.ContainsFunc([]string{"generated", "virtual", "persistent"}, func(kind string) bool {
			return strings.Contains(extra, kind)
		})
	return table, c, err
}

// IsText reports whether the column holds text, or bytes.
func (c SeenColumn) IsText() bool { return c.Charset != "" || slices.Contains(bytesTypes, c.Type) }

// Whole is the type with its character set.
func (c SeenColumn) Whole() string {
	if c.Charset == "" {
		return c.Declared
	}
	return c.Declared + " CHARACTER SET " + c.Charset + " COLLATE " + c.Collation
}

// bytesTypes are the types of text without a character set.
var bytesTypes = []string{"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}

// Absent is what tables lack, in words: whole tables and columns, and apart from them keys. Of
// views it is columns, of an earlier version's tables nothing.
func (s Seen) Absent(tables []Table) (parts, keys []string) {
	for _, t := range tables {
		there := s.Tables[t.Name]
		switch {
		case there == nil:
			parts = append(parts, t.Name)
			continue
		case t.Outdated(there):
			continue
		}
		for _, col := range t.Columns {
			if !there.Has(col.Name) {
				parts = append(parts, t.Name+"."+col.Name)
			}
		}
		for _, k := range t.Keys {
			if !there.View && !there.HasKey(k) {
				keys = append(keys, t.Name+"("+k+")")
			}
		}
	}
	return parts, keys
}

// Suite returns an error of kind NotFound when a table of the suite's is missing. p is where the
// tables were looked for.
func (s Seen) Suite(p *sqldb.Pool) error {
	for _, t := range Old() {
		if s.Tables[t.Name] == nil {
			return chat.Errorf(chat.NotFound, "there is no table %s: %s", t.Name,
				p.Advise(MigrateMend))
		}
	}
	return nil
}

// Outdated are the tables of ours that are an earlier version's.
func (s Seen) Outdated() (names []string) {
	for _, t := range Own() {
		if t.Outdated(s.Tables[t.Name]) {
			names = append(names, t.Name)
		}
	}
	return names
}
