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
	// lateAnswers is how much longer than a request's deadline a connection that ends waits for
	// answers: a handler may well answer at its deadline.
	lateAnswers = 500 * time.Millisecond
	// lingering is how long a connection is still read after the last answer; what comes is
	// discarded. If it were closed with bytes unread, the kernel would reset it, and the peer would
	// lose the answers that it has not read yet.
	lingering = 500 * time.Millisecond
	// maxReads is how many reads of one connection are at work at once. So the requests of
	// thousands on some connections do not all go before those on another.
	maxReads = 16
)

// conn is one connection.
type conn struct {
	// Never changed after newConn.
	srv    *Server
	nc     net.Conn
	peer   string
	number uint64 // what Peer.Conn returns
	log    *slog.Logger
	opened time.Time

	tally   tally
	account account
	outbox  outbox
	slots   *semaphore.Weighted // one for each request from its Start until its answer is written
	reads   *semaphore.Weighted // one for each request from its Reserve until it is finished
	asked   atomic.Int64        // what lastAsked returns, in Unix nanoseconds

	// arriving is the memory of the frame of which the reader waits for more; nil: it does not
	// wait, or that frame has no memory yet. frameEnds is how many bytes the peer will have sent in
	// all when that frame is complete. The reader sets both.
	arriving  atomic.Pointer[claim]
	frameEnds atomic.Int64

	// reading ends, with the reason, when nothing more is to be read. Whoever ends it, or begins to
	// drain, holds mu, and so does the reader while it sets its deadline: so the reader always
	// wakes.
	mu          sync.Mutex
	reading     context.Context
	stopReading context.CancelCauseFunc // called with mu held
	draining    bool                    // guarded by mu
	wakes       time.Time               // the reader's deadline; zero: it is over; guarded by mu
	cut         error                   // why end was called, nil: it was not; guarded by mu
	killed      sync.Once

	// Only the reader uses these.
	next     *request      // whose frame is being read
	admitted int           // bytes that this frame may have; 0: its length is not known yet
	took     time.Duration // how long the reader has waited for the peer since then
	framed   int64         // bytes of all frames before it
	sending  pace

	// Only the writer uses these.
	taking  pace
	returns time.Time // its deadline; zero: it has none
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
		reads:   semaphore.NewWeighted(maxReads),
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

// lastAsked is when the last request came or the last answer was written, or else when the
// connection was opened.
func (c *conn) lastAsked() time.Time { return time.Unix(0, c.asked.Load()) }

// run serves the connection to its end. Whatever ends its reading, pending requests are still
// answered.
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

// stop ends reading for that reason, unless it has ended before.
func (c *conn) stop(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading.Err() == nil {
		c.stopReading(reason)
		c.wakeReader()
	}
}

// stopWhenQuiet makes the reader stop as soon as nothing is pending and nothing comes for
// DrainQuiet.
func (c *conn) stopWhenQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading.Err() == nil {
		c.draining = true
		c.wakeReader()
	}
}

// wakeReader ends a Read that waits, so that the reader sets its clock anew. The caller holds mu.
func (c *conn) wakeReader() {
	// An error means that the connection is closed, and that wakes the reader as well.
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	c.wakes = time.Time{}
}

// kill closes the connection at once. Pending requests go on, but nobody will have the answers.
func (c *conn) kill(reason error) {
	c.killed.Do(func() { close(c.account.gone) })
	c.stop(reason)
	_ = c.nc.Close()
}

// end closes the connection at once because of what its peer does, or does not do. That counts as
// the reason for its end even if reading had ended before for another one.
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

// hasPending reports whether a request is pending. Only the reader may ask: nobody else starts any.
func (c *conn) hasPending() bool {
	all := int64(c.srv.cfg.MaxInFlight)
	if !c.slots.TryAcquire(all) {
		return true
	}
	c.slots.Release(all)
	return false
}

// awaitAnswers waits until nothing is pending, for as long as handlers have, or until the drain's
// deadline.
func (c *conn) awaitAnswers() {
	ctx, cancel := context.WithTimeout(c.srv.life, c.srv.cfg.RequestTimeout+lateAnswers)
	defer cancel()
	// A request that is not finished by then is dropped when it is.
	_ = c.slots.Acquire(ctx, int64(c.srv.cfg.MaxInFlight))
}

// linger tells the peer that nothing more will come, and waits a little for it to close.
func (c *conn) linger() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingering)) == nil {
		_, _ = io.Copy(io.Discard, c.nc)
	}
}

// logEnd logs how the connection ended, with its totals, and counts its end.
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
