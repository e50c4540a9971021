package rig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// Fleet is what proxies of one configuration share: a MySQL database of their own with the tables
// and the people of seed.sql, a Redis, and a file server.
type Fleet struct {
	DB *servers.Database
	// Redis is the database that all instances are in; empty when the test has a Redis of another
	// kind.
	Redis Redis
	Files *msfs.Server
	Conf  harness.Config // to be changed before the first start
	// nodes is DB on each node of a cluster, which proxies write on in turn; nil: all write on DB.
	nodes []*servers.Database

	Expected []string // what logs may have: see StartWith
}

// NewFleet makes one that has everything but a Redis.
func NewFleet(t *testing.T) *Fleet {
	t.Helper()
	return NewFleetOn(t, servers.MariaDB(t))
}

// NewFleetOn does the same on a server of the test's own.
func NewFleetOn(t *testing.T, server *servers.DatabaseServer) *Fleet {
	t.Helper()
	return newFleetOn(t, server, "people", map[string]string{"host": "127.0.0.1", "port": "1"})
}

// NewFleetWithoutRedis makes one whose proxies count without Redis, on a server.
func NewFleetWithoutRedis(t *testing.T, server *servers.DatabaseServer) *Fleet {
	t.Helper()
	return newFleetOn(t, server, "people without redis", nil)
}

// newFleetOn makes one whose database is a copy of a template, made for a kind of Redis.
func newFleetOn(
	t *testing.T, server *servers.DatabaseServer, template string, redis map[string]string,
) *Fleet {
	t.Helper()
	db := server.Filled(t, template, func(db *servers.Database) { makePeople(t, db, redis) })
	files, err := msfs.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(files.Close)
	return &Fleet{DB: db, Files: files, Conf: harness.Config{MySQL: MySQLOf(db), Msfs: files.URL()}}
}

// NewRedisFleet makes one with a Redis of its own.
func NewRedisFleet(t *testing.T) (*Fleet, *servers.Redis) {
	t.Helper()
	return NewRedisFleetOn(t, servers.MariaDB(t))
}

// NewRedisFleetOn does the same on a server of the test's own.
func NewRedisFleetOn(t *testing.T, server *servers.DatabaseServer) (*Fleet, *servers.Redis) {
	t.Helper()
	f, redis := NewFleetOn(t, server), servers.StartRedis(t)
	f.Conf.Redis = HostAndPort(redis)
	f.Redis = DialRedis(t, redis, 1)
	return f, redis
}

// MySQLOf is a database as a configuration names it.
func MySQLOf(db *servers.Database) harness.MySQL {
	return harness.MySQL{Host: db.Host, Port: db.Port, Database: db.Name, User: db.User,
		Password: db.Password}
}

// makePeople makes the tables, as operators do, and the people of seed.sql.
func makePeople(t *testing.T, db *servers.Database, redis map[string]string) {
	t.Helper()
	conf := harness.Config{MySQL: MySQLOf(db), Msfs: "127.0.0.1", Redis: redis}
	_, err := harness.Run(Within(t), Binary, "", "migrate", "--yes", "--config",
		WriteConfig(t, conf))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(Seed())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Admin.ExecContext(Within(t), string(seed)); err != nil {
		t.Fatal(err)
	}
}

// WriteConfig writes a configuration into a directory of its own, under the name that a proxy looks
// for.
func WriteConfig(t *testing.T, conf harness.Config) string {
	t.Helper()
	return WriteText(t, conf.String())
}

// WriteText does the same with the text of a configuration.
func WriteText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dbproxyserver.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts a proxy. It waits for servers that do not answer in time, as those of a busy machine
// may.
func (f *Fleet) Start(t *testing.T, args ...string) *harness.Proxy {
	t.Helper()
	return f.startAt(t, 0, args...)
}

// startAt starts proxy i.
func (f *Fleet) startAt(t *testing.T, i int, args ...string) *harness.Proxy {
	t.Helper()
	args = append([]string{"--wait"}, args...)
	return StartWith(t, harness.Options{Config: WriteConfig(t, f.ConfAt(i)), Args: args},
		f.Expected...)
}

// ConfAt is the configuration of proxy i.
func (f *Fleet) ConfAt(i int) harness.Config {
	conf := f.Conf
	if len(f.nodes) > 0 {
		conf.MySQL = MySQLOf(f.nodes[i%len(f.nodes)])
	}
	return conf
}

// EveryID reports whether the rows of a table get all ids, one after the other: nodes of a cluster
// leave out each other's.
func (f *Fleet) EveryID() bool { return f == nil || len(f.nodes) == 0 }

// AwaitNodes waits until all nodes of a cluster have what was committed at any.
func (f *Fleet) AwaitNodes(t *testing.T) {
	t.Helper()
	if f == nil {
		return
	}
	for _, node := range f.nodes {
		Count(t, node.Admin, "SELECT count(*) FROM IMUser") // admin's connections wait for that
	}
}

// Exec changes the database as somebody else does who writes there.
func (f *Fleet) Exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := f.DB.Admin.ExecContext(Within(t), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}
