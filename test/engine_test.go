package test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
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
	twoOnGalera  = engine{"galera", 2, openGalera}
)

// onEngines runs a test on all engines, each time at a place of its own, where nothing is started yet. With the race
// detector, which makes everything slow, one proxy alone on MySQL is left out.
func onEngines(t *testing.T, test func(t *testing.T, w *place)) {
	t.Helper()
	for _, e := range []engine{embedded, mysql, threeOnMySQL, twoOnGalera} {
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
	db      *sql.DB

	data    string          // the directory of the embedded store; empty on MySQL
	fleet   *fleet          // nil on the embedded store
	flushed bool            // Redis has lost what it had
	touched int             // how often touch was called
	users   map[uint32]bool // whom it found
}

func openEmbedded(t *testing.T) *place {
	t.Helper()
	data := newStore(t)
	return &place{data: data, db: store(t, data)}
}

// openMySQL makes a database on the server of all tests, and starts a Redis.
func openMySQL(t *testing.T) *place {
	t.Helper()
	f, _ := newRedisFleet(t)
	return openFleet(t, f)
}

// openGalera makes a database on the cluster of all tests, each of whose nodes one proxy writes on, and starts a Redis.
func openGalera(t *testing.T) *place {
	t.Helper()
	return openNodes(t, servers.SharedGalera(t))
}

// onGalera makes a store for a test, on a cluster of its own, for one proxy at each node.
func onGalera(t *testing.T, g *servers.Galera) *place {
	t.Helper()
	w := openNodes(t, g)
	w.proxies = make([]*harness.Proxy, len(g.Nodes))
	return w
}

func openNodes(t *testing.T, g *servers.Galera) *place {
	t.Helper()
	f, _ := newRedisFleetOn(t, g.Nodes[0])
	for _, node := range g.Nodes {
		f.nodes = append(f.nodes, f.db.On(t, node))
	}
	f.settle(t)
	f.expected = append(f.expected, deadlock) // of two nodes that commit the same row one is told so, and tries again
	return openFleet(t, f)
}

// openFleet makes a place of what proxies are to share.
func openFleet(t *testing.T, f *fleet) *place {
	t.Helper()
	w := &place{db: f.db.Admin, fleet: f}
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
		if w.fleet != nil {
			w.proxies[i] = w.fleet.startAt(t, i, args...)
		} else {
			w.proxies[i] = start(t, w.data, args...)
		}
	}
}

// proxy is the one that connection i is to go to: they are spread over all.
func (w *place) proxy(i int) *harness.Proxy { return w.proxies[i%len(w.proxies)] }

// dial makes connection i; it is closed when the test ends.
func (w *place) dial(t *testing.T, i int) *client.Client {
	t.Helper()
	return dial(t, w.proxy(i))
}
