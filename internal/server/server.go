// Package server moves frames: it listens, splits each connection into requests for a Handler,
// writes the answers as soon as they are ready, and keeps the clocks and limits. It knows frames,
// no messages. docs/protocol.md has the rules of the wire, Config the limits.
//
// A connection has two goroutines. Its reader reads a frame, waits while it comes until there is
// memory for it, and then for a free slot of the connection, and calls Handler.Start; it waits for
// nothing else. Its writer writes whatever answers are queued, and a heartbeat when it had nothing
// to write for long. Handlers' goroutines only ever append to the queue between. A request holds
// its slot, and memory, until its answer is written: first that of its frame, with what the handler
// reserved, and from finish on that of its answer.
//
// The memory is shared out by the connection (budget.go). Whoever holds much of it, does not let go
// and so keeps others waiting is closed (relief.go), and so is whoever sends or takes too slowly
// (pace.go). Who holds most of memory and connections is told by Peers and in the log (peers.go).
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/descriptors"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// Peer is who sent a request, as its handler sees it.
type Peer interface {
	// String returns the remote address, for logs.
	String() string
	// Conn returns the number of its connection, which no other has that the process serves.
	Conn() uint64
	// Reserve waits until fewer than 16 of the connection's requests that have called it are under
	// way, and until there is memory for bytes more than the request's frame has, and takes both
	// until finish; from then on the answer has what it needs. A handler calls it before a read and
	// before other work whose answer may be longer than the request, with the most that it may be
	// longer; again, for all that it turns out to need in place of what it had, which it gives back
	// first; and not after finish. The error is the context's, or ErrGone: the connection was closed, and the
	// work would be for nobody.
	Reserve(ctx context.Context, bytes int64) error
}

// Handler is what the server needs from above.
type Handler interface {
	// Start is called once per frame, in the order read, from the connection's reader. It must not wait for I/O; it may
	// block while a queue is full, which is the back-pressure. It calls finish exactly once, from anywhere: with the
	// answer and ok true, or with ok false for "no answer". finish never blocks. Answers leave in the order of those
	// calls. A request that is never finished keeps its memory and its slot for good.
	//
	// ctx carries the request's deadline. It ends when finish is called and when the server gives up on the request, not
	// when the peer goes away: a message already accepted is still stored. The frame's body is the handler's to keep.
	Start(ctx context.Context, p Peer, f pdu.Frame, finish func(answer pdu.Frame, ok bool))
}

// Server serves the connections of any number of listeners. New makes one; Serve runs it, once.
type Server struct {
	cfg     Config
	handler Handler
	log     *slog.Logger
	budget  *budget
	tally   tally // of all connections

	// Reasons to close a connection, with their times.
	idle, slowFrame, notTaken error

	numbers   atomic.Uint64 // of connections, the last that was given
	opened    atomic.Int64
	closed    [closeReasons]atomic.Int64 // by closeReason
	refused   atomic.Int64
	badFrames atomic.Int64
	panics    atomic.Int64
	finished  atomic.Int64 // requests the handler is done with

	// When a connection was last ended because it held most, and when one was last refused or had
	// to make room; and who held most then.
	lastEnded, lastCrowded atomic.Pointer[Past]

	// life is the parent of every request's context; it ends when Serve does, at the latest at the drain's deadline.
	life context.Context
	end  context.CancelCauseFunc

	running sync.WaitGroup // connections
	mu      sync.Mutex
	conns   map[*conn]struct{} // guarded by mu
}

// New returns a server that gives every request to h.
func New(cfg Config, h Handler, log *slog.Logger) *Server {
	life, end := context.WithCancelCause(context.Background())
	return &Server{
		cfg:     cfg,
		handler: h,
		log:     log,
		budget:  newBudget(&cfg),

		idle:      fmt.Errorf("idle for %v", cfg.IdleTimeout),
		slowFrame: fmt.Errorf("frame sent too slowly, below %d bytes/s for %v", cfg.MinSendRate, cfg.RateWindow),
		notTaken:  fmt.Errorf("answers taken too slowly, below %d bytes/s for %v", cfg.MinTakeRate, cfg.RateWindow),

		life:  life,
		end:   end,
		conns: make(map[*conn]struct{}),
	}
}

// Serve accepts on every listener until ctx is cancelled, closes the listeners, drains and returns. The error is nil
// after a clean drain and says what was left when the drain's deadline passed. No goroutine of the server is left behind
// then, unless a Handler's Start never returns.
func (s *Server) Serve(ctx context.Context, lns ...net.Listener) error {
	defer s.end(net.ErrClosed)
	watching, enough := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() { s.watch(watching) })
	defer watch.Wait()
	defer enough()
	var accepting sync.WaitGroup
	for _, ln := range lns {
		accepting.Go(func() { s.accept(ctx, ln) })
	}
	<-ctx.Done()
	for _, ln := range lns {
		_ = ln.Close() // the drain goes on whatever it says
	}
	accepting.Wait() // from here on no connection is added
	return s.drain()
}

// accept opens a connection for everyone who calls, until ctx ends. An error, such as too many open files, is waited
// out.
func (s *Server) accept(ctx context.Context, ln net.Listener) {
	const firstPause, maxPause = 5 * time.Millisecond, time.Second
	pause := firstPause
	for {
		nc, err := ln.Accept()
		if err == nil {
			s.open(nc)
			pause = firstPause
			continue
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Error("cannot accept connections", "listener", ln.Addr().String(),
			"error", descriptors.Explain(err), "retry_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// open starts serving an accepted connection, unless there are too many and none makes room. (TCP
// keep-alive and no-delay are what Go's listeners set.)
func (s *Server) open(nc net.Conn) {
	c := newConn(s, nc)
	var quiet *conn // makes room
	var crowding Holder
	s.mu.Lock()
	full := len(s.conns) >= s.cfg.MaxConns
	if full {
		if quiet = s.quietest(addressOf(nc), time.Now()); quiet != nil {
			crowding = s.budget.holder(&quiet.account)
			s.leave(quiet)
			full = false
		}
	}
	if !full {
		s.conns[c] = struct{}{}
		s.budget.enter(&c.account, addressOf(nc))
	}
	open := len(s.conns)
	s.mu.Unlock()

	if full {
		s.refused.Add(1)
		now := time.Now()
		most := s.budget.peers(now).MostConns
		s.lastCrowded.Store(&Past{most, now})
		c.log.Warn("connection refused: too many", "limit", s.cfg.MaxConns, "most", most.Address, "of_it", most.Conns)
		_ = nc.Close()
		return
	}
	if quiet != nil {
		s.lastCrowded.Store(&Past{crowding, time.Now()})
		quiet.end(errMadeRoom)
	}
	s.opened.Add(1)
	c.log.Info("connection opened", "connections", open)
	s.running.Go(func() {
		c.run()
		s.mu.Lock()
		s.leave(c)
		s.mu.Unlock()
	})
}

// leave takes a connection out of those that count, if it is not out yet. The caller holds mu.
func (s *Server) leave(c *conn) {
	if _, in := s.conns[c]; in {
		delete(s.conns, c)
		s.budget.exit(&c.account)
	}
}

// each calls f for every connection.
func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}
