//go:build !race

package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// nodeServesWithin is how soon the proxy at the node that is left serves normally, once the other
// one was declared gone.
const nodeServesWithin = 5 * time.Second

// galeraFaults is how one of two nodes goes, and comes back.
var galeraFaults = []struct {
	name      string
	goes      func(t *testing.T, g *servers.Galera)
	comesBack func(t *testing.T, g *servers.Galera)
}{
	{"killed (kill -9)", func(t *testing.T, g *servers.Galera) { g.Nodes[0].Kill(t) },
		func(t *testing.T, g *servers.Galera) { g.Nodes[0].Restart(t) }},
	{"killed, and back without its data", func(t *testing.T, g *servers.Galera) { g.Nodes[0].Kill(t) },
		func(t *testing.T, g *servers.Galera) { g.RestartEmpty(t, 0) }},
	{"stopped (SIGTERM)", func(t *testing.T, g *servers.Galera) { g.Nodes[0].Stop(t) },
		func(t *testing.T, g *servers.Galera) { g.Nodes[0].Restart(t) }},
	{"frozen", func(t *testing.T, g *servers.Galera) { g.Nodes[0].Freeze(t) },
		func(t *testing.T, g *servers.Galera) { g.Nodes[0].Thaw(t) }},
}

// TestGaleraNodeGone has one of two nodes go under load. The clients of its proxy move to the other
// one when the first is red. That one serves soon after the node was declared gone; and the first
// does by itself when its node is back.
func TestGaleraNodeGone(t *testing.T) {
	t.Parallel()
	for _, fault := range inFull(galeraFaults, galeraFaults[:1]) {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			g := servers.StartGalera(t)
			w, l := loadOnGalera(t, g)
			first, other := w.proxies[0], w.proxies[1]
			var declared, back time.Duration
			l.around(t, func(ctx context.Context) {
				fault.goes(t, g)
				readiness(t, first, "store", "wrong")
				l.move(other.Addr)
				g.AwaitSize(t, 1, 2)
				gone := time.Now()
				l.awaitWithin(ctx, t, l.enough, 5*nodeServesWithin)
				declared = time.Since(gone)
				pause(ctx, seconds(0, 10))
				fault.comesBack(t, g)
				g.AwaitSize(t, 0, 3)
				synced := time.Now()
				readiness(t, first, "store", "good")
				back = time.Since(synced)
				l.move(first.Addr, other.Addr)
			})
			l.guarantee(t, fmt.Sprintf("a node of Galera %s; %d more messages were stored %v after it was "+
				"declared gone, /readyz of its own proxy was good %v after it was back",
				fault.name, l.enough, short(declared), short(back)))
			l.checkRefused(t, first.Addr)
			w.fleet.settle(t)
			l.audit(t)
			w.auditResources(t)
		})
	}
}

// TestGaleraMinority has all other members of the cluster be silent. The node that is left takes
// nothing (error 1047) until they are back: its proxy says so, and then serves again by itself.
func TestGaleraMinority(t *testing.T) {
	t.Parallel()
	g := servers.StartGalera(t)
	w, l := loadOnGalera(t, g)
	l.around(t, func(ctx context.Context) {
		g.Nodes[1].Freeze(t)
		g.Arbitrator.Freeze(t)
		if text := readiness(t, w.proxies[0], "store", "wrong"); !strings.Contains(text, g.Nodes[0].Addr()) {
			t.Errorf("/readyz says %q", text)
		}
		pause(ctx, seconds(0, 10))
		g.Arbitrator.Thaw(t)
		g.Nodes[1].Thaw(t)
		for i, p := range w.proxies {
			g.AwaitSize(t, i, 3)
			readiness(t, p, "store", "good")
		}
	})
	l.guarantee(t, "all members of Galera but one frozen")
	w.fleet.settle(t)
	l.audit(t)
	w.auditResources(t)
}

// loadOnGalera makes two proxies, each on another node, and load on both.
func loadOnGalera(t *testing.T, g *servers.Galera) (*place, *faultLoad) {
	t.Helper()
	w := onGalera(t, g)
	observed(w.fleet)
	w.start(t)
	l := newFaultLoad(t, w)
	w.fleet.settle(t)
	l.reconnect, l.late = true, true
	return w, l
}

// awaitWithin waits until so many more messages were stored, which must be before so long.
func (l *faultLoad) awaitWithin(
	ctx context.Context, t *testing.T, stored int64, limit time.Duration,
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if l.await(ctx, stored); ctx.Err() != nil {
		t.Errorf("in %v fewer than %d messages were stored", limit, stored)
	}
}

// checkRefused sees that fewer than 1 in 100 messages were refused, but for those of connections to
// the proxy at first whose node was gone.
func (l *faultLoad) checkRefused(t *testing.T, first string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	stored, refused := 0, 0
	for _, a := range l.tries {
		switch {
		case l.visits[a.line].addr == first && a.begun.After(l.begun) && a.begun.Before(l.ended):
		case a.id != 0:
			stored++
		case a.took != 0:
			refused++
		}
	}
	t.Logf("%d messages were stored and %d refused, those to the proxy aside whose node was gone",
		stored, refused)
	if refused*100 >= stored {
		t.Errorf("%d messages were refused, %d stored", refused, stored)
	}
}
