package rig

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// Engine is a kind of store, and how many proxies are at work on it at the same time. What a proxy
// promises of order, numbers and counters, it promises on every engine.
type Engine struct {
	Name    string
	Proxies int
	Open    func(t *testing.T) *Setup
}

// The engines.
var (
	Embedded     = Engine{"embedded", 1, OpenEmbedded}
	MySQL        = Engine{"mysql", 1, OpenMySQL}
	ThreeOnMySQL = Engine{"mysql, three proxies", 3, OpenMySQL}
	TwoOnGalera  = Engine{"galera", 2, openGalera}

	WithoutRedis      = Engine{"mysql without redis", 1, OpenWithoutRedis}
	ThreeWithoutRedis = Engine{"mysql without redis, three proxies", 3, OpenWithoutRedis}
)

// OnEngines runs a test on all engines, each time with a setup of its own, where nothing is started
// yet. With the race detector, which makes everything slow, one proxy alone on MySQL is left out.
// Without Redis there are always three proxies.
func OnEngines(t *testing.T, test func(t *testing.T, w *Setup)) {
	t.Helper()
	for _, e := range []Engine{Embedded, MySQL, ThreeOnMySQL, TwoOnGalera, ThreeWithoutRedis} {
		if UnderRace && e.Name == MySQL.Name {
			continue
		}
		t.Run(e.Name, func(t *testing.T) { test(t, e.At(t)) })
	}
}

// OnStores is OnEngines for what concerns one proxy.
func OnStores(t *testing.T, test func(t *testing.T, w *Setup)) {
	t.Helper()
	for _, e := range []Engine{Embedded, MySQL, WithoutRedis} {
		t.Run(e.Name, func(t *testing.T) { test(t, e.At(t)) })
	}
}

// At makes a store for a test.
func (e Engine) At(t *testing.T) *Setup {
	t.Helper()
	w := e.Open(t)
	w.Proxies = make([]*harness.Proxy, e.Proxies)
	return w
}

// Setup is a store, with the people of seed.sql, and the proxies at work on it. It belongs to the
// test's goroutine.
type Setup struct {
	Proxies []*harness.Proxy // nil: not started yet
	DB      *sql.DB

	Data    string          // the directory of the embedded store; empty on MySQL
	Fleet   *Fleet          // nil on the embedded store
	Flushed bool            // Redis has lost what it had
	Touched int             // how often audit.Touch was called
	Users   map[uint32]bool // whom it found
}

// HasRedis is whether the proxies count in Redis.
func (w *Setup) HasRedis() bool { return w.Fleet != nil && w.Fleet.Conf.Redis != nil }

// OpenEmbedded makes an embedded store.
func OpenEmbedded(t *testing.T) *Setup {
	t.Helper()
	data := NewStore(t)
	return &Setup{Data: data, DB: OpenStore(t, data)}
}

// OpenMySQL makes a database on the server of all tests, and starts a Redis.
func OpenMySQL(t *testing.T) *Setup {
	t.Helper()
	f, _ := NewRedisFleet(t)
	return OpenFleet(t, f)
}

// OpenWithoutRedis makes a database on the server of all tests, whose proxies count without Redis.
func OpenWithoutRedis(t *testing.T) *Setup {
	t.Helper()
	return OpenFleet(t, NewFleetWithoutRedis(t, servers.MariaDB(t)))
}

// openGalera makes a database on the cluster of all tests, each of whose nodes one proxy writes on,
// and starts a Redis.
func openGalera(t *testing.T) *Setup {
	t.Helper()
	return openNodes(t, servers.SharedGalera(t))
}

// OnGalera makes a store for a test, on a cluster of its own, for one proxy at each node.
func OnGalera(t *testing.T, g *servers.Galera) *Setup {
	t.Helper()
	w := openNodes(t, g)
	w.Proxies = make([]*harness.Proxy, len(g.Nodes))
	return w
}

func openNodes(t *testing.T, g *servers.Galera) *Setup {
	t.Helper()
	f, _ := NewRedisFleetOn(t, g.Nodes[0])
	for _, node := range g.Nodes {
		f.nodes = append(f.nodes, f.DB.On(t, node))
	}
	f.AwaitNodes(t)
	// Of two nodes that commit the same row one is told so, and tries again.
	f.Expected = append(f.Expected, Deadlock)
	return OpenFleet(t, f)
}

// OpenFleet makes a setup of what proxies are to share.
func OpenFleet(t *testing.T, f *Fleet) *Setup {
	t.Helper()
	w := &Setup{DB: f.DB.Admin, Fleet: f}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.lastDeadlock())
		}
	})
	return w
}

// lastDeadlock is what MariaDB remembers of the last circle of transactions that waited for each
// other, on any database.
func (w *Setup) lastDeadlock() string {
	var kind, name, status string
	if err := w.DB.QueryRow("SHOW ENGINE INNODB STATUS").Scan(&kind, &name, &status); err != nil {
		return err.Error()
	}
	_, after, found := strings.Cut(status, "LATEST DETECTED DEADLOCK")
	if !found {
		return "there was no deadlock"
	}
	deadlock, _, _ := strings.Cut(after, "\nTRANSACTIONS\n")
	return deadlock
}

// Start starts all proxies that do not run.
func (w *Setup) Start(t *testing.T, args ...string) {
	t.Helper()
	for i, p := range w.Proxies {
		if p != nil {
			select {
			case <-p.Exited():
			default:
				continue
			}
		}
		if w.Fleet != nil {
			w.Proxies[i] = w.Fleet.startAt(t, i, args...)
		} else {
			w.Proxies[i] = Start(t, w.Data, args...)
		}
	}
}

// Proxy is the one that connection i is to go to: they are spread over all.
func (w *Setup) Proxy(i int) *harness.Proxy { return w.Proxies[i%len(w.Proxies)] }

// Dial makes connection i; it is closed when the test ends.
func (w *Setup) Dial(t *testing.T, i int) *client.Client {
	t.Helper()
	return Dial(t, w.Proxy(i))
}
