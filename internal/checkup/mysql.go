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
	Name string // the instance in the configuration, "teamtalk_master": the mends name its keys
	// MakesOwn is whether our own tables are made, where they are missing, before they are needed: then only that the
	// user may not make them is wrong.
	MakesOwn bool
	// Patience is how long a row may take from the master to the replica before it counts as not arrived. 0: 10 s.
	Patience time.Duration
	Now      func() time.Time // the clock; nil means time.Now
}

// What a check compares with.
const (
	goodPacket      = 4 << 20
	largeOffset     = 2 * time.Second // between clocks
	defaultPatience = 10 * time.Second
)

// CheckMaster connects to the server that is written, and reports how fit it is. It changes nothing. Connecting is
// bounded by m.ConnectTimeout, every statement by m.StatementTimeout. When the server cannot be reached,
// that is all there is to report.
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
		c.all(ctx, question{item: "connections", ask: c.connections}, question{item: "clock", ask: c.clock},
			question{item: "tables", ask: c.tables}, question{item: "rights", ask: c.rights, many: true})
	}
	return c.found
}

// inspection is the check of one server.
type inspection struct {
	sqldb.MySQL
	opt   CheckOptions
	pool  *sqldb.Pool
	db    *sql.DB           // the pool's
	vars  map[string]string // global variables, by names in lower case
	found []Finding

	seen     tables.Seen
	lacksOwn []string // what is missing of our own tables; lacksTheirs: of the original's
	lacksOld []string
}

// inspect connects and asks for what many findings need. reached is whether the server can be asked more; c is to be
// closed in any case.
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
	if err := c.connect(ctx); err != nil {
		c.add(c.unreachable(err))
		return c, false
	}
	took := opt.Now().Sub(begun)
	if err := c.ask(ctx, c.variables); err != nil {
		c.add(c.unreachable(err))
		return c, false
	}
	c.add(Goodf("reachable", "as %s, in %d ms", m.User, took.Milliseconds()))
	c.version()
	return c, true
}

func (c *inspection) close() {
	if c.db != nil {
		_ = c.db.Close() // a connection that is broken was told of
	}
}

func (c *inspection) add(f Finding) { c.found = append(c.found, f) }

// connect has a connection made. The context bounds also what the driver's own timeout does not: a server that accepts
// and says nothing.
func (c *inspection) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	return c.db.PingContext(ctx)
}

func (c *inspection) ask(ctx context.Context, question func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.StatementTimeout)
	defer cancel()
	return question(ctx)
}

// question is something to ask the server. ask adds what it finds; an error says that it could not.
type question struct {
	item string
	ask  func(context.Context) error
	many bool // it takes many statements
}

// manyStatements is how many times the time of one statement a question may take that has many.
const manyStatements = 30

// all asks all questions, up to one that finds the server gone.
func (c *inspection) all(ctx context.Context, questions ...question) {
	for _, q := range questions {
		timeout := c.StatementTimeout
		if q.many {
			timeout *= manyStatements
		}
		bounded, cancel := context.WithTimeout(ctx, timeout)
		err := q.ask(bounded)
		cancel()
		switch {
		case err == nil:
		case cutOff(err), errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
			c.add(c.unreachable(err))
			return
		default:
			c.add(Unseen(q.item, sqldb.ExplainMySQL(err)))
		}
	}
}

func (c *inspection) variables(ctx context.Context) error {
	c.vars = make(map[string]string)
	return sqldb.Each(ctx, c.db, "SHOW GLOBAL VARIABLES", nil, func(scan sqldb.Scanner) error {
		var name, value string
		err := scan(&name, &value)
		c.vars[strings.ToLower(name)] = value
		return err
	})
}

// on is whether a variable is there and says yes.
func (c *inspection) on(name string) bool {
	v := strings.ToUpper(c.vars[name])
	return v == "ON" || v == "1" || v == "YES" || v == "TRUE"
}

// number is a variable that is one; ok is false when it is not there.
func (c *inspection) number(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(c.vars[name], 10, 64)
	return n, err == nil
}

// version looks at what kind of server it is.
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
		c.add(Doubt("version", fmt.Sprintf("%s %s is older than anything this was made for", product, v),
			fmt.Sprintf("use %s %d.%d or newer", product, least[0], least[1])))
		return
	}
	c.add(Goodf("version", "%s %s", product, strings.TrimPrefix(v, product+" ")))
}

// readOnly looks at whether a master takes writes.
func (c *inspection) readOnly() {
	for _, name := range []string{"super_read_only", "read_only", "innodb_read_only", "tidb_super_read_only"} {
		if c.on(name) {
			c.add(Fault("read_only", name+" is on: it takes no writes; it looks like a replica",
				fmt.Sprintf("name the master in %s_host and %[1]s_port, or SET GLOBAL %s = 0 if this is it", c.opt.Name, name)))
			return
		}
	}
	c.add(Goodf("read_only", "off: it takes writes"))
}

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
		c.add(Doubt("durability", fmt.Sprintf("%s is %s: a crash of %s loses about the last second of messages, "+
			"though they were answered as stored", name, v, what), "SET GLOBAL "+name+" = 1, and the same in its configuration"))
	}
}

func (c *inspection) binlog() {
	if !c.on("log_bin") {
		c.add(Goodf("binary log", "off: nothing replicates from here"))
		return
	}
	switch v := c.vars["sync_binlog"]; v {
	case "1":
		c.add(Goodf("sync_binlog", "1"))
	default:
		c.add(Doubt("sync_binlog", fmt.Sprintf("%s: after a crash of the machine the binary log may lack commits that "+
			"the tables have, and replicas never get them", v), "SET GLOBAL sync_binlog = 1, and the same in its configuration"))
	}
	if v := strings.ToUpper(c.vars["binlog_format"]); v == "STATEMENT" {
		c.add(Fault("binlog_format", "STATEMENT: the server refuses every write of a connection with READ COMMITTED, as all ours",
			"SET GLOBAL binlog_format = 'ROW', the same in its configuration, and start all proxies anew"))
	} else {
		c.add(Goodf("binlog_format", "%s", cmp.Or(v, "ROW"))) // gone in the newest, which have only that
	}
}

func (c *inspection) packet() {
	const item = "max_allowed_packet"
	n, ok := c.number(item)
	mend := fmt.Sprintf("SET GLOBAL max_allowed_packet = %d or more, and the same in its configuration", goodPacket)
	switch {
	case !ok || n >= goodPacket:
		c.add(Goodf(item, "%d MiB", n>>20))
	case n >= sqldb.LeastPacket:
		c.add(Doubt(item, fmt.Sprintf("%d bytes: what is stored together goes in smaller pieces, which takes longer", n),
			mend+"; a proxy that runs takes it once it is started anew"))
	default:
		c.add(Fault(item, fmt.Sprintf("%d bytes: long messages and their counters would be refused", n), mend))
	}
}

// prepared compares how many prepared statements the server keeps with how many we may have there.
func (c *inspection) prepared() {
	const item, name = "statements", "max_prepared_stmt_count"
	allowed, ok := c.number(name)
	switch ours := int64(c.Prepared()); {
	case !ok:
	case ours > allowed:
		c.add(Doubt(item, fmt.Sprintf("the server keeps %d prepared ones in all, and this "+
			"proxy may want %d; where there is no room values go with the text, which takes longer",
			allowed, ours), fmt.Sprintf("SET GLOBAL %s = %d for each proxy, and the same in its "+
			"configuration; or lower %s_maxconncnt", name, ours, c.opt.Name)))
	default:
		c.add(Goodf(item, "%d may be prepared; each proxy like this one may want %d", allowed, ours))
	}
}

// initial tells of what the server says on every connection: who finds garbled text looks for that.
func (c *inspection) initial() {
	if said := c.vars["init_connect"]; said != "" {
		c.add(Goodf("init_connect",
			"%q; each of our connections sets its characters, mode and limits anew, so it does no harm", said))
	}
}

// connections compares how many the server allows with how many we may open.
func (c *inspection) connections(ctx context.Context) error {
	allowed, _ := c.number("max_connections")
	var mine sql.NullInt64
	if err := c.db.QueryRowContext(ctx, "SELECT @@max_user_connections").Scan(&mine); err != nil {
		mine.Int64 = 0 // unknown to some compatible servers
		if cutOff(err) {
			return err
		}
	}
	key := c.opt.Name + "_maxconncnt"
	switch ours := int64(c.MaxConns); {
	case mine.Int64 > 0 && ours > mine.Int64:
		c.add(Doubt("connections", fmt.Sprintf("user %s may have %d, and %s is %d", c.User, mine.Int64, key, ours),
			fmt.Sprintf("lower %s, or raise MAX_USER_CONNECTIONS of the user", key)))
	case allowed > 0 && ours >= allowed:
		c.add(Doubt("connections", fmt.Sprintf("the server allows %d in all (max_connections), and %s is %d", allowed, key, ours),
			fmt.Sprintf("lower %s, or raise max_connections to what all proxies and others need together", key)))
	default:
		c.add(Goodf("connections", "at most %d of the server's %d", ours, allowed))
	}
	return nil
}

func (c *inspection) idle() {
	seconds, ok := c.number("wait_timeout")
	limit, key := time.Duration(seconds)*time.Second, c.opt.Name+"_conn_idle_time"
	switch {
	case !ok || seconds == 0:
	case c.MaxIdleTime == 0:
		c.add(Doubt("wait_timeout", fmt.Sprintf("the server closes connections after %v without work, and we never do", limit),
			"set "+key+" below that"))
	case c.MaxIdleTime >= limit:
		c.add(Doubt("wait_timeout", fmt.Sprintf("the server closes connections after %v without work, before we do (%v)",
			limit, c.MaxIdleTime), "set "+key+" below that"))
	default:
		c.add(Goodf("wait_timeout", "%v, we close idle connections after %v", limit, c.MaxIdleTime))
	}
}

// clock compares the server's with ours.
func (c *inspection) clock(ctx context.Context) error {
	begun := c.opt.Now()
	var text string
	if err := c.db.QueryRowContext(ctx, "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)").Scan(&text); err != nil {
		return err
	}
	took := c.opt.Now().Sub(begun)
	theirs, err := time.Parse("2006-01-02 15:04:05.999999", text)
	if err != nil {
		c.add(Unseen("clock", err))
		return nil
	}
	c.add(Clock(theirs.Sub(begun.Add(took/2)), took/2, largeOffset))
	return nil
}
