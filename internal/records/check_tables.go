package records

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

// seenTables is what a server has of the tables of the schema.
type seenTables struct {
	columns, keys map[string]map[string]bool // by table; of a table that is not there: none
	engine        map[string]string
	charset       map[string][]string // by character set: "table.column"
	collation     map[string][]string // those that do not compare byte by byte
}

// look reads what tables there are: in three statements, however many.
func (c *inspection) look(ctx context.Context) error {
	s := seenTables{
		columns: map[string]map[string]bool{}, keys: map[string]map[string]bool{},
		engine: map[string]string{}, charset: map[string][]string{}, collation: map[string][]string{},
	}
	ours := map[string]bool{}
	for _, t := range schema() {
		ours[t.name] = true
		s.columns[t.name], s.keys[t.name] = map[string]bool{}, map[string]bool{}
	}
	const here = " WHERE TABLE_SCHEMA=DATABASE() AND TABLE_NAME LIKE 'IM%'"
	err := each(ctx, c.db, "SELECT TABLE_NAME,COLUMN_NAME,COALESCE(CHARACTER_SET_NAME,''),COALESCE(COLLATION_NAME,'') "+
		"FROM information_schema.COLUMNS"+here, nil, func(scan scanner) error {
		var table, column, charset, collation string
		if err := scan(&table, &column, &charset, &collation); err != nil || !ours[table] {
			return err
		}
		s.columns[table][column] = true
		if charset != "" {
			s.charset[charset] = append(s.charset[charset], table+"."+column)
			if !strings.HasSuffix(collation, "_bin") {
				s.collation[collation] = append(s.collation[collation], table+"."+column)
			}
		}
		return nil
	})
	if err == nil {
		err = each(ctx, c.db, "SELECT TABLE_NAME,INDEX_NAME FROM information_schema.STATISTICS"+here, nil, func(scan scanner) error {
			var table, key string
			err := scan(&table, &key)
			if ours[table] {
				s.keys[table][key] = true
			}
			return err
		})
	}
	if err == nil {
		err = each(ctx, c.db, "SELECT TABLE_NAME,COALESCE(ENGINE,'') FROM information_schema.TABLES"+here, nil, func(scan scanner) error {
			var table, engine string
			err := scan(&table, &engine)
			if ours[table] {
				s.engine[table] = engine
			}
			return err
		})
	}
	c.seen = s
	return err
}

// absent is what the tables lack, in words: whole tables and columns, and apart from them keys.
func (s seenTables) absent(tables []table) (parts, keys []string) {
	for _, t := range tables {
		if len(s.columns[t.name]) == 0 {
			parts = append(parts, t.name)
			continue
		}
		for _, col := range t.columns {
			if !s.columns[t.name][col.name] {
				parts = append(parts, t.name+"."+col.name)
			}
		}
		for _, k := range t.keys {
			if !s.keys[t.name][keyName(k)] {
				keys = append(keys, t.name+"("+k+")")
			}
		}
	}
	return parts, keys
}

// there are the tables of the schema that the server has.
func (s seenTables) there() (names []string) {
	for _, t := range schema() {
		if len(s.columns[t.name]) > 0 {
			names = append(names, t.name)
		}
	}
	return names
}

// newTables are those that an original's database may lack: our own, and the one that originals made later.
func newTables() []table {
	return slices.DeleteFunc(schema(), func(t table) bool { return !t.isNew() })
}

func oldTables() []table { return slices.DeleteFunc(schema(), table.isNew) }

// isNew is whether old databases do not have the table.
func (t table) isNew() bool {
	return strings.HasPrefix(t.name, "IMProxy") || t.name == "IMTransmitFile"
}

const migrateMend = "create it with \"dbproxy migrate --config FILE\", as a user who may"

// tables looks at what there is of tables, columns and keys, and of what kind they are.
func (c *inspection) tables(ctx context.Context) error {
	if err := c.look(ctx); err != nil {
		return err
	}
	old, oldKeys := c.seen.absent(oldTables())
	own, ownKeys := c.seen.absent(newTables())
	c.lacksOld, c.lacksOwn = append(old, oldKeys...), append(own, ownKeys...)
	switch total := len(oldTables()); {
	case len(old) == total && len(c.seen.there()) == 0:
		c.add(checkup.Fault("tables", fmt.Sprintf("there is none in the database %s that this user sees", c.Database),
			fmt.Sprintf("mend %s_dbname if another is meant, else create them with \"dbproxy migrate --config FILE\"", c.opt.Name)))
		return nil
	case len(old) > 0:
		c.add(checkup.Fault("tables", "missing: "+checkup.List(old), migrateMend))
	default:
		c.add(checkup.Goodf("tables", "all %d of the suite's are there, with all columns", total))
	}
	if len(oldKeys) > 0 {
		c.add(checkup.Doubt("keys", "missing, so that whole tables are read: "+checkup.List(oldKeys), migrateMend))
	}
	switch {
	case len(c.lacksOwn) == 0:
		c.add(checkup.Goodf("own tables", "all %d are there", len(newTables())))
	case c.opt.MakesOwn:
		c.add(checkup.Goodf("own tables", "to be made: %s", checkup.List(c.lacksOwn)))
	default:
		c.add(checkup.Fault("own tables", "missing: "+checkup.List(c.lacksOwn), migrateMend))
	}
	c.kinds()
	return nil
}

// kinds looks at what the tables are made of.
func (c *inspection) kinds() {
	var unsafe, narrow []string
	for _, t := range c.seen.there() {
		if e := c.seen.engine[t]; !strings.EqualFold(e, "InnoDB") {
			unsafe = append(unsafe, t+" ("+e+")")
		}
	}
	if len(unsafe) > 0 {
		c.add(checkup.Fault("engine", "without transactions, so that messages are lost or numbered twice: "+checkup.List(unsafe),
			"ALTER TABLE ... ENGINE=InnoDB, with all servers stopped"))
	} else {
		c.add(checkup.Goodf("engine", "InnoDB"))
	}
	for _, charset := range sortedKeys(c.seen.charset) {
		if charset != "utf8mb4" {
			columns := c.seen.charset[charset]
			slices.Sort(columns)
			narrow = append(narrow, charset+" in "+checkup.List(columns))
		}
	}
	if len(narrow) > 0 {
		c.add(checkup.Doubt("characters", "text with characters that do not fit, such as emoji, is refused: "+strings.Join(narrow, "; "),
			"ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
	} else {
		c.add(checkup.Goodf("characters", "utf8mb4"))
	}
	if len(c.seen.collation) == 0 {
		c.add(checkup.Goodf("collation", "all text is compared byte by byte"))
		return
	}
	var loose []string
	for _, name := range sortedKeys(c.seen.collation) {
		columns := c.seen.collation[name]
		slices.Sort(columns)
		loose = append(loose, name+" in "+checkup.List(columns))
	}
	c.add(checkup.Doubt("collation", "text that is not the same may count as equal for the database, and be found or refused for it: "+
		strings.Join(loose, "; "), "ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
}

// What a user needs to be allowed on every table.
var (
	needsAll  = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	needsRead = []string{"SELECT"}
)

// explained is a statement that is only looked at by the server, which checks the rights as if it ran: so nobody has to
// understand grants, patterns and roles.
func explained(right string, t table) string {
	col := "id"
	if t.primary != nil {
		col = t.primary[0]
	}
	switch right {
	case "INSERT":
		return fmt.Sprintf("EXPLAIN INSERT INTO %s (%s) VALUES (1)", t.name, col)
	case "UPDATE":
		return fmt.Sprintf("EXPLAIN UPDATE %s SET %s=%[2]s WHERE 1=0", t.name, col)
	case "DELETE":
		return fmt.Sprintf("EXPLAIN DELETE FROM %s WHERE 1=0", t.name)
	default:
		return fmt.Sprintf("EXPLAIN SELECT %s FROM %s WHERE 1=0", col, t.name)
	}
}

// rights looks at what the user may do.
func (c *inspection) rights(ctx context.Context) error {
	if err := c.rightsOn(ctx, needsAll); err != nil {
		return err
	}
	if len(c.lacksOld)+len(c.lacksOwn) == 0 {
		return nil // there is nothing to migrate: who may not create tables is the better user
	}
	lacks, err := c.lacksRights(ctx, "CREATE", "ALTER", "INDEX")
	if err != nil || len(lacks) == 0 {
		return err
	}
	text := fmt.Sprintf("the user may not %s here (roles were not looked at), and these are missing: %s", strings.Join(lacks, ", "),
		checkup.List(slices.Concat(c.lacksOld, c.lacksOwn)))
	mend := "run \"dbproxy migrate --config FILE\" as a user who may, or " + c.grant(strings.Join(lacks, ", "), c.account(ctx))
	if c.opt.MakesOwn && len(c.lacksOwn) > 0 {
		c.add(checkup.Fault("rights to create", text, mend))
	} else {
		c.add(checkup.Doubt("rights to create", text, mend))
	}
	return nil
}

// rightsOn asks for rights on all tables, one by one.
func (c *inspection) rightsOn(ctx context.Context, rights []string) error {
	there := c.seen.there()
	tables := slices.DeleteFunc(schema(), func(t table) bool { return !slices.Contains(there, t.name) })
	const item = "rights"
	lacks := map[string][]string{}
	for _, t := range tables {
		for _, r := range rights {
			switch err := drain(ctx, c.db, explained(r, t)); {
			case denied(err):
				lacks[r] = append(lacks[r], t.name)
			case mysqlCode(err) == errReadOnly, mysqlCode(err) == errReadOnlyMode: // told already
				return nil
			case err != nil:
				return err
			}
		}
	}
	switch {
	case len(tables) == 0:
		return nil
	case len(lacks) == 0:
		c.add(checkup.Goodf(item, "%s on all tables that are there", strings.Join(rights, ", ")))
		return nil
	}
	var parts []string
	for _, r := range rights {
		if on := lacks[r]; len(on) == len(tables) {
			parts = append(parts, r+" on all tables")
		} else if len(on) > 0 {
			parts = append(parts, r+" on "+checkup.List(on))
		}
	}
	c.add(checkup.Fault(item, fmt.Sprintf("user %s lacks %s", c.User, strings.Join(parts, "; ")), c.grant(strings.Join(rights, ", "), c.account(ctx))))
	return nil
}

func denied(err error) bool {
	const columnDenied, commandDenied = 1143, 1227
	switch mysqlCode(err) {
	case errTableDenied, columnDenied, commandDenied, errDBDenied:
		return true
	}
	return false
}

// drain runs a statement and passes over what it returns.
func drain(ctx context.Context, q querier, stmt string) error {
	return each(ctx, q, stmt, nil, func(scanner) error { return nil })
}

// whoAmI is the account that the server took the user for, as statements have it: 'name'@'host'.
const whoAmI = "CONCAT('''',SUBSTRING_INDEX(CURRENT_USER(),'@',1),'''@''',SUBSTRING_INDEX(CURRENT_USER(),'@',-1),'''')"

// account asks for whoAmI; a server that does not say is left the name alone, which is any host's.
func (c *inspection) account(ctx context.Context) string {
	var who string
	if err := c.db.QueryRowContext(ctx, "SELECT "+whoAmI).Scan(&who); err != nil {
		return quoted(c.User)
	}
	return who
}

// lacksRights returns which of these rights, that no statement could ask for without using them, the user was not given
// on the database or on all.
func (c *inspection) lacksRights(ctx context.Context, rights ...string) (lacks []string, err error) {
	has := map[string]bool{}
	err = each(ctx, c.db, "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE="+whoAmI+
		" UNION SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE="+whoAmI+" AND DATABASE() LIKE TABLE_SCHEMA",
		nil, func(scan scanner) error {
			var name sql.NullString
			err := scan(&name)
			has[name.String] = true
			return err
		})
	return slices.DeleteFunc(rights, func(r string) bool { return has[r] }), err
}
