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
	// refusedText returns the column that could not hold a text, and its table where the engine
	// says that; see Options.FromCaller. ok is false when err is about something else.
	refusedText(err error) (table, column string, ok bool)
	// rejects reports whether the engine refuses what it was given, and would take something else.
	rejects(err error) bool
	// explain adds what can be done about an error.
	explain(err error) error
	// advise is advice in which names of the server's own stand for NAME and FILE.
	advise(mend string) string
	// exists reports whether a table, column or key is there already that was to be made.
	exists(err error) bool
	// undone reports whether a COMMIT that met err has certainly stored nothing.
	undone(err error) bool
	// lacksKey reports whether a table lacks a key that ForceIndex has named, and if so has
	// ForceIndex name none from then on. unforced is a query without what ForceIndex has put into
	// it.
	lacksKey(err error) bool
	unforced(query string) string
	// retry reports whether the transaction was undone, or is to be, and may succeed when it runs
	// again at once.
	retry(err error) bool
	// raced reports whether the transaction was undone in favour of another one.
	raced(err error) bool
	// waitForTables sets how long statements of a connection that define tables wait for others who
	// use these tables: briefly, so that those others hardly notice, or again as long as usual.
	waitForTables(ctx context.Context, q Querier, briefly bool) error
	// join begins a transaction that sends several statements as one text, where the connection may
	// do so; it returns nil where it may not.
	join(conn *sql.Conn) (*joined, Dialect, error)
}

// Engine is a kind of database.
type Engine string

// The engines.
const (
	EngineMySQL  Engine = "mysql" // and what is compatible with it
	EngineSQLite Engine = "sqlite"
)
