package sqldb

import (
	"context"
	"database/sql"
)

// engine is all that differs between MySQL and SQLite.
type engine interface {
	Dialect

	// name is "mysql" or "sqlite".
	name() Engine
	// texts says what a refused text was meant for: see place of a text in Options.FromCaller. ok
	// is false when err says nothing of a text that does not fit.
	refusedText(err error) (table, column string, ok bool)
	// rejects reports whether the engine refuses what it was given, and not to work.
	rejects(err error) bool
	// explain adds what can be done about an error.
	explain(err error) error
	// exists reports whether a table, column or key is there already that was to be made.
	exists(err error) bool
	// undone reports whether a COMMIT that met err has certainly stored nothing.
	undone(err error) bool
	// retry reports whether, moreover, the transaction may succeed when it is run again at once.
	retry(err error) bool
	// raced reports whether it was undone in favour of another one.
	raced(err error) bool
	// waitForTables has statements of a connection that define tables wait for those who use the
	// tables not longer than these would bear; or as long as usual again.
	waitForTables(ctx context.Context, q Querier, briefly bool) error
	// join begins a transaction that sends several statements as one text, where the connection may
	// do so; nil where it may not.
	join(conn *sql.Conn) (*joined, Dialect, error)
}

// Engine is a kind of database.
type Engine string

// The engines.
const (
	EngineMySQL  Engine = "mysql" // and what is compatible with it
	EngineSQLite Engine = "sqlite"
)
