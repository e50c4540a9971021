package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
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
	// roomPlaces is how many requests of one connection may be past Room at once.
	roomPlaces = 16
)

// conn is one connection, and its handlers' Peer.
type conn struct {
	srv     *Server
	nc      net.Conn
	peer    string
	log     *slog.Logger
	opened  time.Time
	tally   tally
	account account
	outbox  outbox
	slots   *semaphore.Weighted // one for each request in flight, from its Start until its answer is written
	places  *semaphore.Weighted // one for each request that is past Room

	// reading ends, with the reason, when nothing more is to be read. mu orders that, and the start of draining, with
	// the reader's setting of its deadline: neither must be overslept.
	mu          sync.Mutex
	reading     context.Context
	stopReading context.CancelCauseFunc
	draining    bool

	// The reader's own.
	share    int64     // of the budget, taken for the frame that is being read
	large    int64     // of arriving, taken for it
	frameDue time.Time // when that frame must be complete; zero between frames
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		srv:     s,
		nc:      nc,
		peer:    nc.RemoteAddr().String(),
		opened:  time.Now(),
		account: account{budget: s.budget},
		outbox:  outbox{wake: make(chan struct{}, 1)},
		slots:   semaphore.NewWeighted(int64(s.cfg.MaxInFlight)),
		places:  semaphore.NewWeighted(roomPlaces),
	}
	c.log = s.log.With("peer", c.peer)
	c.reading, c.stopReading = context.WithCancelCause(context.Background())
	return c
}

// String implements Peer.
func (c *conn) String() string { return c.peer }

// Room implements Peer.
func (c *conn) Room(ctx context.Context) (leave func(), err error) {
	if err := c.places.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	leave = func() { c.places.Release(1) }
	if err := c.account.room(ctx); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

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
	c.stop(reason)
	_ = c.nc.Close()
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
	reason := context.Cause(c.reading)
	c.srv.closed[c.srv.closeReason(reason)].Add(1)
	words := reason.Error()
	switch {
	case errors.Is(reason, io.EOF):
		words = "peer closed"
	case errors.Is(reason, io.ErrUnexpectedEOF):
		words = "peer closed inside a frame"
	}
	requests, answers := c.tally.requests.Load(), c.tally.answers.Load()
	c.log.Info("connection closed", "reason", words,
		"requests", requests, "answers", answers, "unanswered", requests-answers,
		"bytes_in", c.tally.bytesIn.Load(), "bytes_out", c.tally.bytesOut.Load(),
		"seconds", time.Since(c.opened).Seconds())
}
