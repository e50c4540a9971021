package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Pool reads from one server. It is safe for concurrent use.
type Pool struct {
	Session // its connections; Query bounds a statement in time, these do not
	db      *sql.DB
	engine  engine
	timeout time.Duration                   // how long a Query may take
	suspect func()                          // is called after errors that may be the server's
	caller  func(table, column string) bool // Options.FromCaller
}

// Query runs a query, for as long as a read may take, and calls row for every row of the result.
// Errors have kinds: see Fail. what is what is read, for the error: "messages".
func (p *Pool) Query(
	ctx context.Context, what, query string, args []any, row func(Scanner) error,
) error {
	ctx, cancel := p.Bounded(ctx)
	defer cancel()
	err := Each(ctx, p, query, args, row)
	if p.LacksKey(err) {
		err = Each(ctx, p, p.engine.unforced(query), args, row)
	}
	return p.Fail("reading "+what, err)
}

// LacksKey reports whether a statement failed because it named a key, by ForceIndex, that a table
// lacks. From then on ForceIndex names none, so that the statement can be made anew.
func (p *Pool) LacksKey(err error) bool { return p.engine.lacksKey(err) }

// Bounded is ctx, which ends also when a read has taken as long as it may.
func (p *Pool) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.timeout)
}

// Fail gives an error of the driver its kind, and says what can be done about it. An error that has
// a kind keeps it. Invalid is a caller's text that its column cannot hold; all else is Unavailable.
// doing is what was being done, for the error; it may be empty.
func (p *Pool) Fail(doing string, err error) error {
	var known *chat.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	kind, rejected := chat.Unavailable, p.engine.rejects(err)
	if table, column, ok := p.engine.refusedText(err); ok && p.caller(table, column) {
		kind = chat.Invalid
	}
	err = p.engine.explain(err)
	switch {
	case kind != chat.Unavailable: // the server is well
	case rejected:
		err = fmt.Errorf("%w: %w", chat.ErrRejected, err)
	default:
		p.suspect()
	}
	if doing != "" {
		err = fmt.Errorf("%s: %w", doing, err)
	}
	return &chat.Error{Kind: kind, Err: err}
}

// Explain adds to an error of the driver what can be done about it.
func (p *Pool) Explain(err error) error { return p.engine.explain(err) }

// Advise is advice in which the server's own names stand: NAME_ becomes the beginning of its keys
// in the configuration, and "--config FILE" names that configuration. What is not known stays.
func (p *Pool) Advise(mend string) string { return p.engine.advise(mend) }

// Engine is what kind of database it is.
func (p *Pool) Engine() Engine { return p.engine.name() }

// Connections is the pool as database/sql has it, for metrics. It belongs to the Pool.
func (p *Pool) Connections() *sql.DB { return p.db }

// Close closes the connections. No statement may be at work.
func (p *Pool) Close() error { return p.db.Close() }
