package sqldb

import (
	"container/list"
	"context"
	"database/sql/driver"
)

// maxStatements is how many prepared statements one connection keeps. Of more it closes the one
// that was used least recently.
const maxStatements = 256

// statements are those that one connection has prepared.
type statements struct {
	byText map[string]*list.Element // of preparedStmt
	used   *list.List               // the same, the one used last in front
	missed map[string]bool          // texts that were not prepared: see mayPrepare
}

type preparedStmt struct {
	driver.Stmt
	text string
}

func newStatements() statements {
	return statements{byText: make(map[string]*list.Element), used: list.New(),
		missed: make(map[string]bool)}
}

// get returns the statement of a text, and prepares it unless it was kept.
func (s statements) get(
	ctx context.Context, conn driver.ConnPrepareContext, text string,
) (driver.Stmt, error) {
	if e := s.byText[text]; e != nil {
		s.used.MoveToFront(e)
		return e.Value.(preparedStmt).Stmt, nil
	}
	for s.used.Len() >= maxStatements {
		if err := s.drop(s.used.Back().Value.(preparedStmt).text); err != nil {
			return nil, err
		}
	}
	stmt, err := conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s.byText[text] = s.used.PushFront(preparedStmt{stmt, text})
	return stmt, nil
}

// mayPrepare reports whether a statement is prepared, or may be now. A node of Galera that undoes a
// transaction while it prepares a statement does not say so (MariaDB 10.11): what follows would be
// outside of any transaction. So what is not prepared yet goes there as a text within transactions.
func (c *mysqlConn) mayPrepare(text string) bool {
	if !c.node || !c.within || c.statements.byText[text] != nil {
		return true
	}
	c.statements.missed[text] = true
	return false
}

// prepareMissed prepares what could not be prepared within the transactions before.
func (c *mysqlConn) prepareMissed(ctx context.Context) error {
	for text := range c.statements.missed {
		delete(c.statements.missed, text)
		switch _, err := c.prepared(ctx, text); {
		case err == nil:
		case Code(err) == 0:
			return c.heard(err, false)
		case cannotPrepare(err):
			c.cannotBind(err)
			clear(c.statements.missed)
		} // of any other error the text is told, when it is sent
	}
	return nil
}

// prepared is statements.get; it also says in the log when statements are prepared again.
func (c *mysqlConn) prepared(ctx context.Context, text string) (driver.Stmt, error) {
	kept := c.statements.byText[text] != nil
	stmt, err := c.statements.get(ctx, c.driverConn, text)
	if err == nil && !kept {
		c.bindsAgain()
	}
	return stmt, err
}

// drop closes a statement. The server does not answer that.
func (s statements) drop(text string) error {
	e := s.byText[text]
	delete(s.byText, text)
	s.used.Remove(e)
	return e.Value.(preparedStmt).Close()
}

// bound runs a text with values that the server binds. Where the server cannot prepare it, the
// values go with the text.
func bound[R any](
	ctx context.Context, c *mysqlConn, text string, args []driver.NamedValue,
	asText func(context.Context, string, []driver.NamedValue) (R, error),
	prepared func(driver.Stmt) (R, error),
) (result R, err error) {
	if c.mayPrepare(text) {
		stmt, err := c.prepared(ctx, text)
		if err == nil {
			if result, err = prepared(stmt); !forgotten(err) {
				return result, err
			}
			if err := c.statements.drop(text); err != nil {
				return result, err
			}
		} else if !cannotPrepare(err) {
			return result, err
		}
		c.cannotBind(err)
	}
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = arg.Value
	}
	spelled, err := spell(nil, text, values, appendHex)
	if err != nil {
		return result, err
	}
	return asText(ctx, string(spelled), nil)
}

// cannotPrepare reports whether the server has as many prepared statements as it may, or prepares
// none of this kind.
func cannotPrepare(err error) bool {
	return codeIn(err, errTooManyStatements, errNotPrepared)
}

// forgotten reports whether the server does not have the statement any more, or not as it was.
func forgotten(err error) bool { return codeIn(err, errUnknownStatement, errPrepareAgain) }

// cannotBind says in the log that values go with the texts, once until bindsAgain.
func (c *mysqlConn) cannotBind(err error) {
	if !c.of.unbound.Swap(true) {
		c.of.log.Warn("MySQL did not prepare a statement; values go with the text meanwhile, "+
			"spelled in hexadecimal digits", "addr", c.of.addr, "err", c.of.dialect.explain(err))
	}
}

// bindsAgain says in the log that what cannotBind told is over.
func (c *mysqlConn) bindsAgain() {
	if c.of.unbound.Load() && c.of.unbound.Swap(false) {
		c.of.log.Info("MySQL prepares statements again", "addr", c.of.addr)
	}
}
