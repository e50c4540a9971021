package records

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Missing returns the statements that create the tables that are missing and complete those that lack columns or keys;
// none when all is there. They only add, and bring rows of an earlier version's table of our own under its present key.
// Views are passed over. The kind of the error is NotAllowed when tables are there in other letters than they must be.
func (s *Store) Missing(ctx context.Context) (stmts []string, err error) {
	return s.missing(ctx, s.write, s.tables(), true)
}

// tables are all that the store uses.
func (s *Store) tables() []table {
	if s.dialect.shared() {
		return schema()
	}
	return append(schema(), embeddedTables()...)
}

// MissingOwn is Missing for the tables of the proxy's own, which no other server knows, and for IMTransmitFile, which old
// databases do not have; but for those that have rows to bring under another key.
func (s *Store) MissingOwn(ctx context.Context) (stmts []string, err error) {
	return s.missing(ctx, s.write, newTables(), false)
}

// missing is Missing for some tables; with carry, also for those whose rows are to be carried over.
func (s *Store) missing(ctx context.Context, q querier, tables []table, carry bool) (stmts []string, err error) {
	seen, err := s.dialect.inspect(ctx, q)
	if err != nil {
		return nil, s.failed("looking at the tables", err)
	}
	if err := seen.named(); err != nil {
		return nil, err
	}
	for _, t := range tables {
		if there := seen.tables[t.name]; carry || !t.outdated(there) {
			stmts = append(stmts, lacking(s.dialect, t, there)...)
		}
	}
	return stmts, nil
}

// lacking returns the statements that bring a table to its declared form.
func lacking(d dialect, t table, there *seenTable) (stmts []string) {
	switch {
	case there == nil:
		return d.create(t)
	case there.view:
		return nil
	}
	for _, c := range t.columns {
		if !there.has(c.name) {
			stmts = append(stmts, d.addColumn(t, c))
		}
	}
	if t.outdated(there) {
		stmts = append(stmts, d.carryOver(t)...)
	}
	for _, k := range t.keys {
		if !there.hasKey(k) {
			stmts = append(stmts, d.addKey(t, k))
		}
	}
	return stmts
}

// Migrate runs what Missing returns, and returns it. It is safe to repeat, and to run by several
// processes at once.
func (s *Store) Migrate(ctx context.Context) (ran []string, err error) {
	if s.dialect.shared() { // a statement that defines tables is its own transaction there
		stmts, err := s.Missing(ctx)
		if err != nil {
			return nil, err
		}
		return s.Run(ctx, stmts, nil)
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		if err := carrySQLite(ctx, tx); err != nil {
			return err
		}
		ran, err = s.missing(ctx, tx, s.tables(), false)
		for _, stmt := range ran {
			if _, err := tx.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		return err
	})
	return ran, err
}

// UserIndex returns the statement that adds an index on IMUser.updated, empty when it is there. Originals' databases have
// none, and so read all people to find those who changed; they work with it as without. It is empty for a view, too.
func (s *Store) UserIndex(ctx context.Context) (stmt string, err error) {
	const key = "updated"
	seen, err := s.dialect.inspect(ctx, s.write)
	if err != nil {
		return "", s.failed("looking at the keys of IMUser", err)
	}
	if users := seen.tables["IMUser"]; users != nil && (users.view || users.hasKey(key)) {
		return "", nil
	}
	return s.dialect.addKey(table{name: "IMUser"}, key), nil
}

// lockTries is how often a statement that defines tables is tried while others use the table all the time.
const lockTries = 20

// Run executes statements that Missing and UserIndex returned, one by one; begin is called before each, unless it is nil.
// What somebody else has added meanwhile is no error. It returns those that were executed.
//
// A statement that must wait for a table until nobody uses it has everybody else wait behind it. So it waits for two
// seconds at most, lets the others go on, and tries again, for a minute.
func (s *Store) Run(ctx context.Context, stmts []string, begin func(stmt string)) (ran []string, err error) {
	if len(stmts) == 0 {
		return nil, nil
	}
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return nil, s.failed("connecting", err)
	}
	defer conn.Close() // back to the pool, where it came from
	if err := s.dialect.waitForTables(ctx, conn, true); err != nil {
		return nil, s.failed("beginning", err)
	}
	defer func() {
		if undo := s.dialect.waitForTables(context.WithoutCancel(ctx), conn, false); undo != nil && err == nil {
			err = s.failed("ending", undo)
		}
	}()
	for _, stmt := range stmts {
		if begin != nil {
			begin(stmt)
		}
		if err := s.define(ctx, conn, stmt); err != nil {
			if s.dialect.duplicate(err) {
				err = fmt.Errorf("%w: a proxy of an earlier version wrote meanwhile; run the same again", err)
			}
			return ran, s.failed(firstLine(stmt), err)
		}
		ran = append(ran, stmt)
	}
	return ran, nil
}

// define runs a statement that defines a table, several times if it must.
func (s *Store) define(ctx context.Context, conn *sql.Conn, stmt string) error {
	for try := 1; ; try++ {
		_, err := exec(ctx, conn, stmt)
		switch {
		case err == nil, s.dialect.exists(err):
			return nil
		case !s.dialect.retry(err), try == lockTries:
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

func firstLine(stmt string) string {
	line, _, _ := strings.Cut(stmt, "\n")
	return strings.TrimSuffix(line, " (")
}
