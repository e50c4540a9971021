package records

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// MySQL says how to reach one MySQL-compatible server.
type MySQL struct {
	Addr           string // host:port, or the path of a socket
	Database       string
	User, Password string
	TLS            *tls.Config // nil: none
	PlainAllowed   bool        // a server that has no TLS is taken without it
	// MaxConns is how many connections are open at most (0: 16), MaxIdle how many stay open unused (0: all).
	MaxConns, MaxIdle int
	// MaxLifetime is how long a connection is used, MaxIdleTime how long it stays open unused; 0: without end.
	MaxLifetime, MaxIdleTime time.Duration
	ConnectTimeout           time.Duration // 0: 2 s
	// StatementTimeout is how long a read may take; 0: 3 s. ReadTimeout and WriteTimeout are how long the server may be
	// silent, or take nothing, before a connection is given up; 0: as StatementTimeout.
	StatementTimeout, ReadTimeout, WriteTimeout time.Duration
	Log                                         mysql.Logger // of what the driver has to say; nil: nothing
}

// Defaults of a MySQL.
const (
	defaultConns   = 16
	connectTimeout = 2 * time.Second
)

// session is said at the begin of every connection: how strict the server is with us does not depend on its
// configuration, and a wait for a lock ends before the request that waits.
const session = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

// OpenMySQL opens the records in a MySQL, MariaDB or compatible database. Where replica is nil or the same server as
// master, all is read from the master; else see RunReplica. It does not connect yet: see Ping. Tables are made by Migrate.
func OpenMySQL(master MySQL, replica *MySQL, opt Options) (*Store, error) {
	connector, err := master.connector()
	if err != nil {
		return nil, err
	}
	write := master.pool(connector)
	s := newStore(write, write, mysqlDialect{}, opt)
	s.statement = cmp.Or(master.StatementTimeout, readTimeout)
	s.watch = newWatch(s, connector, master.Addr)
	if replica != nil && !sameServer(master, *replica) {
		db, err := openMySQL(*replica)
		if err != nil {
			return nil, errors.Join(err, write.Close())
		}
		s.replica = newReplica(s, db, replica.Addr)
	}
	return s, nil
}

func sameServer(a, b MySQL) bool {
	return strings.EqualFold(a.Addr, b.Addr) && a.Database == b.Database
}

// Ping reports whether the master answers. The replica need not: see RunReplica.
func (s *Store) Ping(ctx context.Context) error {
	return s.failed("", s.write.PingContext(ctx))
}

func openMySQL(m MySQL) (*sql.DB, error) {
	connector, err := m.connector()
	if err != nil {
		return nil, err
	}
	return m.pool(connector), nil
}

// pool is the connections to the server, made by a connector.
func (m MySQL) pool(connector driver.Connector) *sql.DB {
	db := sql.OpenDB(connector)
	conns := cmp.Or(m.MaxConns, defaultConns)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(cmp.Or(m.MaxIdle, conns))
	db.SetConnMaxLifetime(m.MaxLifetime)
	db.SetConnMaxIdleTime(m.MaxIdleTime)
	return db
}

func (m MySQL) connector() (driver.Connector, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", m.Addr
	if strings.HasPrefix(m.Addr, "/") {
		cfg.Net = "unix"
	}
	cfg.DBName, cfg.User, cfg.Passwd, cfg.TLS = m.Database, m.User, m.Password, m.TLS
	cfg.AllowFallbackToPlaintext = m.PlainAllowed
	statement := cmp.Or(m.StatementTimeout, readTimeout)
	cfg.Timeout = cmp.Or(m.ConnectTimeout, connectTimeout)
	// A COMMIT has no other bound.
	cfg.ReadTimeout, cfg.WriteTimeout = cmp.Or(m.ReadTimeout, statement), cmp.Or(m.WriteTimeout, statement)
	cfg.ClientFoundRows = true   // an update that finds its row has found it, changed or not
	cfg.InterpolateParams = true // one round trip; the driver binds the values
	cfg.MultiStatements = true   // for texts that are constants of ours
	cfg.Collation = "utf8mb4_bin"
	cfg.Params = map[string]string{
		"sql_mode":                 "'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"innodb_lock_wait_timeout": "3",
	}
	if cfg.Logger = m.Log; m.Log == nil {
		cfg.Logger = &mysql.NopLogger{}
	}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("MySQL server %s: %w", m.Addr, err)
	}
	return &mysqlConnector{Connector: inner}, nil
}
