package tables

import (
	"fmt"
	"slices"
	"strings"
)

// mysqlTables is MySQL's definer.
type mysqlTables struct{}

// create says no row format: no key is longer than the 767 bytes that each of them, and each
// server, allows.
func (mysqlTables) create(t Table) []string {
	var lines []string
	if t.Primary == nil {
		id := "id int NOT NULL AUTO_INCREMENT"
		if t.UnsignedID {
			id = "id int unsigned NOT NULL AUTO_INCREMENT"
		}
		lines = append(lines, id)
	}
	for _, c := range t.Columns {
		lines = append(lines, MySQLColumn(c))
	}
	primary := t.Primary
	if primary == nil {
		primary = []string{"id"}
	}
	lines = append(lines, "PRIMARY KEY ("+strings.Join(primary, ",")+")")
	for _, k := range slices.Concat(t.Keys, t.unused) {
		lines = append(lines, fmt.Sprintf("KEY %s (%s)", KeyName(k), k))
	}
	charset := "utf8mb4 COLLATE=utf8mb4_bin"
	if t.utf8 {
		charset = "utf8"
	}
	const create = "CREATE TABLE IF NOT EXISTS %s (\n  %s\n) ENGINE=InnoDB DEFAULT CHARSET=%s"
	return []string{fmt.Sprintf(create, t.Name, strings.Join(lines, ",\n  "), charset)}
}

// MySQLColumn is a column as MySQL's definition of a table has it.
func MySQLColumn(c Column) string {
	typ, def := "int", c.Default
	switch c.Type {
	case Unsigned:
		typ = "int unsigned"
	case Tiny:
		typ = "tinyint unsigned"
	case Varchar:
		typ, def = fmt.Sprintf("varchar(%d)", c.Size), "''"
	case Binary:
		typ, def = fmt.Sprintf("varbinary(%d)", c.Size), "''"
	case Text:
		typ = "mediumtext" // which has no default
	}
	switch {
	case c.Null:
		return fmt.Sprintf("%s %s DEFAULT NULL", c.Name, typ)
	case def == "":
		def = "0"
	}
	return fmt.Sprintf("%s %s NOT NULL DEFAULT %s", c.Name, typ, def)
}

func (mysqlTables) addColumn(t Table, c Column) string {
	return fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", t.Name, MySQLColumn(c))
}

func (mysqlTables) addKey(t Table, key string) string {
	return fmt.Sprintf("ALTER TABLE %s ADD KEY %s (%s)", t.Name, KeyName(key), key)
}

// carryOver does not disturb proxies of an earlier version that still run: they find their columns,
// and what they write takes a digest that no other proxy asks for.
func (mysqlTables) carryOver(t Table) []string {
	return []string{
		"DELETE FROM " + t.Name + " WHERE userId=0",
		"UPDATE " + t.Name + " SET digest=SHA2(token,256) WHERE digest=''",
		"ALTER TABLE " + t.Name + " DROP PRIMARY KEY, ADD PRIMARY KEY (digest)",
	}
}
