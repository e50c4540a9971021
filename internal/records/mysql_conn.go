package records

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
)

// mysqlConnector prepares every connection of a pool, and takes those out of use that lead to a server which is the
// master no more. After a failover the old one may still run, and answer who reads from it.
type mysqlConnector struct {
	driver.Connector
	// generation is raised when the server refuses writes, and when one takes them again: connections made before that
	// are not used any more, for reads neither.
	generation atomic.Uint64
	refused    atomic.Bool // writes, the last time
}

// Connect implements driver.Connector.
func (c *mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	generation := c.generation.Load()
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(driverConn)
	if !ok {
		err = fmt.Errorf("the MySQL driver's connection (%T) cannot do all it must", conn)
	} else {
		_, err = inner.ExecContext(ctx, session, nil)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &mysqlConn{driverConn: inner, of: c, generation: generation}, nil
}

// driverConn is what a connection of the driver can do.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// mysqlConn is one connection. As every driver.Conn it is used by one goroutine at a time.
type mysqlConn struct {
	driverConn
	of         *mysqlConnector
	generation uint64
}

// ExecContext implements driver.ExecerContext: everything that writes goes through it.
func (c *mysqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	res, err := c.driverConn.ExecContext(ctx, query, args)
	switch {
	case takesNoWrites(err):
		c.of.refused.Store(true)
		c.of.generation.CompareAndSwap(c.generation, c.generation+1)
	case err == nil && c.of.refused.CompareAndSwap(true, false):
		c.generation = c.of.generation.Add(1)
	}
	return res, err
}

// ResetSession implements driver.SessionResetter; it is called before a connection is used again.
func (c *mysqlConn) ResetSession(ctx context.Context) error {
	if c.generation != c.of.generation.Load() {
		return driver.ErrBadConn
	}
	return c.driverConn.ResetSession(ctx)
}

// IsValid implements driver.Validator; it is called when a connection is given back.
func (c *mysqlConn) IsValid() bool {
	return c.generation == c.of.generation.Load() && c.driverConn.IsValid()
}
