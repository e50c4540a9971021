package checkup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// readTables reads which tables there are, and what they are like.
func (c *inspection) readTables(ctx context.Context) (err error) {
	c.seen, err = tables.Inspect(ctx, c.pool)
	return err
}

// tables checks which tables, columns and keys there are, and of what kind they are.
func (c *inspection) tables(ctx context.Context) error {
	if err := c.readTables(ctx); err != nil {
		return err
	}
	const item = "tables"
	if misnamed := c.seen.Misnamed(); len(misnamed) > 0 {
		for i, name := range misnamed {
			misnamed[i] = c.seen.Twins[name]
		}
		text := "in other letters than they must be: " + list(misnamed) + "; " + tables.WhyMisnamed
		c.add(Fault(item, text, "with all that uses them stopped: "+c.seen.Renaming()))
		return nil
	}
	old, oldKeys := c.seen.Absent(tables.Old())
	own, ownKeys := c.seen.Absent(tables.New())
	c.lacksOld, c.lacksOwn = append(old, oldKeys...), append(own, ownKeys...)
	switch total := len(tables.Old()); {
	case len(old) == total && len(c.seen.Tables) == 0:
		c.add(Fault(item,
			fmt.Sprintf("there is none in the database %s that this user sees", c.Database),
			"mend "+c.key("dbname")+" if another is meant, else create them with \"dbproxy "+
				"migrate --config FILE\""))
		return nil
	case len(old) > 0:
		c.add(Fault(item, "missing: "+list(old), tables.MigrateMend))
	default:
		c.add(Goodf(item, "all %d of the suite's are there, with all columns", total))
	}
	if len(oldKeys) > 0 {
		text := "missing, so that whole tables are read: " + list(oldKeys)
		c.add(Doubt("keys", text, tables.MigrateMend))
	}
	if twins := c.seen.Twins; len(twins) > 0 {
		var beside []string
		for _, name := range slices.Sorted(maps.Keys(twins)) {
			beside = append(beside, twins[name]+" beside "+name)
		}
		c.add(Doubt("twins",
			"there are tables of other letters beside the ones used: "+list(beside),
			"see in which the rows are, and drop or rename the other, with all that uses them "+
				"stopped"))
	}
	c.own()
	c.kinds()
	return c.shape(ctx)
}

// counting compares where the proxies of the database count with what the configuration wants.
func (c *inspection) counting(ctx context.Context) error {
	if len(c.seen.There()) == 0 {
		return nil // the first migration decides
	}
	wanted := fleet.InRedis
	if c.opt.WithoutRedis {
		wanted = fleet.InMySQL
	}
	is, err := fleet.Read(ctx, c.pool)
	if err != nil {
		return err
	}
	if is != wanted {
		text, mend := wanted.Misfit()
		c.add(Fault("counting", text, mend))
	} else {
		c.add(Goodf("counting", "%v", is))
	}
	return nil
}

// own checks whether our own tables are there.
func (c *inspection) own() {
	const item = "own tables"
	switch outdated := c.seen.Outdated(); {
	case len(outdated) > 0:
		c.add(Fault(item,
			"an earlier version's, whose rows are to be brought under another key: "+list(outdated),
			"run \"dbproxy migrate --config FILE\", as a user who may; proxies of that version "+
				"may go on meanwhile"))
		c.lacksOwn = append(c.lacksOwn, outdated...)
	case len(c.lacksOwn) == 0:
		c.add(Goodf(item, "all %d are there", len(tables.New())))
	case c.opt.MakesOwn:
		c.add(Goodf(item, "to be made: %s", list(c.lacksOwn)))
	default:
		c.add(Fault(item, "missing: "+list(c.lacksOwn), tables.OwnMend))
	}
}

// kinds checks the engines, character sets and collations of the tables. Those of a view are not
// for us to judge.
func (c *inspection) kinds() {
	var unsafe []string
	charsets := make(map[string][]string) // "table.column", by its character set, if that is odd
	collations := make(map[string][]string)
	for _, name := range c.seen.There() {
		t := c.seen.Tables[name]
		if t.View {
			continue
		}
		if !strings.EqualFold(t.Engine, "InnoDB") {
			unsafe = append(unsafe, name+" ("+t.Engine+")")
		}
		for _, col := range t.Columns {
			if col.Charset != "" && col.Charset != "utf8mb4" {
				charsets[col.Charset] = append(charsets[col.Charset], name+"."+col.Name)
			}
			if col.Charset != "" && !strings.HasSuffix(col.Collation, "_bin") {
				collations[col.Collation] = append(collations[col.Collation], name+"."+col.Name)
			}
		}
	}
	if len(unsafe) > 0 {
		text := "without transactions, so that messages are lost or numbered twice: " + list(unsafe)
		c.add(Fault("engine", text, "ALTER TABLE ... ENGINE=InnoDB, with all servers stopped"))
	} else {
		c.add(Goodf("engine", "InnoDB"))
	}
	const mend = "ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	if len(charsets) > 0 {
		c.add(Doubt("characters", "text with characters that do not fit, such as emoji, is "+
			"refused: "+inWhich(charsets), mend))
	} else {
		c.add(Goodf("characters", "utf8mb4"))
	}
	if len(collations) > 0 {
		c.add(Doubt("collation", "text that is not the same may count as equal for the database, "+
			"and be found or refused for it: "+inWhich(collations), mend))
	} else {
		c.add(Goodf("collation", "all text is compared byte by byte"))
	}
}

// inWhich lists in which columns something is.
func inWhich(columns map[string][]string) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(columns)) {
		slices.Sort(columns[what])
		parts = append(parts, what+" in "+list(columns[what]))
	}
	return strings.Join(parts, "; ")
}

// What a user needs to be allowed on every table.
var (
	needsAll  = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	needsRead = []string{"SELECT"}
)

// harmless is a statement that changes nothing, for which the server checks the rights as if it
// did: so nobody has to understand grants, patterns and roles. What only reads is run, as to
// explain a view takes more rights than to read it.
func harmless(right string, t tables.Table) string {
	col := "id"
	if t.Primary != nil {
		col = t.Primary[0]
	}
	switch right {
	case "INSERT":
		return fmt.Sprintf("EXPLAIN INSERT INTO %s (%s) VALUES (1)", t.Name, col)
	case "UPDATE":
		return fmt.Sprintf("EXPLAIN UPDATE %s SET %s=%[2]s WHERE 1=0", t.Name, col)
	case "DELETE":
		return fmt.Sprintf("EXPLAIN DELETE FROM %s WHERE 1=0", t.Name)
	default:
		return fmt.Sprintf("SELECT %s FROM %s WHERE 1=0", col, t.Name)
	}
}

// rights checks whether the user may do all that a proxy does.
func (c *inspection) rights(ctx context.Context) error {
	if err := c.rightsOn(ctx, needsAll); err != nil {
		return err
	}
	missing := slices.Concat(c.lacksOld, c.lacksOwn)
	if len(missing) == 0 {
		return nil // there is nothing to migrate: who may not create tables is the better user
	}
	lacks, err := c.mayNot(ctx)
	if err != nil || len(lacks) == 0 {
		return err
	}
	rights := strings.Join(lacks, ", ")
	f := Doubt("rights to create",
		fmt.Sprintf("the user may not %s here, and these are missing: %s", rights, list(missing)),
		"run \"dbproxy migrate --config FILE\" as a user who may, or "+
			c.grant(rights, c.account(ctx))+orRole)
	if c.opt.MakesOwn && len(c.lacksOwn) > 0 {
		f.Grade = Wrong
	}
	c.add(f)
	return nil
}

// orRole is for those to whom roles were given: what they may counts only while the role is on.
const orRole = "; or, where a role may, have it on from the start: SET DEFAULT ROLE"

// rightsOn asks for rights on all tables, one by one.
func (c *inspection) rightsOn(ctx context.Context, rights []string) error {
	there := c.seen.There()
	all := slices.DeleteFunc(tables.All(), func(t tables.Table) bool {
		return !slices.Contains(there, t.Name) || t.Outdated(c.seen.Tables[t.Name])
	})
	const item = "rights"
	lacks := make(map[string][]string) // tables, by right
	var broken []string                // views
	var said *mysql.MySQLError
	for _, t := range all {
		view := c.seen.Tables[t.Name].View
		for _, r := range rights {
			if r != "SELECT" && view {
				continue // the suite's rows of it are not ours to write
			}
			err := sqldb.Drain(ctx, c.db, harmless(r, t))
			switch code := sqldb.Code(err); {
			case denied(err):
				lacks[r] = append(lacks[r], t.Name)
			case code == sqldb.CodeReadOnly, code == sqldb.CodeReadOnlyMode:
				return nil // another finding says so
			case code == sqldb.CodeNoColumn: // likewise
			case view && errors.As(err, &said): // also when its definer is denied
				broken = append(broken, t.Name+": "+said.Error())
			case err != nil:
				return err
			}
		}
	}
	if len(broken) > 0 {
		text := "views that cannot be read: " + strings.Join(broken, "; ")
		c.add(Fault(item, text, sqldb.MendOfView))
	}
	names := strings.Join(rights, ", ")
	if len(lacks) == 0 {
		if len(all) > 0 && len(broken) == 0 {
			c.add(Goodf(item, "%s on all tables that are there", names))
		}
		return nil
	}
	var parts []string
	for _, r := range rights {
		if on := lacks[r]; len(on) == len(all) {
			parts = append(parts, r+" on all tables")
		} else if len(on) > 0 {
			parts = append(parts, r+" on "+list(on))
		}
	}
	text := fmt.Sprintf("user %s lacks %s", c.User, strings.Join(parts, "; "))
	c.add(Fault(item, text, c.grant(names, c.account(ctx))+orRole))
	return nil
}

func denied(err error) bool {
	const columnDenied, commandDenied = 1143, 1227
	switch sqldb.Code(err) {
	case sqldb.CodeTableDenied, columnDenied, commandDenied, sqldb.CodeDBDenied:
		return true
	}
	return false
}

// whoAmI asks for the account that the server took the user for, as statements have it:
// 'name'@'host'.
const whoAmI = "SELECT CONCAT('''',SUBSTRING_INDEX(CURRENT_USER(),'@',1),'''@'''," +
	"SUBSTRING_INDEX(CURRENT_USER(),'@',-1),'''')"

// account returns the account. Where the server does not say, it is the name alone, which is
// that of any host.
func (c *inspection) account(ctx context.Context) string {
	var who string
	if err := c.db.QueryRowContext(ctx, whoAmI).Scan(&who); err != nil {
		return quoted(c.User)
	}
	return who
}

// triedRights are statements that can never be done, and of which the server says first whether the
// user may. So roles and patterns count, and nobody has to understand them.
var triedRights = []struct{ right, stmt string }{
	{"CREATE", "CREATE TABLE IMProxyTried (a int, a int)"},
	{"ALTER", "ALTER TABLE IMProxyTried ADD COLUMN a int"},
	{"INDEX", "CREATE INDEX a ON IMProxyTried (a)"},
}

// mayNot returns which of the rights to create the user has not. A node of Galera would tell all
// others of a statement that is tried there, so there it is only prepared.
func (c *inspection) mayNot(ctx context.Context) (lacks []string, err error) {
	for _, t := range triedRights {
		if c.galera() {
			var stmt *sql.Stmt
			if stmt, err = c.db.PrepareContext(ctx, t.stmt); err == nil {
				err = stmt.Close()
			}
		} else {
			_, err = sqldb.Exec(ctx, c.db, t.stmt)
		}
		switch {
		case denied(err):
			lacks = append(lacks, t.right)
		case err != nil && sqldb.Code(err) == 0:
			return nil, err
		}
	}
	return lacks, nil
}
