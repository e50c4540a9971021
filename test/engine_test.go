package test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/harness"
	"github.com/teamtalk-go/dbproxy/test/servers"
)

// engine is a kind of store, and how many proxies are at work on it at the same time. What a proxy promises of order,
// numbers and counters, it promises on every engine.
type engine struct {
	name    string
	proxies int
	open    func(t *testing.T) *place
}

var (
	embedded     = engine{"embedded", 1, openEmbedded}
	mysql        = engine{"mysql", 1, openMySQL}
	threeOnMySQL = engine{"mysql, three proxies", 3, openMySQL}
)

// onEngines runs a test on all engines, each time at a place of its own, where nothing is started yet. With the race
// detector, which makes everything slow, one proxy alone on MySQL is left out.
func onEngines(t *testing.T, test func(t *testing.T, w *place)) {
	t.Helper()
	for _, e := range []engine{embedded, mysql, threeOnMySQL} {
		if underRace && e.name == mysql.name {
			continue
		}
		t.Run(e.name, func(t *testing.T) { test(t, e.at(t)) })
	}
}

// onStores is onEngines for what concerns one proxy.
func onStores(t *testing.T, test func(t *testing.T, w *place)) {
	t.Helper()
	for _, e := range []engine{embedded, mysql} {
		t.Run(e.name, func(t *testing.T) { test(t, e.at(t)) })
	}
}

// at makes a store for a test.
func (e engine) at(t *testing.T) *place {
	t.Helper()
	w := e.open(t)
	w.proxies = make([]*harness.Proxy, e.proxies)
	return w
}

// place is a store, with the people of seed.sql, and the proxies at work on it.
type place struct {
	proxies []*harness.Proxy // nil: not started yet

	data string // the directory of the embedded store; empty on MySQL
	db   *sql.DB

	// On MySQL:
	config string // the file that all proxies are started with
	redis  *servers.Redis
	keys   rueidis.Client // the database in which its keys are

	flushed bool // Redis has lost what it had
}

func openEmbedded(t *testing.T) *place {
	t.Helper()
	data := newStore(t)
	return &place{data: data, db: store(t, data)}
}

// openMySQL makes a database on the server of all tests, and starts a Redis.
func openMySQL(t *testing.T) *place {
	t.Helper()
	db := servers.MariaDB(t).Filled(t, "people", func(db *servers.Database) { fillPeople(t, db) })
	w := &place{db: db.Admin, redis: servers.StartRedis(t), config: filepath.Join(t.TempDir(), "dbproxyserver.conf")}
	conf := harness.Config{
		MySQL: harness.MySQL{Host: db.Host, Port: db.Port, Database: db.Name, User: db.User, Password: db.Password},
		Redis: map[string]string{"host": w.redis.Host(), "port": fmt.Sprint(w.redis.Port())},
		Msfs:  "http://127.0.0.1:9/", // nobody speaks
	}
	if err := os.WriteFile(w.config, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	w.keys, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{w.redis.Addr()}, SelectDB: 1,
		ForceSingleClient: true, DisableCache: true, ClientSetInfo: rueidis.DisableClientSetInfo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.keys.Close)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.lastDeadlock())
		}
	})
	return w
}

// lastDeadlock is what MariaDB remembers of the last circle of transactions that waited for each other, on any database.
func (w *place) lastDeadlock() string {
	var kind, name, status string
	if err := w.db.QueryRow("SHOW ENGINE INNODB STATUS").Scan(&kind, &name, &status); err != nil {
		return err.Error()
	}
	_, after, found := strings.Cut(status, "LATEST DETECTED DEADLOCK")
	if !found {
		return "there was no deadlock"
	}
	deadlock, _, _ := strings.Cut(after, "\nTRANSACTIONS\n")
	return deadlock
}

// fillPeople makes the tables of an original, and its people.
func fillPeople(t *testing.T, db *servers.Database) {
	t.Helper()
	records, err := records.OpenMySQL(records.MySQL{Addr: fmt.Sprintf("%s:%d", db.Host, db.Port),
		Database: db.Name, User: db.User, Password: db.Password}, nil, records.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = records.Migrate(t.Context())
	if err = errors.Join(err, records.Close()); err != nil {
		t.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join("testdata", "conformance", "seed.sql"))
	if err == nil {
		_, err = db.Admin.ExecContext(t.Context(), string(seed))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start starts all proxies that do not run.
func (w *place) start(t *testing.T, args ...string) {
	t.Helper()
	for i, p := range w.proxies {
		if p != nil {
			select {
			case <-p.Exited():
			default:
				continue
			}
		}
		w.proxies[i] = startWith(t, harness.Options{Data: w.data, Config: w.config, Args: args})
	}
}

// proxy is the one that connection i is to go to: they are spread over all.
func (w *place) proxy(i int) *harness.Proxy { return w.proxies[i%len(w.proxies)] }

// dial makes connection i; it is closed when the test ends.
func (w *place) dial(t *testing.T, i int) *client.Client {
	t.Helper()
	return dial(t, w.proxy(i))
}
