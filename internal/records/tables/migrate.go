package tables

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// What an operator can do about missing tables: MigrateMend about any of them, OwnMend about those
// of the proxy's own.
const (
	MigrateMend = sqldb.MendOfTables
	OwnMend     = MigrateMend + "; \"dbproxy serve\" makes them, too, unless it is told --no-create"
)

// definer is how an engine defines tables, and what it says of them.
type definer interface {
	// create returns the statements that make a table and its keys.
	create(t Table) []string
	// addColumn and addKey return the statement that completes an existing table.
	addColumn(t Table, c Column) string
	addKey(t Table, key string) string
	// inspect returns what the database has of the tables of the schema.
	inspect(ctx context.Context, q sqldb.Querier) (Seen, error)
	// carryOver returns the statements that bring the rows of an earlier version's IMProxyToken
	// under its present key.
	carryOver(t Table) []string
}

func definerOf(engine sqldb.Engine) definer {
	if engine == sqldb.EngineSQLite {
		return sqliteTables{}
	}
	return mysqlTables{}
}

// Inspect returns what the database has of the tables of the schema.
func Inspect(ctx context.Context, p *sqldb.Pool) (Seen, error) {
	return inspect(ctx, p, p)
}

// inspect is Inspect through a connection or a transaction of the database.
func inspect(ctx context.Context, p *sqldb.Pool, q sqldb.Querier) (Seen, error) {
	seen, err := definerOf(p.Engine()).inspect(ctx, q)
	return seen, p.Fail("looking at the tables", err)
}

// Missing returns the statements that create the tables that are missing and complete those that
// lack columns or keys; none when all is there. They only add, and bring rows of an earlier
// version's table of our own under its present key. Views are left alone. The kind of the error is
// NotAllowed when tables are there in other letters than they must be. sqldb.DB.Define runs the
// statements.
func Missing(ctx context.Context, db *sqldb.DB) (stmts []string, err error) {
	return missing(ctx, db, db.Writes(), All(), true)
}

// MissingOwn is Missing for the tables of the proxy's own, which no other server knows, and for
// IMTransmitFile, which old databases do not have. It leaves alone tables whose rows are to be
// brought under another key.
func MissingOwn(ctx context.Context, db *sqldb.DB) (stmts []string, err error) {
	return missing(ctx, db, db.Writes(), New(), false)
}

// missing is Missing for some tables; with carry, also for those whose rows are to be carried over.
func missing(
	ctx context.Context, db *sqldb.DB, q sqldb.Querier, tables []Table, carry bool,
) (stmts []string, err error) {
	seen, err := inspect(ctx, db.Pool, q)
	if err != nil {
		return nil, err
	}
	if err := seen.Named(); err != nil {
		return nil, err
	}
	for _, t := range tables {
		if there := seen.Tables[t.Name]; carry || !t.Outdated(there) {
			stmts = append(stmts, lacking(definerOf(db.Engine()), t, there)...)
		}
	}
	return stmts, nil
}

// lacking returns the statements that bring a table to its declared form.
func lacking(d definer, t Table, there *SeenTable) (stmts []string) {
	switch {
	case there == nil:
		return d.create(t)
	case there.View:
		return nil
	}
	for _, c := range t.Columns {
		if !there.Has(c.Name) {
			stmts = append(stmts, d.addColumn(t, c))
		}
	}
	if t.Outdated(there) {
		stmts = append(stmts, d.carryOver(t)...)
	}
	for _, k := range t.Keys {
		if !there.HasKey(k) {
			stmts = append(stmts, d.addKey(t, k))
		}
	}
	return stmts
}

// Migrate runs what Missing returns, and returns it. It is safe to repeat, and to run by several
// processes at once.
func Migrate(ctx context.Context, db *sqldb.DB) (ran []string, err error) {
	if db.Engine() == sqldb.EngineMySQL { // where a statement that defines tables is a transaction
		stmts, err := Missing(ctx, db)
		if err != nil {
			return nil, err
		}
		return db.Define(ctx, stmts, nil)
	}
	err = db.Change(ctx, func(tx sqldb.Tx) error {
		if err := carrySQLite(ctx, tx); err != nil {
			return err
		}
		ran, err = missing(ctx, db, tx, All(), false)
		for _, stmt := range ran {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		return err
	})
	return ran, err
}

// Fresh reports whether no server has ever worked on a database: no proxy, as it has none of our
// own tables, or an empty one of marks alone; and no original, as no message is stored. marked is
// whether the table of the marks is there.
func Fresh(ctx context.Context, db *sqldb.DB) (fresh, marked bool, err error) {
	seen, err := inspect(ctx, db.Pool, db.Writes())
	if err != nil {
		return false, false, err
	}
	var asked []string
	for _, t := range Own() {
		switch {
		case seen.Tables[t.Name] == nil:
		case t.Name == "IMProxyMark":
			marked = true
			asked = append(asked, t.Name)
		default:
			return false, marked, nil
		}
	}
	for _, s := range AllShards() {
		if seen.Tables[s.Table()] != nil {
			asked = append(asked, s.Table())
		}
	}
	fresh = true
	for _, table := range asked {
		err := db.Query(ctx, table, "SELECT 1 FROM "+table+" LIMIT 1", nil,
			func(sqldb.Scanner) error { fresh = false; return nil })
		if err != nil || !fresh {
			return false, marked, err
		}
	}
	return true, marked, nil
}

// UserIndex returns the statement that adds an index on IMUser.updated. It is empty when the index
// is there, and for a view. Originals' databases have none, and so read all people to find those
// who changed; originals work with it as without.
func UserIndex(ctx context.Context, db *sqldb.DB) (stmt string, err error) {
	const key = "updated"
	seen, err := inspect(ctx, db.Pool, db.Writes())
	if err != nil {
		return "", err
	}
	if users := seen.Tables["IMUser"]; users != nil && (users.View || users.HasKey(key)) {
		return "", nil
	}
	return definerOf(db.Engine()).addKey(Table{Name: "IMUser"}, key), nil
}
