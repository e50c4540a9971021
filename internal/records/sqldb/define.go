package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// defineTries is how often a statement that defines a table is tried while others use the table all
// the time.
const defineTries = 20

// Define executes statements that define tables, one by one; begin is called before each, unless it
// is nil. What somebody else has added meanwhile is no error. It returns those that were executed.
//
// A statement that must wait for a table until nobody uses it has everybody else wait behind it. So
// it waits for two seconds at most, lets the others go on, and tries again, for a minute.
func (db *DB) Define(
	ctx context.Context, stmts []string, begin func(stmt string),
) (ran []string, err error) {
	if len(stmts) == 0 {
		return nil, nil
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, db.Fail("connecting", err)
	}
	defer conn.Close() // back to the pool, where it came from
	if err := db.engine.waitForTables(ctx, conn, true); err != nil {
		return nil, db.Fail("beginning", err)
	}
	defer func() {
		undo := db.engine.waitForTables(context.WithoutCancel(ctx), conn, false)
		if undo != nil && err == nil {
			err = db.Fail("ending", undo)
		}
	}()
	for _, stmt := range stmts {
		if begin != nil {
			begin(stmt)
		}
		if err := db.define(ctx, conn, stmt); err != nil {
			if db.Duplicate(err) {
				err = fmt.Errorf("%w: a proxy of an earlier version wrote meanwhile; run the "+
					"same again", err)
			}
			return ran, db.Fail(firstLine(stmt), err)
		}
		ran = append(ran, stmt)
	}
	return ran, nil
}

// define runs a statement that defines a table, several times if it must.
func (db *DB) define(ctx context.Context, conn *sql.Conn, stmt string) error {
	for try := 1; ; try++ {
		_, err := Exec(ctx, conn, stmt)
		switch {
		case err == nil, db.engine.exists(err):
			return nil
		case !db.engine.retry(err), try == defineTries:
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
