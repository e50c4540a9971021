package checkup

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// CheckOptions are what a check of a MySQL server needs to know beside how to reach it.
type CheckOptions struct {
	Name string // of the instance in the configuration, "teamtalk_master"; advice names its keys
	// MakesOwn says that our own tables will be made, where they are missing, before they are
	// needed. Then it is wrong only that the user may not make them.
	MakesOwn bool
	// Patience is how long a row may take from the master to the replica until it counts as not
	// arrived; 0 means 10 s.
	Patience time.Duration
	// WithoutRedis says that the proxy is to count without Redis.
	WithoutRedis bool
	Now          func() time.Time // the clock; nil means time.Now
}

// What a check compares with.
const (
	goodPacket      = 4 << 20 // bytes
	defaultPatience = 10 * time.Second
)

// CheckMaster connects to the server that is written, and reports how fit it is. It changes
// nothing. Connecting is bounded by m.ConnectTimeout, every statement by m.StatementTimeout. When
// the server cannot be reached, that is all there is to report.
func CheckMaster(ctx context.Context, m sqldb.MySQL, opt CheckOptions) []Finding {
	c, reached := inspect(ctx, m, opt)
	defer c.close()
	if reached && c.cluster(ctx) {
		c.readOnly()
		c.durability()
		c.binlog()
		c.packet()
		c.prepared()
		c.initial()
		c.idle()
		c.all(ctx, question{item: "connections", ask: c.connections},
			question{item: "clock", ask: c.clock}, question{item: "tables", ask: c.tables},
			question{item: "counting", ask: c.counting},
			question{item: "rights", ask: c.rights, many: true})
	}
	return c.found
}

// inspection is the check of one server. It belongs to one goroutine.
type inspection struct {
	sqldb.MySQL
	opt   CheckOptions
	pool  *sqldb.Pool
	db    *sql.DB           // the pool's
	vars  map[string]string // global variables, by names in lower case
	found []Finding

	seen     tables.Seen
	lacksOld []string // what is missing of the suite's tables
	lacksOwn []string // what is missing of our own tables
}

// inspect connects and asks for what many findings need. reached is whether the server can be asked
// more. The caller closes c in any case.
func inspect(ctx context.Context, m sqldb.MySQL, opt CheckOptions) (c *inspection, reached bool) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Patience = cmp.Or(opt.Patience, defaultPatience)
	m = m.Complete()
	c = &inspection{MySQL: m, opt: opt}
	m.MaxConns, m.MaxIdle = 2, 0
	pool, err := sqldb.OpenMySQLPool(m, sqldb.Options{})
	if err != nil {
		c.add(Fault("reachable", err.Error(), "mend the keys of "+opt.Name))
		return c, false
	}
	c.pool, c.db = pool, pool.Connections()
	begun := opt.Now()
	// The context bounds also what the driver's timeout does not: a server that accepts a
	// connection and says nothing.
	err = bounded(ctx, c.ConnectTimeout, c.db.PingContext)
	took := opt.Now().Sub(begun)
	if err == nil {
		err = bounded(ctx, c.StatementTimeout, c.variables)
	}
	if err != nil {
		c.add(c.unreachable(err))
		return c, false
	}
	c.add(Goodf("reachable", "as %s, in %d ms", m.User, took.Milliseconds()))
	c.version()
	return c, true
}

func (c *inspection) close() {
	if c.db != nil {
		_ = c.db.Close() // if a connection was broken, a finding says so
	}
}

func (c *inspection) add(f Finding) { c.found = append(c.found, f) }

// bounded asks something that may take so long.
func bounded(ctx context.Context, timeout time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return ask(ctx)
}

// question is something to ask the server. ask adds what it finds; an error says that it could not.
type question struct {
	item string
	ask  func(context.Context) error
	many bool // it takes many statements
}

// manyStatements is how many times the time of one statement a question with many may take.
const manyStatements = 30

// all asks all questions, up to one that finds the server gone.
func (c *inspection) all(ctx context.Context, questions ...question) {
	for _, q := range questions {
		timeout := c.StatementTimeout
		if q.many {
			timeout *= manyStatements
		}
		switch err := bounded(ctx, timeout, q.ask); {
		case err == nil:
		case cutOff(err), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
			c.add(c.unreachable(err))
			return
		default:
			c.add(unseen(q.item, c.Explain(err)))
		}
	}
}

func (c *inspection) variables(ctx context.Context) (err error) {
	c.vars, err = c.named(ctx, "SHOW GLOBAL VARIABLES")
	return err
}

// named asks for values by their names, which it returns in lower case.
func (c *inspection) named(ctx context.Context, query string) (map[string]string, error) {
	values := make(map[string]string)
	err := sqldb.Each(ctx, c.db, query, nil, func(scan sqldb.Scanner) error {
		var name, value string
		err := scan(&name, &value)
		values[strings.ToLower(name)] = value
		return err
	})
	return values, err
}

// on reports whether a variable is there and says yes.
func (c *inspection) on(name string) bool {
	v := strings.ToUpper(c.vars[name])
	return v == "ON" || v == "1" || v == "YES" || v == "TRUE"
}

// number is the value of a variable that is a number; ok is false when it is not there.
func (c *inspection) number(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(c.vars[name], 10, 64)
	return n, err == nil
}

// version checks what kind of server it is.
func (c *inspection) version() {
	v := c.vars["version"]
	var major, minor int
	_, _ = fmt.Sscanf(v, "%d.%d", &major, &minor) // zeros when it has another form
	product, least := "MySQL", [2]int{5, 7}
	switch {
	case strings.Contains(v, "MariaDB"):
		product, least = "MariaDB", [2]int{10, 2}
		_, v, _ = strings.Cut("-"+strings.TrimPrefix(v, "5.5.5-"), "-")
		v, _, _ = strings.Cut(v, "-")
		_, _ = fmt.Sscanf(v, "%d.%d", &major, &minor)
	case strings.Contains(v, "TiDB"):
		product = "TiDB"
	}
	if major < least[0] || major == least[0] && minor < least[1] {
		text := fmt.Sprintf("%s %s is older than anything this was made for", product, v)
		c.add(Doubt("version", text, fmt.Sprintf("use %s %d.%d or newer", product, least[0],
			least[1])))
		return
	}
	c.add(Goodf("version", "%s %s", product, strings.TrimPrefix(v, product+" ")))
}

// readOnly checks whether a master takes writes.
func (c *inspection) readOnly() {
	for _, name := range []string{
		"super_read_only", "read_only", "innodb_read_only", "tidb_super_read_only",
	} {
		if c.on(name) {
			c.add(Fault("read_only", name+" is on: it takes no writes; it looks like a replica",
				fmt.Sprintf("name the master in %s and %s, or SET GLOBAL %s = 0 if this is it",
					c.key("host"), c.key("port"), name)))
			return
		}
	}
	c.add(Goodf("read_only", "off: it takes writes"))
}

// setGlobal is how to give a variable another value, now and for good.
func setGlobal(name, value string) string {
	return fmt.Sprintf("SET GLOBAL %s = %s, and the same in its configuration", name, value)
}

// durability checks whether what is committed is on the disk.
func (c *inspection) durability() {
	const name = "innodb_flush_log_at_trx_commit"
	switch v, ok := c.vars[name]; {
	case !ok:
		c.add(Goodf("durability", "there is no %s here", name))
	case v == "1":
		c.add(Goodf("durability", "%s is 1: what is committed is on the disk", name))
	default:
		what := "the machine"
		if v == "0" {
			what = "the server"
		}
		if c.galera() {
			what = "all nodes of the cluster at once"
		}
		text := fmt.Sprintf("%s is %s: a crash of %s loses about the last second of messages, "+
			"though they were answered as stored", name, v, what)
		c.add(Doubt("durability", text, setGlobal(name, "1")))
	}
}

// binlog checks whether replicas get all that is committed.
func (c *inspection) binlog() {
	if !c.on("log_bin") {
		c.add(Goodf("binary log", "off: nothing replicates from here"))
		return
	}
	switch v := c.vars["sync_binlog"]; v {
	case "1":
		c.add(Goodf("sync_binlog", "1"))
	default:
		c.add(Doubt("sync_binlog", v+": after a crash of the machine the binary log may lack "+
			"commits that the tables have, and replicas never get them", setGlobal("sync_binlog",
			"1")))
	}
	switch v := strings.ToUpper(c.vars["binlog_format"]); v {
	case "STATEMENT":
		c.add(Fault("binlog_format", v+": the server refuses every write of a connection with "+
			"READ COMMITTED, as all ours", "SET GLOBAL binlog_format = 'ROW', the same in its "+
			"configuration, and start all proxies anew"))
	default: // the newest servers have only ROW, and no such variable
		c.add(Goodf("binlog_format", "%s", cmp.Or(v, "ROW")))
	}
}

// packet checks how large statements may be.
func (c *inspection) packet() {
	const item = "max_allowed_packet"
	n, ok := c.number(item)
	mend := setGlobal(item, fmt.Sprintf("%d or more", goodPacket))
	switch {
	case !ok || n >= goodPacket:
		c.add(Goodf(item, "%d MiB", n>>20))
	case n >= sqldb.LeastPacket:
		c.add(Doubt(item, fmt.Sprintf("%d bytes: what is stored together goes in smaller pieces, "+
			"which takes longer", n), mend+"; a proxy that runs takes it once it is started anew"))
	default:
		c.add(Fault(item,
			fmt.Sprintf("%d bytes: long messages and their counters would be refused", n), mend))
	}
}

// prepared compares how many prepared statements the server keeps with how many we may have there.
func (c *inspection) prepared() {
	const item, name = "statements", "max_prepared_stmt_count"
	allowed, ok := c.number(name)
	switch ours := int64(c.Prepared()); {
	case !ok:
	case ours > allowed:
		c.add(Doubt(item, fmt.Sprintf("the server keeps %d prepared ones in all, and this proxy "+
			"may want %d; where there is no room values go with the text, which takes longer",
			allowed, ours), fmt.Sprintf("SET GLOBAL %s = %d for each proxy, and the same in its "+
			"configuration; or lower %s", name, ours, c.key("maxconncnt"))))
	default:
		c.add(Goodf(item, "%d may be prepared; each proxy like this one may want %d", allowed,
			ours))
	}
}

// initial reports what the server runs on every new connection, for those who suspect it because
// of garbled text.
func (c *inspection) initial() {
	if said := c.vars["init_connect"]; said != "" {
		c.add(Goodf("init_connect", "%q; each of our connections sets its characters, mode and "+
			"limits anew, so it does no harm", said))
	}
}

// connections compares how many the server allows with how many we may open.
func (c *inspection) connections(ctx context.Context) error {
	const item = "connections"
	allowed, _ := c.number("max_connections")
	var mine sql.NullInt64
	if err := c.db.QueryRowContext(ctx, "SELECT @@max_user_connections").Scan(&mine); err != nil {
		mine.Int64 = 0 // unknown to some compatible servers
		if cutOff(err) {
			return err
		}
	}
	key := c.key("maxconncnt")
	switch ours := int64(c.MaxConns); {
	case mine.Int64 > 0 && ours > mine.Int64:
		text := fmt.Sprintf("user %s may have %d, and %s is %d", c.User, mine.Int64, key, ours)
		c.add(Doubt(item, text, "lower "+key+", or raise MAX_USER_CONNECTIONS of the user"))
	case allowed > 0 && ours >= allowed:
		c.add(Doubt(item, fmt.Sprintf("the server allows %d in all (max_connections), and %s is %d",
			allowed, key, ours), "lower "+key+", or raise max_connections to what all proxies and "+
			"others need together"))
	default:
		c.add(Goodf(item, "at most %d of the server's %d", ours, allowed))
	}
	return nil
}

// idle compares how long the server keeps a connection without work with how long we do.
func (c *inspection) idle() {
	const item = "wait_timeout"
	seconds, ok := c.number(item)
	limit := time.Duration(seconds) * time.Second
	text := fmt.Sprintf("the server closes connections after %v without work, ", limit)
	mend := "set " + c.key("conn_idle_time") + " below that"
	switch {
	case !ok || seconds == 0:
	case c.MaxIdleTime == 0:
		c.add(Doubt(item, text+"and we never do", mend))
	case c.MaxIdleTime >= limit:
		c.add(Doubt(item, text+fmt.Sprintf("before we do (%v)", c.MaxIdleTime), mend))
	default:
		c.add(Goodf(item, "%v, we close idle connections after %v", limit, c.MaxIdleTime))
	}
}

// clock compares the server's clock with ours.
func (c *inspection) clock(ctx context.Context) error {
	f, err := clock(c.opt.Now, func() (time.Time, error) {
		var text string
		const query = "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)"
		if err := c.db.QueryRowContext(ctx, query).Scan(&text); err != nil {
			return time.Time{}, err
		}
		return time.Parse("2006-01-02 15:04:05.999999", text)
	})
	if err == nil {
		c.add(f)
	}
	return err
}
