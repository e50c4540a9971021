package test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// fleet is what proxies of one configuration share: a MySQL database of their own with the tables and the people of
// seed.sql, a Redis, and a file server.
type fleet struct {
	db    *servers.Database
	redis redisClient // the database that all instances are in; empty when the test has a Redis of another kind
	files *msfs.Server
	conf  harness.Config      // to be changed before the first start
	nodes []*servers.Database // db on each node of a cluster, which proxies write on in turn; nil: all write on db

	expected []string // what logs may have: see startWith
}

// newFleet makes one that has everything but a Redis.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	return newFleetOn(t, servers.MariaDB(t))
}

// newFleetOn does the same on a server of the test's own.
func newFleetOn(t *testing.T, server *servers.DatabaseServer) *fleet {
	t.Helper()
	db := server.Filled(t, "people", func(db *servers.Database) { makePeople(t, db) })
	files, err := msfs.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(files.Close)
	return &fleet{db: db, files: files, conf: harness.Config{MySQL: mysqlOf(db), Msfs: files.URL()}}
}

// newRedisFleet makes one with a Redis of its own.
func newRedisFleet(t *testing.T) (*fleet, *servers.Redis) {
	t.Helper()
	return newRedisFleetOn(t, servers.MariaDB(t))
}

// newRedisFleetOn does the same on a server of the test's own.
func newRedisFleetOn(t *testing.T, server *servers.DatabaseServer) (*fleet, *servers.Redis) {
	t.Helper()
	f, redis := newFleetOn(t, server), servers.StartRedis(t)
	f.conf.Redis = hostAndPort(redis)
	f.redis = dialRedis(t, redis, 1)
	return f, redis
}

func mysqlOf(db *servers.Database) harness.MySQL {
	return harness.MySQL{Host: db.Host, Port: db.Port, Database: db.Name, User: db.User, Password: db.Password}
}

func hostAndPort(redis *servers.Redis) map[string]string {
	return map[string]string{"host": redis.Host(), "port": strconv.Itoa(redis.Port())}
}

// makePeople makes the tables, as operators do, and the people of seed.sql.
func makePeople(t *testing.T, db *servers.Database) {
	t.Helper()
	conf := harness.Config{MySQL: mysqlOf(db), Redis: map[string]string{"host": "127.0.0.1", "port": "1"},
		Msfs: "127.0.0.1"}
	_, err := harness.Run(within(t), dbproxy, "", "migrate", "--yes", "--config", writeConfig(t, conf))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join("testdata", "conformance", "seed.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Admin.ExecContext(within(t), string(seed)); err != nil {
		t.Fatal(err)
	}
}

// writeConfig writes a configuration into a directory of its own, under the name that a proxy looks for.
func writeConfig(t *testing.T, conf harness.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dbproxyserver.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start starts a proxy. It waits for servers that do not answer in time, as those of a busy machine may.
func (f *fleet) start(t *testing.T, args ...string) *harness.Proxy {
	t.Helper()
	return f.startAt(t, 0, args...)
}

// startAt starts proxy i.
func (f *fleet) startAt(t *testing.T, i int, args ...string) *harness.Proxy {
	t.Helper()
	args = append([]string{"--wait"}, args...)
	return startWith(t, harness.Options{Config: writeConfig(t, f.confAt(i)), Args: args}, f.expected...)
}

// confAt is the configuration of proxy i.
func (f *fleet) confAt(i int) harness.Config {
	conf := f.conf
	if len(f.nodes) > 0 {
		conf.MySQL = mysqlOf(f.nodes[i%len(f.nodes)])
	}
	return conf
}

// everyID reports whether the rows of a table get all ids, one after the other: nodes of a cluster leave out each other's.
func (f *fleet) everyID() bool { return f == nil || len(f.nodes) == 0 }

// settle waits until all nodes of a cluster have what was committed at any.
func (f *fleet) settle(t *testing.T) {
	t.Helper()
	if f == nil {
		return
	}
	for _, node := range f.nodes {
		count(t, node.Admin, "SELECT count(*) FROM IMUser") // admin's connections wait for that
	}
}

// exec changes the database as somebody else does who writes there.
func (f *fleet) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := f.db.Admin.ExecContext(within(t), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// redisClient is a client of one Redis database.
type redisClient struct{ rueidis.Client }

// dialRedis connects to a database of a server.
func dialRedis(t *testing.T, redis *servers.Redis, db int) redisClient {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redis.Addr()}, SelectDB: db,
		ForceSingleClient: true, DisableCache: true, ClientSetInfo: rueidis.DisableClientSetInfo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return redisClient{c}
}

// do executes a command; its answer may be Redis's nil but no error.
func (c redisClient) do(t *testing.T, args ...string) *rueidis.RedisMessage {
	t.Helper()
	return c.execute(t, args, c.B().Arbitrary(args...).Build())
}

// read is do for a command that changes nothing. Where Redis was just started anew it is sent again, on a new connection.
func (c redisClient) read(t *testing.T, args ...string) *rueidis.RedisMessage {
	t.Helper()
	return c.execute(t, args, c.B().Arbitrary(args...).ReadOnly())
}

func (c redisClient) execute(t *testing.T, args []string, command rueidis.Completed) *rueidis.RedisMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := c.Do(ctx, command).ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("redis %v: %v", args, err)
	}
	return &answer
}

// text is read for an answer that is text; empty when there is none.
func (c redisClient) text(t *testing.T, args ...string) string {
	t.Helper()
	answer := c.read(t, args...)
	s, err := answer.ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("redis %v: %v", args, err)
	}
	return s
}

// await calls done until it says so.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come in %v", what, patience)
		}
	}
}
