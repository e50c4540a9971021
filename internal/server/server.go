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
	// Conn returns the number of its connection. No other connection of this process has it.
	Conn() uint64
	// Reserve takes one of the connection's 16 read slots, and so many bytes of memory beside what
	// the request's frame has; it waits until both are free. The request holds them until finish;
	// from then on the answer has the memory that it needs.
	//
	// A handler calls it before a read, and before other work whose answer may be longer than the
	// request: with the most that the answer may be longer. If it turns out to need more it calls
	// Reserve again, with all that it needs: what it had is released first. It must not call it
	// after finish. The error is the context's, or ErrGone: the connection was closed, and the work
	// would be for nobody.
	Reserve(ctx context.Context, bytes int64) error
	// TryReserve is Reserve, if that need not wait. Otherwise it returns false, and Reserve is to
	// be called.
	TryReserve(bytes int64) bool
}

// Handler is what the server needs from above.
type Handler interface {
	// Start is called once per frame, in the order read, from the connection's reader. It must not
	// wait for I/O; it may block while a queue is full, and so holds up its peer. Start, or what it
	// begins, calls finish exactly once, from any goroutine: with the answer and ok true, or with
	// ok false for "no answer". finish never blocks. Answers leave in the order of those calls. A
	// request that is never finished keeps its memory and its slot for good.
	//
	// ctx carries the request's deadline. It ends when finish is called, and when the server gives
	// the request up. It does not end when the peer goes away: a message already accepted is still
	// stored. The frame's body belongs to the handler.
	Start(ctx context.Context, p Peer, f pdu.Frame, finish func(answer pdu.Frame, ok bool))
}

// Server serves the connections of any number of listeners. New makes one; Serve runs it, once.
type Server struct {
	// Never changed after New.
	cfg     Config
	handler Handler
	log     *slog.Logger
	budget  *budget

	// The errors with which connections are closed for these reasons; their texts name the limits.
	// Never changed after New.
	idle, slowFrame, notTaken error

	tally     tally         // of all connections
	numbers   atomic.Uint64 // the number of the latest connection
	opened    atomic.Int64
	closed    [closeReasons]atomic.Int64 // by closeReason
	refused   atomic.Int64
	badFrames atomic.Int64
	panics    atomic.Int64
	finished  atomic.Int64 // requests that the handler has finished

	// lastEnded is when a connection was last closed because it held most, lastCrowded when one was
	// last refused or gave its slot to a new one; both say who held most then.
	lastEnded, lastCrowded atomic.Pointer[Past]

	// life is the parent of every request's context. It ends with Serve, at the latest when the
	// drain's deadline has passed.
	life context.Context
	end  context.CancelCauseFunc

	running sync.WaitGroup // of the connections' goroutines
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

		idle: fmt.Errorf("idle for %v", cfg.IdleTimeout),
		slowFrame: fmt.Errorf("frame sent too slowly, below %d bytes/s for %v", cfg.MinSendRate,
			cfg.RateWindow),
		notTaken: fmt.Errorf("answers taken too slowly, below %d bytes/s for %v", cfg.MinTakeRate,
			cfg.RateWindow),

		life:  life,
		end:   end,
		conns: make(map[*conn]struct{}),
	}
}

// Serve accepts on every listener until ctx is cancelled, closes the listeners, drains and returns.
// The error is nil after a clean drain; else the drain's deadline has passed, and it says what was
// left. No goroutine of the server is left behind then, unless a Handler's Start never returns.
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

// accept opens a connection for everyone who calls, until ctx ends. After an error, such as too
// many open files, it waits and tries again.
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

// open starts serving an accepted connection. If all are taken, it closes the quietest connection
// for it, or else refuses the new one. (TCP keep-alive and no-delay are what Go's listeners set.)
func (s *Server) open(nc net.Conn) {
	c := newConn(s, nc)
	var quiet *conn     // its slot goes to c
	var crowding Holder // what the address of quiet held
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
		c.log.Warn("connection refused: too many", "limit", s.cfg.MaxConns,
			"most", most.Address, "of_it", most.Conns)
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

// leave takes a connection out of conns, and out of its address's count, unless that was done
// before. The caller holds mu.
func (s *Server) leave(c *conn) {
	if _, in := s.conns[c]; in {
		delete(s.conns, c)
		s.budget.exit(&c.account)
	}
}

// each calls f for every open connection, with mu held.
func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}
