//go:build !race

package faults

import (
	"context"
	"net"
	"strconv"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// How proxies count on MySQL.
const (
	withRedis    = "with Redis"
	withoutRedis = "without Redis"
)

// bothWays runs a test with proxies that count with and without Redis.
func bothWays(t *testing.T, test func(t *testing.T, how string)) {
	t.Helper()
	for _, how := range []string{withRedis, withoutRedis} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			test(t, how)
		})
	}
}

// fleetOn makes what proxies share that count in a certain way.
func fleetOn(t *testing.T, server *servers.DatabaseServer, how string) *rig.Fleet {
	t.Helper()
	if how == withoutRedis {
		return rig.NewFleetWithoutRedis(t, server)
	}
	f, _ := rig.NewRedisFleetOn(t, server)
	return f
}

// throughMySQL makes a setup whose proxies reach the server through a fault proxy.
func throughMySQL(
	t *testing.T, server *servers.DatabaseServer, how string,
) (*rig.Setup, *faultproxy.Proxy) {
	t.Helper()
	f := fleetOn(t, server, how)
	observed(f)
	between := faultproxy.New(t, server.Addr())
	f.Conf.MySQL.Host, f.Conf.MySQL.Port = hostPort(t, between.Addr())
	w := rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 1)
	return w, between
}

func hostPort(t *testing.T, addr string) (host string, port int) {
	t.Helper()
	host, text, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// through has load on a setup while a fault comes and goes; it is over when fault returns. Then
// service must be back by itself; what was told and what is stored are audited; and a line for
// docs/guarantees.md is logged.
func through(t *testing.T, w *rig.Setup, name string, fault func(ctx context.Context)) *load.Load {
	t.Helper()
	w.Start(t)
	l := load.New(w, load.Faults())
	l.Around(t, fault)
	l.Guarantee(t, name)
	l.Audit(t, true)
	audit.Resources(t, w)
	return l
}

// observed makes proxies say what they use.
func observed(f *rig.Fleet) { f.Conf.More = append(f.Conf.More, "AdminListen=127.0.0.1:0") }
