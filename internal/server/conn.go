package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// lateAnswers is how much longer than a request's deadline a connection that ends waits for answers: a handler may
	// well answer at its deadline.
	lateAnswers = 500 * time.Millisecond
	// lingering is how long a connection is still read, and what comes discarded, after the last answer: were it closed
	// with bytes unread, the kernel would reset it, and the peer lose answers it has not read yet.
	lingering = 500 * time.Millisecond
	// maxPlaces is how many reads of one connection are at work at once. So what thousands ask on
	// some connections does not go before what is asked on another.
	maxPlaces = 16
)

// conn is one connection.
type conn struct {
	srv     *Server
	nc      net.Conn
	peer    string
	number  uint64 // what Peer.Conn returns
	log     *slog.Logger
	opened  time.Time
	tally   tally
	account account
	outbox  outbox
	slots   *semaphore.Weighted // one for each request in flight, from its Start until its answer is written
	places  *semaphore.Weighted // one for each request that is past Reserve, until it is finished
	asked   atomic.Int64        // when lastAsked is, Unix nanoseconds
	// arriving is the memory of the frame of which more is waited for now; nil: nothing is, or nothing is admitted yet.
	arriving  atomic.Pointer[claim]
	frameEnds atomic.Int64 // how many bytes the peer will have sent when that frame is complete

	// reading ends, with the reason, when nothing more is to be read. mu orders that, and the start of draining, with
	// the reader's setting of its deadline: neither must be overslept.
	mu          sync.Mutex
	reading     context.Context
	stopReading context.CancelCauseFunc
	draining    bool
	killed      sync.Once
	cut         error // why end was called, if it was

	// The reader's own.
	next     *request      // whose frame is being read
	admitted int           // bytes that this frame may have, 0: it is not known yet
	took     time.Duration // how long the peer was waited for since then
	framed   int64         // bytes of all frames before it
	sending  pace

	taking pace // the writer's own
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		srv:     s,
		nc:      nc,
		peer:    nc.RemoteAddr().String(),
		number:  s.numbers.Add(1),
		opened:  time.Now(),
		account: account{budget: s.budget, turn: make(chan struct{}, 1), gone: make(chan struct{})},
		outbox:  outbox{wake: make(chan struct{}, 1)},
		slots:   semaphore.NewWeighted(int64(s.cfg.MaxInFlight)),
		places:  semaphore.NewWeighted(maxPlaces),
		sending: pace{rate: s.cfg.MinSendRate, window: s.cfg.RateWindow},
		taking:  pace{rate: s.cfg.MinTakeRate, window: s.cfg.RateWindow},
	}
	c.account.conn = c
	c.asked.Store(c.opened.UnixNano())
	c.next = c.newRequest()
	c.log = s.log.With("peer", c.peer)
	c.reading, c.stopReading = context.WithCancelCause(context.Background())
	return c
}

func (c *conn) newRequest() *request { return &request{conn: c, claim: claim{account: &c.account}} }

// lastAsked is when the last request came or the last answer was written, or when it was opened.
func (c *conn) lastAsked() time.Time { return time.Unix(0, c.asked.Load()) }

// run serves the connection to its end. Whatever ends its reading, what is in flight is still answered.
func (c *conn) run() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.writeAnswers()
	}()

	c.stop(c.readRequests())
	c.awaitAnswers()
	c.outbox.close()
	<-written
	c.linger()
	_ = c.nc.Close()
	c.logEnd()
}

// stop ends reading for that reason, or for the earlier one if there was one.
func (c *conn) stop(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading.Err() == nil {
		c.stopReading(reason)
		c.wakeReader()
	}
}

// stopWhenQuiet makes the reader stop as soon as nothing is in flight and nothing comes for DrainQuiet.
func (c *conn) stopWhenQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading.Err() == nil {
		c.draining = true
		c.wakeReader()
	}
}

// wakeReader ends a Read that waits, so that it looks at its clocks again. The caller holds mu.
func (c *conn) wakeReader() {
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // an error means closed, and that wakes it as well
}

// kill closes the connection at once. What is in flight goes on, but nobody will have the answers.
func (c *conn) kill(reason error) {
	c.killed.Do(func() { close(c.account.gone) })
	c.stop(reason)
	_ = c.nc.Close()
}

// end closes the connection at once because of what its peer does, or does not do. That is why it ended, even if nothing
// was read any more.
func (c *conn) end(reason error) {
	c.mu.Lock()
	c.cut = cmp.Or(c.cut, reason)
	c.mu.Unlock()
	c.kill(reason)
}

// reason is why the connection ended.
func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.cut, context.Cause(c.reading))
}

// inFlight reports whether a request is under way. Only the reader may ask: nobody else starts any.
func (c *conn) inFlight() bool {
	all := int64(c.srv.cfg.MaxInFlight)
	if !c.slots.TryAcquire(all) {
		return true
	}
	c.slots.Release(all)
	return false
}

// awaitAnswers waits until nothing is in flight, for as long as handlers have, or until the drain's deadline.
func (c *conn) awaitAnswers() {
	ctx, cancel := context.WithTimeout(c.srv.life, c.srv.cfg.RequestTimeout+lateAnswers)
	defer cancel()
	_ = c.slots.Acquire(ctx, int64(c.srv.cfg.MaxInFlight)) // what is not done by then is dropped when it is
}

// linger tells the peer that nothing more will come and waits a little for it to close.
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingering)) == nil {
		_, _ = io.Copy(io.Discard, c.nc)
	}
}

// logEnd writes the connection's one line of totals, and counts its end.
func (c *conn) logEnd() {
	reason := c.reason()
	why := c.srv.closeReason(reason)
	c.srv.closed[why].Add(1)
	level := slog.LevelInfo
	if why == byNotTaken || why == bySlowFrame || why == byHeldMost {
		level = slog.LevelWarn
	}
	words := reason.Error()
	switch {
	case errors.Is(reason, io.EOF):
		words = "peer closed"
	case errors.Is(reason, io.ErrUnexpectedEOF):
		words = "peer closed inside a frame"
	}
	requests, answers := c.tally.requests.Load(), c.tally.answers.Load()
	c.log.Log(context.Background(), level, "connection closed", "reason", words,
		"requests", requests, "answers", answers, "unanswered", requests-answers,
		"bytes_in", c.tally.bytesIn.Load(), "bytes_out", c.tally.bytesOut.Load(),
		"seconds", time.Since(c.opened).Seconds())
}
