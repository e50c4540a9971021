package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	s := serve(t, testConfig(), echo)
	c := s.dial()
	frames := requests(3000)
	c.echoed(frames...)
	if got := s.Stats(); got.Requests != 3000 || got.Answers < 2000 || got.Connections != 1 {
		t.Errorf("Stats: %+v", got)
	}
}

func TestAnswersLeaveInTheOrderFinished(t *testing.T) {
	h := make(holder, 100)
	c := serve(t, testConfig(), h).dial()
	frames := requests(100)
	c.send(frames...)
	for _, r := range reversed(h.take(t, 100)) {
		r.echo()
	}
	c.wants(reversed(frames)...)
}

func TestRequestSplitIntoBytes(t *testing.T) {
	c := serve(t, testConfig(), echo).dial()
	frames := requests(5)
	for _, f := range frames {
		for _, b := range f.Append(nil) {
			c.raw([]byte{b})
		}
	}
	c.wants(frames...)
}

func TestNoAnswer(t *testing.T) {
	s := serve(t, testConfig(), handlerFunc(
		func(_ context.Context, _ server.Peer, f pdu.Frame, finish func(pdu.Frame, bool)) {
			finish(f, f.Seq%2 == 0)
		}))
	c := s.dial()
	frames := requests(4)
	c.send(frames...)
	c.wants(frames[0], frames[2])
	_ = c.Close()
	line := s.logged("connection closed")
	if line.Requests != 4 || line.Answers != 2 || line.Unanswered != 2 ||
		line.Reason != "peer closed" ||
		line.BytesIn != 70 || line.BytesOut != 34 || line.Peer != c.LocalAddr().String() {
		t.Errorf("logged %+v", line)
	}
}

func TestHalfClosedPeerGetsAllAnswers(t *testing.T) {
	h := make(holder, 100)
	s := serve(t, testConfig(), h)
	c := s.dial()
	frames := requests(100)
	c.send(frames...)
	_ = c.CloseWrite()
	for _, r := range h.take(t, 100) {
		r.echo()
	}
	c.wants(frames...)
	c.closed()
	if line := s.logged("connection closed"); line.Answers != 100 || line.Unanswered != 0 {
		t.Errorf("logged %+v", line)
	}
}

func TestHeartbeats(t *testing.T) {
	cfg := testConfig()
	cfg.HeartbeatEvery = 20 * time.Millisecond
	c := serve(t, cfg, echo).dial()
	heartbeat := pdu.Frame{Service: 7, Command: cmdHeartbeat}
	c.wants(heartbeat, heartbeat)

	theirs := pdu.Frame{Service: 7, Command: cmdHeartbeat, Seq: 9}
	last := request(1, 20)
	c.send(theirs, theirs, last)
	for {
		f := c.next()
		if same(f, last) {
			break
		}
		if !same(f, heartbeat) {
			t.Fatalf("got %+v, want heartbeats until the answer", f)
		}
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	cfg := testConfig()
	cfg.IdleTimeout = 50 * time.Millisecond
	s := serve(t, cfg, echo)
	s.dial().closed()
	if line := s.logged("connection closed"); line.Reason != "idle for 50ms" {
		t.Errorf("logged %+v", line)
	}
}

// TestAnyByteKeepsAConnection spreads one frame over more than the idle time; the server's
// heartbeats set the pace.
func TestAnyByteKeepsAConnection(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.HeartbeatEvery, cfg.IdleTimeout = 200*time.Millisecond, time.Second
	c := serve(t, cfg, echo).dial()
	f := request(1, pdu.HeaderLen)
	for i, b := range f.Append(nil) {
		c.raw([]byte{b})
		if i < 8 {
			c.next()
		}
	}
	c.wants(f)
}

func TestIdleClockStandsStillWhileTheHandlerBlocks(t *testing.T) {
	cfg := testConfig()
	cfg.IdleTimeout, cfg.HeartbeatEvery = 20*time.Millisecond, 20*time.Millisecond
	h := make(holder) // nobody takes: Start blocks
	s := serve(t, cfg, h)
	c := s.dial()
	frames := requests(2)
	c.send(frames...)
	for range 5 {
		c.next()
	}
	for range frames {
		h.take(t, 1)[0].echo()
	}
	for answered := 0; answered < len(frames); {
		if f := c.next(); f.Command != cmdHeartbeat {
			answered++
		}
	}
	if line := s.logged("connection closed"); line.Reason != "idle for 20ms" {
		t.Errorf("logged %+v", line)
	}
}

func TestRequestOutlivesItsPeer(t *testing.T) {
	cfg := testConfig()
	cfg.HeartbeatEvery = 20 * time.Millisecond
	h := make(holder, 1)
	s := serve(t, cfg, h)
	c, other := s.dial(), s.dial()
	c.send(request(1, 20))
	r := h.take(t, 1)[0]
	_ = c.SetLinger(0)
	_ = c.Close() // a reset
	for range 4 {
		other.next()
	}
	if r.ctx.Err() != nil {
		t.Errorf("context: %v", context.Cause(r.ctx))
	}
	if r.peer.String() != c.LocalAddr().String() {
		t.Errorf("peer %v, want %v", r.peer, c.LocalAddr())
	}
	r.echo()
	if line := s.logged("connection closed"); line.Requests != 1 || line.Unanswered != 1 {
		t.Errorf("logged %+v", line)
	}
	if r.ctx.Err() == nil {
		t.Error("the context is not over after finish")
	}
}

func TestAnswerAtTheDeadlineStillGoesOut(t *testing.T) {
	cfg := testConfig()
	cfg.RequestTimeout = 30 * time.Millisecond
	h := make(holder, 1)
	c := serve(t, cfg, h).dial()
	f := request(1, 20)
	c.send(f)
	_ = c.CloseWrite()
	r := h.take(t, 1)[0]
	receive(t, r.ctx.Done())
	r.echo()
	c.wants(f)
	c.closed()
}

// TestARequestsContextEnds looks at contexts that nobody has waited for before, and at those that
// were made of them.
func TestARequestsContextEnds(t *testing.T) {
	cfg := testConfig()
	cfg.RequestTimeout = 30 * time.Millisecond
	h := make(holder, 4)
	c := serve(t, cfg, h).dial()
	c.send(requests(4)...)
	all := h.take(t, 4)
	wants := func(what string, ctx context.Context, want error) {
		t.Helper()
		if err := ctx.Err(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		receive(t, ctx.Done())
		if err := ctx.Err(); !errors.Is(err, want) {
			t.Errorf("%s, when it is over: %v, want %v", what, err, want)
		}
	}
	finished := context.WithValue(all[0].ctx, h, 1)
	child, cancel := context.WithCancel(all[1].ctx)
	defer cancel()
	all[0].echo()
	all[1].echo()
	wants("finished", finished, context.Canceled)
	receive(t, child.Done())
	wants("made of a finished one", child, context.Canceled)
	receive(t, all[3].ctx.Done())
	wants("at its deadline", all[2].ctx, context.DeadlineExceeded)
	late, cancel := context.WithCancel(all[2].ctx)
	defer cancel()
	wants("made of one that is over", late, context.DeadlineExceeded)
	all[2].echo()
	all[3].echo()
	wants("finished after its deadline", all[2].ctx, context.DeadlineExceeded)
}

func TestPanicCostsOneRequest(t *testing.T) {
	s := serve(t, testConfig(), handlerFunc(
		func(ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool)) {
			if f.Seq == 1 {
				panic("seq 1")
			}
			finish(f, true)
		}))
	c := s.dial()
	frames := requests(3)
	c.send(frames...)
	c.wants(frames[0], frames[2])
	line := s.logged("handler panicked")
	if line.Level != "ERROR" || line.Panic != "seq 1" || line.Command != "0x0301" ||
		!strings.Contains(line.Stack, "TestPanicCostsOneRequest") {
		t.Errorf("logged %+v", line)
	}
	if got := s.Stats().Panics; got != 1 {
		t.Errorf("%d panics counted", got)
	}
}

func TestSecondFinishIsIgnored(t *testing.T) {
	s := serve(t, testConfig(), handlerFunc(
		func(ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool)) {
			finish(f, true)
			finish(f, f.Seq == 0)
		}))
	c := s.dial()
	frames := requests(2)
	c.echoed(frames...)
	for range frames {
		line := s.logged("handler finished a request twice, the second is ignored")
		if line.Level != "ERROR" {
			t.Errorf("logged %+v", line)
		}
	}
}

// stumbling is a listener whose first Accepts fail.
type stumbling struct {
	net.Listener
	failures atomic.Int32
}

func (l *stumbling) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsAreWaitedOut(t *testing.T) {
	ln := &stumbling{Listener: listen(t)}
	ln.failures.Store(3)
	s := start(t, testConfig(), echo, ln)
	c := s.dial()
	c.echoed(request(1, 20))
	for range 3 {
		if line := s.logged("cannot accept connections"); line.Level != "ERROR" {
			t.Errorf("logged %+v", line)
		}
	}
	if err := s.stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
}
