package server_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
	"github.com/teamtalk-go/dbproxy/test/rig/peers"
)

const (
	pageLength = 4 << 20
	cmdPage    = 0x0309
	megabyte   = 1_000_000
)

// pages answers requests for pages with one, after reserving memory for it, and all others with
// themselves.
var pages = handlerFunc(func(
	ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool),
) {
	go func() {
		if f.Command != cmdPage {
			finish(f, true)
			return
		}
		err := p.Reserve(ctx, pageLength)
		if err == nil {
			f.Body = make([]byte, pageLength)
		}
		finish(f, err == nil)
	}()
})

func page(seq int) pdu.Frame { return pdu.Frame{Service: 3, Command: cmdPage, Seq: uint16(seq)} }

// dialFrom connects from an address of this machine. It stays silent about errors of its peer, as a
// hog does.
func (f *fixture) dialFrom(ip string) *client {
	f.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	nc, err := d.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = nc.Close() })
	return &client{nc.(*net.TCPConn), f.t, pdu.NewReader(nc, 1<<30)}
}

// hog is what a peer does that harms others if it can. It may block as long as its connection
// lasts.
type hog struct {
	conns int
	do    func(c *client)
}

// repeated has b sent n times.
func repeated(n int, f pdu.Frame) func(*client) {
	return func(c *client) {
		peers.Push(c, f.Append(nil), n)
	}
}

var hogs = map[string]hog{
	"nine large frames, answers not taken": {1, repeated(9, request(1, 16*megabyte))},
	"nine large frames, answers sipped": {1, func(c *client) {
		go peers.Sip(c, 512<<10, 3*time.Second)
		repeated(9, request(1, 16*megabyte))(c)
	}},
	"six with large frames, answers not taken": {6, repeated(9, request(1, 16*megabyte))},
	"twenty that sip just above the least rate": {20, func(c *client) {
		go peers.Sip(c, 20<<10, time.Second)
		repeated(20, request(1, 8*megabyte))(c)
	}},
	"six ask for pages":         {6, repeated(10_000, page(1))},
	"sixty ask for pages":       {60, repeated(10_000, page(1))},
	"two hundred ask for pages": {200, repeated(100, page(1))},
	"sixty ask for pages and sip": {60, func(c *client) {
		go peers.Sip(c, 256<<10, time.Second)
		repeated(10_000, page(1))(c)
	}},
	"forty take four pages at a time slowly": {40, takes(4, 1000<<10)},
	"twenty dribble":                         {20, dribble},
	"two hundred dribble":                    {200, dribble},
	"forty send half of a frame": {40, func(c *client) {
		peers.Push(c, peers.Begun(16<<20, 8<<20), 1)
	}},
	"three hundred send most of a frame": {300, func(c *client) {
		peers.Push(c, peers.Begun(1<<20, 700<<10), 1)
	}},
	"twenty with frames just below 16 KiB": {20, repeated(100_000, request(1, pdu.SmallFrame-1))},
	"forty with frames of 200 KB and heartbeats between": {40, func(c *client) {
		b := append(request(1, 200_000).Append(nil),
			pdu.Frame{Command: cmdHeartbeat}.Append(nil)...)
		peers.Push(c, b, 1000)
	}},
}

// takes asks for so many pages at a time, and takes them at a rate, in bytes a second.
func takes(pages, rate int) func(*client) {
	return func(c *client) {
		for owed := int64(0); ; {
			for owed < int64(pages-1)*pageLength+1 {
				peers.Push(c, page(1).Append(nil), 1)
				owed += pageLength
			}
			n, err := io.CopyN(io.Discard, c, int64(rate/20))
			if err != nil {
				return
			}
			owed -= n
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func dribble(c *client) { peers.Dribble(c) }

// polite is a peer that sends and reads, one request after the other.
type polite struct {
	*client
	worst time.Duration
}

// ask sends a frame and reads the answer, which has length bytes and must come in time.
func (p *polite) ask(f pdu.Frame, length int) {
	p.t.Helper()
	got, took := peers.Ask(p.t, p, p.frames, f)
	if got.Command != f.Command || got.Len() != length {
		p.t.Fatalf("got command %#x, %d bytes", got.Command, got.Len())
	}
	p.worst = max(p.worst, took)
}

func (p *polite) round() {
	for _, n := range []int{20, 10_000, 100_000, 1 << 20, 3 << 20} {
		p.ask(request(1, n), n)
	}
	p.ask(page(1), pdu.HeaderLen+pageLength)
}

// TestAPolitePeerWaitsForNobody has a peer send and read beside those that harm others if they can,
// from its own address.
func TestAPolitePeerWaitsForNobody(t *testing.T) {
	for name, h := range hogs {
		t.Run(name, func(t *testing.T) { besideHogs(t, h, "127.0.0.1", false) })
	}
	t.Run("from another address", func(t *testing.T) {
		besideHogs(t, hogs["sixty ask for pages"], "127.0.0.2", false)
	})
}

// besideHogs has a polite peer beside others. Honest ones are not closed for it.
func besideHogs(t *testing.T, h hog, from string, honest bool) {
	cfg := server.DefaultConfig()
	s := start(t, cfg, pages, listen(t))
	p := polite{client: s.dial()}
	p.round()
	calm := p.worst
	var all sync.WaitGroup
	var conns []*client
	for range h.conns {
		c := s.dialFrom(from)
		conns = append(conns, c)
		all.Go(func() { h.do(c) })
	}
	lasting := time.Second
	if honest { // it takes longer until memory is short
		lasting = 3 * time.Second
	}
	var most int64
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		p.round()
		fresh := polite{client: s.dial()}
		fresh.round()
		p.worst = max(p.worst, fresh.worst)
		_ = fresh.Close()
		most = max(most, s.Stats().Pending)
	}
	t.Logf("a polite peer waited %v at most, %v when alone; %d MiB pending", p.worst, calm,
		most>>20)
	if most > cfg.MaxPending+int64(cfg.MaxFrame) {
		t.Errorf("%d bytes pending, the limit is %d", most, cfg.MaxPending)
	}
	if ended := s.Peers().Ended; honest && ended.Conns > 0 {
		t.Errorf("closed for others: %+v", ended)
	}
	for _, c := range conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	all.Wait()
	_ = s.stop()
}

// TestWhatFitsItsFloorClosesNobody has connections whose requests are worked on for long, with a
// frame begun that is not gone on with: nobody waits for that frame. One that holds more than its
// floor by such a frame alone must go.
func TestWhatFitsItsFloorClosesNobody(t *testing.T) {
	const workers, answer = 3, 3 << 20
	cfg := server.DefaultConfig()
	cfg.MaxPending, cfg.MaxFrame, cfg.MaxConns = 32<<20, 4<<20, 64
	reserved, goOn := make(chan struct{}, workers+1), make(chan struct{})
	s := start(t, cfg, handlerFunc(
		func(ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool)) {
			go func() {
				err := p.Reserve(ctx, answer)
				reserved <- struct{}{}
				<-goOn
				finish(f, err == nil)
			}()
		}), listen(t))
	hog := s.dial()
	hog.raw(request(1, 2<<20).Append(nil)[:1<<20])
	conns := make([]*client, workers+1)
	for i := range conns {
		conns[i] = s.dial()
		conns[i].send(request(1, 100))
		if i < workers {
			<-reserved
			conns[i].raw(request(2, 100).Append(nil)[:60])
		}
	}
	if f, err := hog.frames.Next(); err == nil {
		t.Errorf("the hog is answered %v", f)
	}
	close(goOn)
	for i, c := range conns {
		if _, err := c.frames.Next(); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	for _, c := range append(conns, hog) {
		_ = c.Close()
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestFramesLeaveMemoryForAnswers has many connections ask for more than there is memory for, while
// they take their answers: what waits to be read does not take what pending requests need.
func TestFramesLeaveMemoryForAnswers(t *testing.T) {
	const conns, each, longest = 300, 150, 64 << 10
	store := make(chan struct{}, 64)
	cfg := server.DefaultConfig()
	cfg.RequestTimeout = 2 * patience // that of the test runs out first
	s := start(t, cfg, handlerFunc(
		func(ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool)) {
			go func() {
				err := p.Reserve(ctx, longest)
				store <- struct{}{}
				time.Sleep(time.Millisecond) // it has much to do
				<-store
				finish(f, err == nil)
			}()
		}), listen(t))
	var all sync.WaitGroup
	for range conns {
		c := s.dial()
		all.Go(func() { peers.Push(c, request(1, 100).Append(nil), each) })
		all.Go(func() {
			for n := range each {
				if _, err := c.frames.Next(); err != nil {
					t.Errorf("%d of %d requests were answered: %v", n, each, err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
