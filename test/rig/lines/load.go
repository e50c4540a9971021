// Package lines is the load of tests, in its simplest form: lines, each a connection at work on a
// proxy, send and ask, go to other proxies, and note what became of every request. Package load
// makes profiles of them.
package lines

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Ledger is told what a load learns. Many goroutines call its methods.
type Ledger interface {
	// Highest is the largest id that was answered in a talk so far; 0: none was.
	Highest(Talk) uint32
	// Answered is told of a message of text that was answered with an id.
	Answered(Talk, *impb.IMMsgData)
	// Fault is told, in words for people, of what no proxy may do.
	Fault(string)
}

// Plan says how the lines of a load behave. It must not be changed while the load runs.
type Plan struct {
	Ledger Ledger
	// Text makes the text of the message that a line sends under a number that no other has.
	Text func(line, serial uint64) string
	// Rest is how long a line rests between two turns of its work.
	Rest time.Duration
	// GiveUp is how long a line waits for an answer. One that comes later is noted all the same.
	GiveUp time.Duration
	// Keep keeps all requests, for Each.
	Keep bool
	// InOrder says that what a line sends in one talk must be answered in the order of sending.
	InOrder bool
	// Lost is asked, when a connection was lost or could not be made, whether the line is to make
	// another one. Nil: never, and the ledger is told.
	Lost func(addr string, err error) (again bool)
	// Roam has a line go to the next proxy when it loses one, or is told that it stops. Without it
	// a line that is told so ends, and one that makes another connection makes it to the same
	// proxy.
	Roam bool
	// Stay is how long a line stays with a proxy that it came to in this way, before it goes back;
	// 0: for good.
	Stay time.Duration
}

// Load is connections at work on proxies, each a Line, and what became of what they sent. It runs
// from Begin to Close, and may begin again. Its methods are safe for concurrent use, but for these.
type Load struct {
	Plan

	lines  atomic.Uint64 // connections made
	serial atomic.Uint64 // messages sent
	stored atomic.Int64  // messages answered with an id

	ctx     context.Context // set by Begin; its end ends the load
	halt    chan struct{}   // made by Begin, closed by Halt
	over    chan struct{}   // made by Begin, closed by Close
	working int             // calls of Go since Begin; those who call Go own it
	running sync.WaitGroup  // what Go has started

	mu       sync.Mutex // guards the fields below, and all requests
	addrs    []string
	open     map[*Line]bool
	silent   int // messages without an answer whose connection is there
	pending  int // requests of all kinds, likewise
	requests []*Request
}

// New makes a load that follows a plan.
func New(plan Plan) *Load { return &Load{Plan: plan, open: make(map[*Line]bool)} }

// Begin begins the load, on proxies that listen there; lines follow by Go. The end of ctx ends it.
func (l *Load) Begin(ctx context.Context, addrs ...string) {
	l.ctx, l.halt, l.over = ctx, make(chan struct{}), make(chan struct{})
	l.working = 0
	l.Point(addrs...)
}

// Point says where proxies listen from now on. Connections that there are stay.
func (l *Load) Point(addrs ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs = addrs
}

// Move has all connections made anew, to these addresses.
func (l *Load) Move(addrs ...string) {
	l.Point(addrs...)
	l.mu.Lock()
	var lines []*Line
	for c := range l.open {
		lines = append(lines, c)
	}
	l.mu.Unlock()
	for _, c := range lines { // without the lock: answers may be noted meanwhile
		c.Close()
	}
}

// Go has one more line at work, to one proxy after the other: work does one turn of its work, and
// is called over and over until the load halts.
func (l *Load) Go(work func(*Line)) {
	home := l.working
	l.working++
	l.running.Go(func() { l.keep(home, work) })
}

// Halt ends all work. Lines stay, and answers are noted, until Close.
func (l *Load) Halt() { close(l.halt) }

// Close ends all lines, and waits for that. It follows Halt.
func (l *Load) Close() {
	close(l.over)
	l.running.Wait()
}

// Await waits until so many more messages have been stored, or ctx ends.
func (l *Load) Await(ctx context.Context, more int) {
	for enough := l.stored.Load() + int64(more); l.stored.Load() < enough && ctx.Err() == nil; {
		sleep(ctx, time.Millisecond)
	}
}

// Lines is how many connections were made so far.
func (l *Load) Lines() int { return int(l.lines.Load()) }

// Silent is how many messages have no answer, though their connection is there.
func (l *Load) Silent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent
}

// Pending is how many requests of all kinds have no answer, though their connection is there.
func (l *Load) Pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending
}

// AwaitAnswers waits until every message is answered whose connection is there, and says whether
// that came in time.
func (l *Load) AwaitAnswers(limit time.Duration) bool {
	for end := time.Now().Add(limit); l.Silent() > 0; sleep(l.ctx, time.Millisecond) {
		if time.Now().After(end) || l.ctx.Err() != nil {
			return false
		}
	}
	return true
}

// Each calls do with every request that was sent, in the order of sending, if the plan keeps them.
// It must not call the load.
func (l *Load) Each(do func(*Request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.requests {
		do(r)
	}
}

// On says that the load goes on.
func (l *Load) On() bool {
	select {
	case <-l.halt:
		return false
	default:
		return l.ctx.Err() == nil
	}
}

// keep keeps a line at work, on one connection after the other, until the load halts.
func (l *Load) keep(home int, work func(*Line)) {
	for at := home; l.On(); {
		c, err := l.Dial(at)
		if err == nil {
			begun := time.Now()
			for c.On() && (at == home || l.Stay == 0 || time.Since(begun) < l.Stay) {
				work(c)
				sleep(l.ctx, l.Rest)
			}
			err = l.leave(c)
		}
		next := at
		switch {
		case err != nil && !l.again(l.addr(at), err):
			return
		case err != nil:
			sleep(l.ctx, l.Rest)
			next++
		case c.IsStopping() && !l.Roam:
			return
		case c.IsStopping():
			next++
		default:
			next = home
		}
		if l.Roam {
			at = next
		}
	}
}

// leave closes a connection whose line has nothing to do on it any more, and returns why it was
// lost; nil: it was not. When its line goes nowhere else it first waits until the load is closed,
// so that answers that are still to come are noted.
func (l *Load) leave(c *Line) error {
	if !l.On() || c.IsStopping() && !l.Roam {
		select {
		case <-l.over:
		case <-c.Done():
		case <-l.ctx.Done():
		}
	}
	err := c.Err()
	if c.IsStopping() {
		err = nil
	}
	c.Close()
	return err
}

// again asks whether a line is to make another connection.
func (l *Load) again(addr string, err error) bool {
	if l.Lost != nil {
		return l.Lost(addr, err)
	}
	l.Ledger.Fault(fmt.Sprintf("connection to %s: %v", addr, err))
	return false
}

// addr is where line i goes.
func (l *Load) addr(i int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addrs[i%len(l.addrs)]
}

// Dial makes a connection to proxy i, counted over all addresses and around. It belongs to the
// caller, who closes it.
func (l *Load) Dial(i int) (*Line, error) {
	addr := l.addr(i)
	conn, err := client.Dial(l.ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &Line{Client: conn, Number: l.lines.Add(1), Addr: addr, load: l,
		last: make(map[Talk]uint32)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = true
	return c, nil
}

// sleep waits for a while, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
