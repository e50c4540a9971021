//go:build !race

package test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// seconds is how long something lasts in either form.
func seconds(short, long int) time.Duration { return time.Duration(inFull(long, short)) * time.Second }

// throughMySQL makes a place whose proxies reach the server through a fault proxy.
func throughMySQL(t *testing.T, server *servers.DatabaseServer) (*place, *faultproxy.Proxy) {
	t.Helper()
	f, _ := newRedisFleetOn(t, server)
	observed(f)
	between := faultproxy.New(t, server.Addr())
	f.conf.MySQL.Host, f.conf.MySQL.Port = hostPort(t, between.Addr())
	w := openFleet(t, f)
	w.proxies = make([]*harness.Proxy, 1)
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

// pause waits as long as a fault is to last.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// through has load on a place while a fault comes and goes; it is over when fault returns. Then service must be back by
// itself; what was told and what is stored are audited; and a line for docs/guarantees.md is logged.
func (w *place) through(t *testing.T, name string, fault func(ctx context.Context)) *faultLoad {
	t.Helper()
	w.start(t)
	l := newFaultLoad(t, w)
	l.around(t, fault)
	l.guarantee(t, name)
	l.audit(t)
	w.auditResources(t)
	return l
}

// Bounds of what a proxy may use, whatever happened before.
const (
	mostMemory     = 400 << 20
	mostGoroutines = 300 // once it is quiet
)

// auditResources sees that proxies did not use too much memory, and that nothing of what was begun is left running.
func (w *place) auditResources(t *testing.T) {
	t.Helper()
	for _, p := range w.proxies {
		checkMemory(t, p, mostMemory)
		await(t, "the end of what was begun", func() bool { return goroutines(t, p) <= mostGoroutines })
	}
}

// goroutines asks a proxy how many it has.
func goroutines(t *testing.T, p *harness.Proxy) int {
	t.Helper()
	return metric(t, p, "go_goroutines")
}

// metric asks a proxy, which is observed, for a number.
func metric(t *testing.T, p *harness.Proxy, name string) int {
	t.Helper()
	listening, err := p.Log.Await(within(t), func(l harness.Line) bool { return l.Message == "listening" })
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(within(t), http.MethodGet, "http://"+listening.Text("admin")+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if value, found := strings.CutPrefix(s.Text(), name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatal("no " + name)
	return 0
}

// observed makes proxies say what they use.
func observed(f *fleet) { f.conf.More = append(f.conf.More, "AdminListen=127.0.0.1:0") }

// guarantee logs what became of requests, in the form in which docs/guarantees.md has it.
func (l *faultLoad) guarantee(t *testing.T, name string) {
	t.Helper()
	before, meanwhile := l.tally()
	guarantee(t, name, fmt.Sprintf("(%v) %v; before, the longest answer took %v", l.ended.Sub(l.begun).Round(10*time.Millisecond),
		meanwhile, before.longest.Round(time.Millisecond)), fmt.Sprint(l.backAfter().Round(10*time.Millisecond)))
}

// tally is what became of requests.
type tally struct {
	stored, refused, silent int // messages
	longest                 time.Duration
	reads, unread           int // other requests that were answered, and not
}

func (n tally) String() string {
	s := fmt.Sprintf("%d stored, %d refused, %d without answer, longest answer %v", n.stored, n.refused, n.silent,
		n.longest.Round(time.Millisecond))
	return s + fmt.Sprintf(", reads %d answered, %d not", n.reads, n.unread)
}
