package sqldb

import (
	"cmp"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/semaphore"
)

// MySQL says how to reach one MySQL-compatible server.
type MySQL struct {
	// Name is what the configuration calls the server, such as teamtalk_master, and Path the file
	// of that configuration: advice names its keys and the file. Both may be empty.
	Name, Path string

	Addr           string // host:port, or the path of a socket
	Database       string
	User, Password string
	TLS            *tls.Config // nil: none
	PlainAllowed   bool        // a server that has no TLS is used without it
	// MaxConns is how many connections are open at most (0: 16; a master that is written to has two
	// at least), MaxIdle how many of each pool stay open unused (0: all). Of a master's, half and
	// at most eight store batches of messages.
	MaxConns, MaxIdle int
	// Join is whether the connections that store batches send several statements as one text.
	Join Joining
	// MaxLifetime is how long a connection is used, MaxIdleTime how long it stays open unused; 0:
	// without end.
	MaxLifetime, MaxIdleTime time.Duration
	ConnectTimeout           time.Duration // 0: 2 s
	// StatementTimeout is how long a read may take; 0: 3 s. ReadTimeout and WriteTimeout are how
	// long the server may be silent, or take nothing, before a connection is given up; 0: as
	// StatementTimeout.
	StatementTimeout, ReadTimeout, WriteTimeout time.Duration

	Log mysql.Logger // for what the driver says; nil: nobody hears it
}

// Joining is whether several statements may go to a server as one text, which saves round trips.
type Joining int

const (
	// JoinAuto asks the server on each connection whether it is a node of Galera. Such a node may
	// abort a transaction in the midst of a text, and go on with the rest of it outside of any
	// transaction.
	JoinAuto Joining = iota
	// JoinAlways joins texts unless the server says that it is a node of Galera.
	JoinAlways
	// JoinNever is for what takes no joined texts, such as a proxy in between.
	JoinNever
)

// Defaults of a MySQL.
const (
	defaultConns   = 16
	connectTimeout = 2 * time.Second
)

// OpenMySQL opens a MySQL, MariaDB or compatible database that is written. It does not connect yet:
// see Ping.
func OpenMySQL(master MySQL, opt Options) (*DB, error) {
	opt, master = opt.complete(), master.Complete()
	batches, changes := master.split()
	toBatches, err := batches.connector(opt, true)
	if err != nil {
		return nil, err
	}
	connector, err := changes.connector(opt, false)
	if err != nil {
		return nil, err
	}
	connector.role = toBatches.role // one server, one role
	write := changes.pool(connector)
	db := newDB(write, write, master.dialect(opt.Log), opt)
	db.batch, db.role = batches.pool(toBatches), toBatches.role
	// Half of the connections are left for those who read, however many changes wait for a lock.
	db.writes = semaphore.NewWeighted(int64(min(sharedWriters, max(1, changes.MaxConns/2))))
	db.timeout = master.StatementTimeout
	db.watch = newWatch(db, connector, master.Addr)
	return db, nil
}

// OpenMySQLPool opens a MySQL, MariaDB or compatible database that is only read. It does not
// connect yet.
func OpenMySQLPool(m MySQL, opt Options) (*Pool, error) {
	opt, m = opt.complete(), m.Complete()
	connector, err := m.connector(opt, false)
	if err != nil {
		return nil, err
	}
	p := newPool(m.pool(connector), m.dialect(opt.Log), opt)
	p.timeout = m.StatementTimeout
	return p, nil
}

// maxBatchConns is how many connections store batches at most, and so how many of their commits may
// be pending at once.
const maxBatchConns = 8

// split divides the connections to a master between those that store batches and all others.
func (m MySQL) split() (batches, others MySQL) {
	batches, others = m, m
	batches.MaxConns = min(max(1, m.MaxConns/2), maxBatchConns)
	others.MaxConns = max(1, m.MaxConns-batches.MaxConns)
	return batches, others
}

// Prepared is how many prepared statements the connections to a server keep there, at most.
func (m MySQL) Prepared() int {
	return max(2, m.Complete().MaxConns) * maxStatements
}

// Complete is m with the defaults of MaxConns, ConnectTimeout and StatementTimeout filled in.
func (m MySQL) Complete() MySQL {
	m.MaxConns = cmp.Or(m.MaxConns, defaultConns)
	m.ConnectTimeout = cmp.Or(m.ConnectTimeout, connectTimeout)
	m.StatementTimeout = cmp.Or(m.StatementTimeout, readTimeout)
	return m
}

// Same reports whether it is the same database as another.
func (m MySQL) Same(other MySQL) bool {
	return strings.EqualFold(m.Addr, other.Addr) && m.Database == other.Database
}

// Explain adds to an error of the server, or of the way there, what can be done about it.
func (m MySQL) Explain(err error) error { return m.dialect(nil).explain(err) }

func (m MySQL) dialect(log *slog.Logger) mysqlDialect {
	return mysqlDialect{server: m.Name, config: m.Path, unkeyed: new(atomic.Bool), log: log}
}

// pool is the connections to the server, made by a connector.
func (m MySQL) pool(connector driver.Connector) *sql.DB {
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(m.MaxConns)
	db.SetMaxIdleConns(cmp.Or(m.MaxIdle, m.MaxConns))
	db.SetConnMaxLifetime(m.MaxLifetime)
	db.SetConnMaxIdleTime(m.MaxIdleTime)
	return db
}

// connector makes connections on which the server binds all values (see mysqlConn) or, for batches,
// which may send several statements as one text.
func (m MySQL) connector(opt Options, batches bool) (*mysqlConnector, error) {
	cfg := m.driverConfig()
	if batches && m.Join != JoinNever {
		cfg.MultiStatements = true // for texts of our own, with their values in them: see spell
	}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("MySQL server %s: %w", m.Addr, err)
	}
	return &mysqlConnector{
		Connector: inner, addr: m.Addr, dialect: m.dialect(nil), log: opt.Log, note: opt.Note,
		role:    new(serverRole),
		mayJoin: cfg.MultiStatements, join: m.Join, silence: cfg.ReadTimeout,
	}, nil
}

func (m MySQL) driverConfig() *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", m.Addr
	if strings.HasPrefix(m.Addr, "/") {
		cfg.Net = "unix"
	}
	cfg.DBName, cfg.User, cfg.Passwd, cfg.TLS = m.Database, m.User, m.Password, m.TLS
	cfg.AllowFallbackToPlaintext = m.PlainAllowed
	cfg.Timeout = m.ConnectTimeout
	// Nothing else bounds a COMMIT.
	cfg.ReadTimeout = cmp.Or(m.ReadTimeout, m.StatementTimeout)
	cfg.WriteTimeout = cmp.Or(m.WriteTimeout, m.StatementTimeout)
	cfg.ClientFoundRows = true // an update that finds its row has found it, changed or not
	cfg.Collation = collation
	if cfg.Logger = m.Log; m.Log == nil {
		cfg.Logger = &mysql.NopLogger{}
	}
	return cfg
}
