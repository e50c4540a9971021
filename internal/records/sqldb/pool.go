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
	Session // its connections; statements are not bounded in time
	db      *sql.DB
	engine  engine
	timeout time.Duration                   // of a Query
	suspect func()                          // told of errors that may be the server's
	caller  func(table, column string) bool // Options.FromCaller
}

// Query runs a query, bounded by the time that a read may take, and calls row for every row of the
// result. Errors have kinds: see Fail. what says what is read: "messages".
func (p *Pool) Query(
	ctx context.Context, what, query string, args []any, row func(Scanner) error,
) error {
	ctx, cancel := p.Bounded(ctx)
	defer cancel()
	return p.Fail("reading "+what, Each(ctx, p, query, args, row))
}

// Bounded is ctx with the time that a read may take.
func (p *Pool) Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.timeout)
}

// Fail gives an error of the driver its kind, and says what can be done about it; errors that have
// a kind keep it. Invalid is what a caller's text has no column for, all else is Unavailable. doing
// says what was being done; it may be empty.
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

// Engine is what kind of database it is.
func (p *Pool) Engine() Engine { return p.engine.name() }

// Connections is the pool as database/sql has it, for those who want to know how it does.
func (p *Pool) Connections() *sql.DB { return p.db }

// Close closes the connections. No statement may be at work.
func (p *Pool) Close() error { return p.db.Close() }
