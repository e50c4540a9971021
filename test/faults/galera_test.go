//go:build !race

package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
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
	{"killed, and back without its data", func(t *testing.T, g *servers.Galera) {
		g.Nodes[0].Kill(t)
	},
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
	for _, fault := range rig.InFull(galeraFaults, galeraFaults[:1]) {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			g := servers.StartGalera(t)
			w, l := loadOnGalera(t, g)
			first, other := w.Proxies[0], w.Proxies[1]
			var declared, back time.Duration
			l.Around(t, func(ctx context.Context) {
				fault.goes(t, g)
				readiness(t, first, "store", "wrong")
				l.Move(other.Addr)
				g.AwaitSize(t, 1, 2)
				gone := time.Now()
				l.AwaitWithin(ctx, t, 5*nodeServesWithin)
				declared = time.Since(gone)
				rig.Pause(ctx, rig.Seconds(0, 10))
				fault.comesBack(t, g)
				g.AwaitSize(t, 0, 3)
				synced := time.Now()
				readiness(t, first, "store", "good")
				back = time.Since(synced)
				l.Move(first.Addr, other.Addr)
			})
			l.Guarantee(t,
				fmt.Sprintf("a node of Galera %s; %d more messages were stored %v after it was "+
					"declared gone, /readyz of its own proxy was good %v after it was back",
					fault.name, l.Enough, rig.Short(declared), rig.Short(back)))
			l.CheckRefused(t, first.Addr)
			w.Fleet.AwaitNodes(t)
			l.Audit(t, true)
			audit.Resources(t, w)
		})
	}
}

// TestGaleraMinority has all other members of the cluster be silent. The node that is left takes
// nothing (error 1047) until they are back: its proxy says so, and then serves again by itself.
func TestGaleraMinority(t *testing.T) {
	t.Parallel()
	g := servers.StartGalera(t)
	w, l := loadOnGalera(t, g)
	l.Around(t, func(ctx context.Context) {
		g.Nodes[1].Freeze(t)
		g.Arbitrator.Freeze(t)
		rig.Await(t, "/readyz names the node", func() bool { // once the probe has found it
			text := readiness(t, w.Proxies[0], "store", "wrong")
			return strings.Contains(text, g.Nodes[0].Addr())
		})
		rig.Pause(ctx, rig.Seconds(0, 10))
		g.Arbitrator.Thaw(t)
		g.Nodes[1].Thaw(t)
		for i, p := range w.Proxies {
			g.AwaitSize(t, i, 3)
			readiness(t, p, "store", "good")
		}
	})
	l.Guarantee(t, "all members of Galera but one frozen")
	w.Fleet.AwaitNodes(t)
	l.Audit(t, true)
	audit.Resources(t, w)
}

// loadOnGalera makes two proxies, each on another node, and load on both.
func loadOnGalera(t *testing.T, g *servers.Galera) (*rig.Setup, *load.Load) {
	t.Helper()
	w := rig.OnGalera(t, g)
	observed(w.Fleet)
	w.Start(t)
	l := load.New(w, load.Faults())
	w.Fleet.AwaitNodes(t)
	l.Reconnect, l.Own = true, true
	return w, l
}
