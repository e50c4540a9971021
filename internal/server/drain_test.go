package server_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// TestDrainFinishesWhatItHas also shows that a drain ends when all is quiet: its deadline is far
// away.
func TestDrainFinishesWhatItHas(t *testing.T) {
	h := make(holder, 100)
	s := serve(t, testConfig(), h)
	busy, quiet := s.dial(), s.dial()
	for range 2 { // what is not accepted yet is reset when the listener closes
		s.logged("connection opened")
	}
	frames := requests(100)
	busy.send(frames[:50]...)
	before := h.take(t, 50)

	s.cancel()
	busy.wants(stopReceiving)
	quiet.wants(stopReceiving)
	quiet.closed()
	busy.send(frames[50:]...)
	for _, r := range append(before, h.take(t, 50)...) {
		if r.ctx.Err() != nil {
			t.Errorf("seq %d: %v", r.frame.Seq, context.Cause(r.ctx))
		}
		r.echo()
	}
	busy.wants(frames...)
	busy.closed()
	for range 2 {
		if line := s.logged("connection closed"); line.Reason != "drained" || line.Unanswered != 0 {
			t.Errorf("logged %+v", line)
		}
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("still accepts connections")
	}
}

func TestDrainEndsWhenThePeerCloses(t *testing.T) {
	cfg := testConfig()
	cfg.DrainQuiet = patience
	s := serve(t, cfg, echo)
	c := s.dial()
	c.echoed(request(1, 20))
	s.cancel()
	c.wants(stopReceiving)
	_ = c.Close()
	if line := s.logged("connection closed"); line.Reason != "peer closed" {
		t.Errorf("logged %+v", line)
	}
}

// TestDrainStopsReadingInTime has a peer that never stops sending.
func TestDrainStopsReadingInTime(t *testing.T) {
	cfg := testConfig()
	cfg.DrainTimeout = 2 * time.Second
	s := serve(t, cfg, echo)
	c := s.dial()
	go func() {
		b := request(1, 1000).Append(nil)
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	c.wants(request(1, 1000))
	s.cancel()
	for {
		if _, err := c.frames.Next(); err != nil {
			break
		}
	}
	_ = c.Close()
	if line := s.logged("connection closed"); line.Reason != "drained" || line.Unanswered != 0 {
		t.Errorf("logged %+v", line)
	}
}

func TestDrainDeadlineWithAStuckHandler(t *testing.T) {
	for name, h := range map[string]server.Handler{
		"in Start": handlerFunc(func(
			ctx context.Context, _ server.Peer, _ pdu.Frame, finish func(pdu.Frame, bool),
		) {
			<-ctx.Done()
			finish(pdu.Frame{}, false)
		}),
		"never finishes": handlerFunc(
			func(context.Context, server.Peer, pdu.Frame, func(pdu.Frame, bool)) {}),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			cfg.DrainTimeout = 100 * time.Millisecond
			s := start(t, cfg, h, listen(t))
			c := s.dial()
			c.send(request(1, 20))
			for s.Stats().Requests == 0 {
				time.Sleep(time.Millisecond)
			}
			if err := s.stop(); err == nil {
				t.Error("Serve called that a clean drain")
			}
			if line := s.logged("connection closed"); line.Unanswered != 1 {
				t.Errorf("logged %+v", line)
			}
		})
	}
}

func TestDrainStopsThoseWhoWaitForMemory(t *testing.T) {
	cfg := testConfig()
	cfg.MaxPending = 1
	cfg.DrainTimeout = 100 * time.Millisecond
	h := make(holder, 1)
	s := start(t, cfg, h, listen(t))
	holding, waiting := s.dial(), s.dial()
	holding.send(request(1, 20))
	r := h.take(t, 1)[0]
	waiting.send(request(2, 20))
	for s.Stats().BytesIn < 40 {
		time.Sleep(time.Millisecond)
	}
	s.cancel()
	_ = receive(t, s.served) // not clean: one is never answered
	for range 2 {
		line := s.logged("connection closed")
		if line.Peer == waiting.LocalAddr().String() &&
			(line.Reason != "drained" || line.Requests != 0) {
			t.Errorf("logged %+v", line)
		}
	}
	r.echo()
}

func TestDrainDeadlineCancelsRequests(t *testing.T) {
	cfg := testConfig()
	cfg.DrainTimeout = 100 * time.Millisecond
	h := make(holder, 1)
	s := start(t, cfg, h, listen(t))
	c := s.dial()
	c.send(request(1, 20))
	r := h.take(t, 1)[0]
	s.cancel()
	receive(t, r.ctx.Done())
	if cause := context.Cause(r.ctx); errors.Is(cause, context.DeadlineExceeded) {
		t.Errorf("cancelled because of %v", cause)
	}
	if err := receive(t, s.served); err == nil {
		t.Error("Serve called that a clean drain")
	}
	r.echo() // nobody has it, and nothing breaks
	if got := s.Stats(); got.Pending != 0 || got.Unsent != 0 {
		t.Errorf("left: %+v", got)
	}
}

func TestServeSeveralListeners(t *testing.T) {
	a, b := listen(t), listen(t)
	s := start(t, testConfig(), echo, a, b)
	for _, ln := range []net.Listener{a, b} {
		s.addr = ln.Addr().String()
		c := s.dial()
		c.echoed(request(1, 20))
	}
	if err := s.stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
}
