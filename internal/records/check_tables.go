package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

// absent is what the tables lack, in words: whole tables and columns, and apart from them keys. Of views it is columns, of
// an earlier version's tables nothing.
func (s seenTables) absent(tables []table) (parts, keys []string) {
	for _, t := range tables {
		there := s.tables[t.name]
		switch {
		case there == nil:
			parts = append(parts, t.name)
			continue
		case t.outdated(there):
			continue
		}
		for _, col := range t.columns {
			if !there.has(col.name) {
				parts = append(parts, t.name+"."+col.name)
			}
		}
		for _, k := range t.keys {
			if !there.view && !there.hasKey(k) {
				keys = append(keys, t.name+"("+k+")")
			}
		}
	}
	return parts, keys
}

// outdated are the tables of ours that are an earlier version's.
func (s seenTables) outdated() (names []string) {
	for _, t := range ownTables() {
		if t.outdated(s.tables[t.name]) {
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

// How missing tables come about.
const (
	migrateMend = "create what is missing with \"dbproxy migrate --config FILE\", as a user who may"
	ownMend     = migrateMend + "; \"dbproxy serve\" makes them, too, unless it is told --no-create"
)

// look reads what tables there are.
func (c *inspection) look(ctx context.Context) (err error) {
	c.seen, err = mysqlDialect{}.inspect(ctx, c.db)
	return err
}

// tables looks at what there is of tables, columns and keys, and of what kind they are.
func (c *inspection) tables(ctx context.Context) error {
	if err := c.look(ctx); err != nil {
		return err
	}
	if misnamed := c.seen.misnamed(); len(misnamed) > 0 {
		for i, name := range misnamed {
			misnamed[i] = c.seen.twins[name]
		}
		c.add(checkup.Fault("tables", "in other letters than they must be: "+checkup.List(misnamed)+"; "+whyMisnamed,
			"with all that uses them stopped: "+c.seen.renaming()))
		return nil
	}
	old, oldKeys := c.seen.absent(oldTables())
	own, ownKeys := c.seen.absent(newTables())
	c.lacksOld, c.lacksOwn = append(old, oldKeys...), append(own, ownKeys...)
	switch total := len(oldTables()); {
	case len(old) == total && len(c.seen.tables) == 0:
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
	if twins := c.seen.twins; len(twins) > 0 {
		c.add(checkup.Doubt("twins", fmt.Sprintf("there are tables of other letters beside the ones used: %s", checkup.List(beside(twins))),
			"see in which the rows are, and drop or rename the other, with all that uses them stopped"))
	}
	c.own()
	c.kinds()
	return c.shape(ctx)
}

// beside lists the twins of tables, as "imuser beside IMUser".
func beside(twins map[string]string) (all []string) {
	for _, name := range sortedKeys(twins) {
		all = append(all, twins[name]+" beside "+name)
	}
	return all
}

// own looks at whether our own tables are there.
func (c *inspection) own() {
	const item = "own tables"
	switch outdated := c.seen.outdated(); {
	case len(outdated) > 0:
		c.add(checkup.Fault(item, "an earlier version's, whose rows are to be brought under another key: "+checkup.List(outdated),
			"run \"dbproxy migrate --config FILE\", as a user who may; proxies of that version may go on meanwhile"))
		c.lacksOwn = append(c.lacksOwn, outdated...)
	case len(c.lacksOwn) == 0:
		c.add(checkup.Goodf(item, "all %d are there", len(newTables())))
	case c.opt.MakesOwn:
		c.add(checkup.Goodf(item, "to be made: %s", checkup.List(c.lacksOwn)))
	default:
		c.add(checkup.Fault(item, "missing: "+checkup.List(c.lacksOwn), ownMend))
	}
}

// bytesMend is for columns of text.
const bytesMend = "ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

// kinds looks at what the tables are made of; of views it is not for us to say.
func (c *inspection) kinds() {
	var unsafe []string
	charsets, collations := map[string][]string{}, map[string][]string{} // "table.column", by what it has
	for _, name := range c.seen.there() {
		t := c.seen.tables[name]
		if t.view {
			continue
		}
		if !strings.EqualFold(t.engine, "InnoDB") {
			unsafe = append(unsafe, name+" ("+t.engine+")")
		}
		for _, col := range t.columns {
			if col.charset != "" && col.charset != "utf8mb4" {
				charsets[col.charset] = append(charsets[col.charset], name+"."+col.name)
			}
			if col.charset != "" && !strings.HasSuffix(col.collation, "_bin") {
				collations[col.collation] = append(collations[col.collation], name+"."+col.name)
			}
		}
	}
	if len(unsafe) > 0 {
		c.add(checkup.Fault("engine", "without transactions, so that messages are lost or numbered twice: "+checkup.List(unsafe),
			"ALTER TABLE ... ENGINE=InnoDB, with all servers stopped"))
	} else {
		c.add(checkup.Goodf("engine", "InnoDB"))
	}
	if len(charsets) > 0 {
		c.add(checkup.Doubt("characters", "text with characters that do not fit, such as emoji, is refused: "+inWhich(charsets), bytesMend))
	} else {
		c.add(checkup.Goodf("characters", "utf8mb4"))
	}
	if len(collations) == 0 {
		c.add(checkup.Goodf("collation", "all text is compared byte by byte"))
		return
	}
	c.add(checkup.Doubt("collation", "text that is not the same may count as equal for the database, and be found or refused for it: "+
		inWhich(collations), bytesMend))
}

// inWhich lists in which columns something is.
func inWhich(columns map[string][]string) string {
	var parts []string
	for _, what := range sortedKeys(columns) {
		slices.Sort(columns[what])
		parts = append(parts, what+" in "+checkup.List(columns[what]))
	}
	return strings.Join(parts, "; ")
}

// What a user needs to be allowed on every table.
var (
	needsAll  = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	needsRead = []string{"SELECT"}
)

// harmless is a statement that changes nothing, for which the server checks the rights as if it did: so nobody has to
// understand grants, patterns and roles. What only reads is run, as to explain a view takes more rights than to read it.
func harmless(right string, t table) string {
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
		return fmt.Sprintf("SELECT %s FROM %s WHERE 1=0", col, t.name)
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
	lacks, err := c.mayNot(ctx)
	if err != nil || len(lacks) == 0 {
		return err
	}
	text := fmt.Sprintf("the user may not %s here, and these are missing: %s", strings.Join(lacks, ", "),
		checkup.List(slices.Concat(c.lacksOld, c.lacksOwn)))
	mend := "run \"dbproxy migrate --config FILE\" as a user who may, or " + c.grant(strings.Join(lacks, ", "), c.account(ctx)) +
		orRole
	if c.opt.MakesOwn && len(c.lacksOwn) > 0 {
		c.add(checkup.Fault("rights to create", text, mend))
	} else {
		c.add(checkup.Doubt("rights to create", text, mend))
	}
	return nil
}

// orRole is for those to whom roles were given: what they may counts only while the role is on.
const orRole = "; or, where a role may, have it on from the start: SET DEFAULT ROLE"

// brokenMend is for a view whose tables have gone, or whose definer may not read them, or has gone.
const brokenMend = "make the view anew, as a user who may read what it is made of"

// rightsOn asks for rights on all tables, one by one.
func (c *inspection) rightsOn(ctx context.Context, rights []string) error {
	there := c.seen.there()
	tables := slices.DeleteFunc(schema(), func(t table) bool {
		return !slices.Contains(there, t.name) || t.outdated(c.seen.tables[t.name])
	})
	const item = "rights"
	lacks := map[string][]string{}
	var broken []string // views
	var said *mysql.MySQLError
	for _, t := range tables {
		for _, r := range rights {
			if r != "SELECT" && c.seen.tables[t.name].view {
				continue // the suite's rows of it are not ours to write
			}
			switch err := drain(ctx, c.db, harmless(r, t)); {
			case denied(err):
				lacks[r] = append(lacks[r], t.name)
			case mysqlCode(err) == errReadOnly, mysqlCode(err) == errReadOnlyMode: // told already
				return nil
			case mysqlCode(err) == errNoColumn: // likewise
			case c.seen.tables[t.name].view && errors.As(err, &said): // also that its definer is denied
				broken = append(broken, t.name+": "+said.Error())
			case err != nil:
				return err
			}
		}
	}
	if len(broken) > 0 {
		c.add(checkup.Fault(item, "views that cannot be read: "+strings.Join(broken, "; "),
			brokenMend))
	}
	switch {
	case len(tables) == 0:
		return nil
	case len(lacks) == 0 && len(broken) > 0:
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
	c.add(checkup.Fault(item, fmt.Sprintf("user %s lacks %s", c.User, strings.Join(parts, "; ")), c.grant(strings.Join(rights, ", "), c.account(ctx))+orRole))
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

// triedRights are statements that can never be done, of which the server says first whether the user may: a role's
// rights count, and patterns, which nobody has to understand.
var triedRights = []struct{ right, stmt string }{
	{"CREATE", "CREATE TABLE IMProxyTried (a int, a int)"},
	{"ALTER", "ALTER TABLE IMProxyTried ADD COLUMN a int"},
	{"INDEX", "CREATE INDEX a ON IMProxyTried (a)"},
}

// mayNot returns which of the rights to create the user has not. A node of Galera would tell all others of what is
// tried there, so that there it is only prepared.
func (c *inspection) mayNot(ctx context.Context) (lacks []string, err error) {
	for _, t := range triedRights {
		if c.galera() {
			var stmt *sql.Stmt
			if stmt, err = c.db.PrepareContext(ctx, t.stmt); err == nil {
				err = stmt.Close()
			}
		} else {
			_, err = exec(ctx, c.db, t.stmt)
		}
		switch {
		case denied(err):
			lacks = append(lacks, t.right)
		case err != nil && mysqlCode(err) == 0:
			return nil, err
		}
	}
	return lacks, nil
}
