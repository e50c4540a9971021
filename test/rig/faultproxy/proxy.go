// Package faultproxy is the fault proxy of the tests: a TCP proxy on 127.0.0.1 that stands between
// dbproxy and MySQL, Redis or msfs, and breaks what lies between them when told to.
//
//	proxy := faults.New(t, redis.Addr())
//	… dbproxy with proxy.Addr() instead of redis.Addr() …
//	proxy.Freeze()
//	…
//	proxy.Thaw()
//
// Some faults are for all connections, from now on or once: Cut, Hangup, HalfOpen, Refuse, Freeze,
// Delay. Others wait for a certain request, because a connection that ends at the wrong moment is
// what clients get wrong: BeforeMySQL and BeforeRedis end the connection before the request reaches
// the server, AfterMySQL and AfterRedis after the server has executed it and before its answer
// comes back, HoldRedis delivers a command when its client has long given up.
//
// The proxy finds out by itself what a connection speaks. It reads MySQL's and Redis' own
// protocols, not TLS and not MySQL's compression: there, and on what is neither, only the faults
// without a request work. Queries are texts as in COM_QUERY, which is how dbproxy sends everything
// (START TRANSACTION, texts of several statements, COMMIT); prepared statements and query
// attributes are not looked into, and a query above 16 MiB is seen by its first packet only. A
// Redis connection is looked into as long as it sends arrays, as every client library does.
package faultproxy

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy is a running fault proxy. Its methods may be called at any time from any goroutine. A fault
// that begins is for all bytes that come after the call; what the proxy was just passing on may
// still arrive.
type Proxy struct {
	listener *net.TCPListener
	tasks    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	target string
	closed bool
	refuse bool
	frozen chan struct{} // closed by Thaw; nil: not frozen
	delay  time.Duration
	links  map[*link]struct{}
	shots  []*Shot // replaced, never changed
}

// New starts a proxy in front of the server at target, host:port, on a free port of 127.0.0.1. The
// server need not run: whoever connects meanwhile is reset. The proxy is closed when the test ends.
func New(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatalf("starting a fault proxy before %s: %v", target, err)
	}
	p := &Proxy{listener: listener, target: target, links: map[*link]struct{}{}}
	p.tasks.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Addr is where the proxy listens, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close cuts all connections and ends the proxy. Nothing of it is left running then. It may be
// called again.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.tasks.Wait()
}

// SetTarget puts the proxy in front of another server: a failover behind the same name. Open
// connections stay with theirs until they are cut.
func (p *Proxy) SetTarget(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = addr
}

// Connections is how many connections are open, half-open ones too.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Cut resets all connections on both sides; what was on its way, held or delayed on them is lost.
// New ones are served: call Refuse before, to have none.
func (p *Proxy) Cut() {
	for _, l := range p.all() {
		l.cut(true)
	}
}

// Hangup is Cut with an end of the stream (FIN) instead of a reset, where the system can: who has
// not read everything sees a reset.
func (p *Proxy) Hangup() {
	for _, l := range p.all() {
		l.cut(false)
	}
}

// HalfOpen closes the server's side of all connections and leaves the client's open: what is sent
// there is taken, and nothing ever comes back. It ends when the client closes, or by Cut. New
// connections are served.
func (p *Proxy) HalfOpen() {
	for _, l := range p.all() {
		l.abandon()
	}
}

// Refuse says whether new connections are reset at once. Open ones stay.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Freeze holds all bytes and ends of connections, in both directions, until Thaw. New connections
// are accepted, and held likewise. A writer soon has to wait: the proxy reads nothing meanwhile.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

// Thaw ends Freeze: what was held goes on, nothing of it is lost.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// Delay makes bytes take d longer in each direction, so that an answer comes 2d later, as on a long
// line: any number may be on its way at a time (about a thousand writes, or 32 MiB), and their
// order stays. 0 ends it for what is sent from then on.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *Proxy) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

// due is when a byte that came now goes on.
func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.delay)
}

// thawed waits while the proxy is frozen; false: ctx ended.
func (p *Proxy) thawed(ctx context.Context) bool {
	for {
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen == nil {
			return ctx.Err() == nil
		}
		select {
		case <-frozen:
		case <-ctx.Done():
			return false
		}
	}
}

// accept takes connections until the listener is closed.
func (p *Proxy) accept() {
	for {
		client, err := p.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // that connection is gone already, or there are no file descriptors
			time.Sleep(time.Millisecond)
			continue
		}
		if l, target := p.admit(client); l != nil {
			p.tasks.Go(func() {
				l.run(target)
				p.mu.Lock()
				defer p.mu.Unlock()
				delete(p.links, l)
			})
		}
	}
}

// admit makes a link of a new connection, or resets it and returns nil.
func (p *Proxy) admit(client *net.TCPConn) (*link, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		_ = client.SetLinger(0) // without, it would see an end instead of a reset
		client.Close()
		return nil, ""
	}
	l := newLink(p, client)
	p.links[l] = struct{}{}
	return l, p.target
}

// arm adds a shot.
func (p *Proxy) arm(s *Shot) *Shot {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shots = append(slices.Clip(p.shots), s)
	return s
}

// aim returns the shot that a request fires, or nil.
func (p *Proxy) aim(r request) *Shot {
	p.mu.Lock()
	shots := p.shots
	p.mu.Unlock()
	for _, s := range shots {
		if s.takes(r) {
			return s
		}
	}
	return nil
}
