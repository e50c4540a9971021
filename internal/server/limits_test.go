package server_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// announce returns a header that announces a frame of length bytes.
func announce(length uint32) []byte {
	b := request(9, pdu.HeaderLen).Append(nil)
	binary.BigEndian.PutUint32(b, length)
	return b
}

func TestFrameLengths(t *testing.T) {
	cfg := testConfig()
	h := make(holder, 10)
	s := serve(t, cfg, h)
	other := s.dial()
	for _, length := range []uint32{0, 5, 15, cfg.MaxFrame + 1, 1<<32 - 1} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			c := s.dial()
			good := request(1, 100)
			c.send(good)
			// What follows is never read by the server; it must not cost the peer the answer to the
			// good frame.
			c.raw(append(announce(length), make([]byte, 100_000)...))
			line := s.logged("protocol error, closing the connection")
			if line.Level != "INFO" || line.Peer != c.LocalAddr().String() ||
				!strings.HasPrefix(line.Reason, fmt.Sprintf("frame length %d is ", length)) {
				t.Errorf("logged %+v", line)
			}
			h.take(t, 1)[0].echo()
			c.wants(good)
			c.closed()
		})
	}
	for _, length := range []int{pdu.HeaderLen, int(cfg.MaxFrame)} {
		f := request(2, length)
		other.send(f)
		h.take(t, 1)[0].echo()
		other.wants(f)
	}
	if got := s.Stats().BadFrames; got != 5 {
		t.Errorf("%d bad frames counted", got)
	}
	s.counted(map[string]int64{"bad_frame": 5})
}

func TestMaxConns(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 1
	s := serve(t, cfg, echo)
	first := s.dial()
	if line := s.logged("connection opened"); line.Connections != 1 {
		t.Errorf("logged %+v", line)
	}
	s.dial().cut()
	if line := s.logged("connection refused: too many"); line.Level != "WARN" || line.Limit != 1 {
		t.Errorf("logged %+v", line)
	}
	first.echoed(request(1, 20))
	if got := s.Stats().Refused; got != 1 {
		t.Errorf("%d refused", got)
	}
}

func TestMaxInFlight(t *testing.T) {
	const limit, n = 2, 50
	cfg := testConfig()
	cfg.MaxInFlight = limit
	var now, most atomic.Int32
	h := handlerFunc(func(
		_ context.Context, _ server.Peer, f pdu.Frame, finish func(pdu.Frame, bool),
	) {
		if under := now.Add(1); under > most.Load() {
			most.Store(under) // Start is called by one goroutine
		}
		go func() {
			now.Add(-1)
			finish(f, true)
		}()
	})
	c := serve(t, cfg, h).dial()
	c.send(requests(n)...)
	for range n {
		c.next()
	}
	if most.Load() > limit {
		t.Errorf("%d at once, the limit is %d", most.Load(), limit)
	}
}

// TestBudgetServesAll sends many frames at once, each longer than the whole budget.
func TestBudgetServesAll(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPending = 64 << 10
	h := handlerFunc(func(
		_ context.Context, _ server.Peer, f pdu.Frame, finish func(pdu.Frame, bool),
	) {
		go finish(f, true)
	})
	s := serve(t, cfg, h)
	var clients sync.WaitGroup
	for i := range 8 {
		c := s.dial()
		clients.Go(func() {
			f := request(i, 500_000)
			for range 4 {
				if _, err := c.Write(f.Append(nil)); err != nil {
					t.Error(err)
				}
				if got, err := c.frames.Next(); err != nil || !same(got, f) {
					t.Errorf("answer: %v", err)
				}
			}
		})
	}
	clients.Wait()
}

func TestAnnouncementReservesNothing(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPending = 1
	s := serve(t, cfg, echo)
	sent := 0
	for range 10 {
		b := append(announce(cfg.MaxFrame), make([]byte, 10_000)...)
		s.dial().raw(b)
		sent += len(b)
	}
	for s.Stats().BytesIn < int64(sent) {
		time.Sleep(time.Millisecond)
	}
	if got := s.Stats().Pending; got != 0 {
		t.Errorf("%d bytes reserved", got)
	}
	c := s.dial()
	c.echoed(request(1, 20))
}

// TestDribblerLosesItsHold fills the budget with a frame that never becomes complete.
func TestDribblerLosesItsHold(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPending = 1
	cfg.RateWindow = 50 * time.Millisecond
	s := serve(t, cfg, echo)
	dribbler := s.dial()
	dribbler.raw(append(announce(cfg.MaxFrame), make([]byte, 2*pdu.SmallFrame)...))
	for s.Stats().Pending == 0 {
		time.Sleep(time.Millisecond)
	}
	c := s.dial()
	c.echoed(request(1, 20))
	dribbler.closed()
	line := s.logged("connection closed")
	if line.Reason != "frame sent too slowly, below 16384 bytes/s for 50ms" {
		t.Errorf("logged %+v", line)
	}
}

// largeAnswers is a Handler that answers one request after the other, each with size bytes and
// after reserving them.
type largeAnswers struct {
	queue chan held
	size  int
	check func() // called after each Reserve
}

func (h largeAnswers) run() {
	for r := range h.queue {
		err := r.peer.Reserve(r.ctx, int64(h.size))
		h.check()
		r.finish(request(int(r.frame.Seq), h.size), err == nil)
	}
}

func TestSlowPeerIsBoundedAndClosed(t *testing.T) {
	const size, n = 1 << 20, 64
	cfg := testConfig()
	cfg.RateWindow = 100 * time.Millisecond
	queue := make(holder, n)
	s := serve(t, cfg, queue)
	var most int64
	done := make(chan struct{})
	h := largeAnswers{queue, size, func() { most = max(most, s.Stats().Unsent) }}
	go func() {
		defer close(done)
		h.run()
	}()

	c := s.dial()
	c.send(requests(n)...) // and takes nothing
	line := s.logged("connection closed")
	if line.Reason != "answers taken too slowly, below 16384 bytes/s for 100ms" {
		t.Errorf("logged %+v", line)
	}
	close(queue)
	receive(t, done)
	if share := cfg.MaxPending / 100 * int64(cfg.ConnShare); most > share {
		t.Errorf("%d bytes unsent, its share is %d", most, share)
	}
}

func TestReserveAcrossConnections(t *testing.T) {
	const size, n = 256 << 10, 8
	cfg := testConfig()
	cfg.MaxPending = 4 * size
	queue := make(holder, 2*n)
	s := serve(t, cfg, queue)
	var most int64
	h := largeAnswers{queue, size, func() { most = max(most, s.Stats().Pending) }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.run()
	}()

	a, b := s.dial(), s.dial()
	a.send(requests(n)...)
	b.send(requests(n)...)
	for i := range n {
		a.wants(request(i, size))
		b.wants(request(i, size))
	}
	close(queue)
	receive(t, done)
	if most > cfg.MaxPending+size {
		t.Errorf("%d bytes pending, the limit is %d", most, cfg.MaxPending)
	}
}

func TestReserveEndsWithItsContext(t *testing.T) {
	h := make(holder, 2)
	s := serve(t, testConfig(), h)
	c := s.dial()
	c.send(requests(2)...)
	both := h.take(t, 2)
	const size = 48 << 20 // more than the kernel takes, and than a share
	both[0].finish(request(0, size), true)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := both[1].peer.Reserve(ctx, 1<<20); err != context.DeadlineExceeded {
		t.Errorf("Reserve: %v", err)
	}
	c.wants(request(0, size))
	if err := both[1].peer.Reserve(context.Background(), 1<<20); err != nil {
		t.Fatal("Reserve:", err)
	}
	both[1].echo()
	c.wants(both[1].frame)
}

// TestReserveAgainGivesBackWhatItHad has a request find out that its answer is longer.
func TestReserveAgainGivesBackWhatItHad(t *testing.T) {
	h := make(holder, 1)
	s := serve(t, testConfig(), h)
	c := s.dial()
	c.send(requests(1)...)
	r := h.take(t, 1)[0]
	before := s.Stats().Pending
	for _, size := range []int64{1000, 3000, 2000} {
		if err := r.peer.Reserve(context.Background(), size); err != nil {
			t.Fatal(err)
		}
		if has := s.Stats().Pending - before; has != size {
			t.Errorf("having reserved %d bytes, it has %d", size, has)
		}
	}
	r.echo()
	c.wants(r.frame)
}

// TestReserveKeepsToTheShare has all requests of a peer reserve before any has an answer: there is
// memory, but not for all of them at once.
func TestReserveKeepsToTheShare(t *testing.T) {
	const n, size = 40, 4 << 20
	h := make(holder, n)
	cfg := testConfig()
	s := serve(t, cfg, h)
	c := s.dial()
	c.send(requests(n)...)
	requests := h.take(t, n)
	var most atomic.Int64
	var all sync.WaitGroup
	for _, r := range requests {
		all.Go(func() {
			if err := r.peer.Reserve(r.ctx, size); err != nil {
				t.Error("Reserve:", err)
				return
			}
			now := s.Stats().Pending
			seen := most.Load()
			for now > seen && !most.CompareAndSwap(seen, now) {
				seen = most.Load()
			}
			r.echo()
		})
	}
	all.Wait()
	if share := cfg.MaxPending / 100 * int64(cfg.ConnShare); most.Load() > share {
		t.Errorf("%d bytes reserved at once, the share is %d", most.Load(), share)
	}
}

// TestStalledLargeFramesKeepNobodyOut has peers send the beginnings of frames that would fill the
// budget many times.
func TestStalledLargeFramesKeepNobodyOut(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPending = 2 * int64(cfg.MaxFrame)
	s := serve(t, cfg, echo)
	for range 8 {
		s.dial().raw(append(announce(cfg.MaxFrame), make([]byte, 2*pdu.SmallFrame)...))
	}
	c := s.dial()
	for i := range 50 {
		c.echoed(request(i, 100))
	}
}
