package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a request counts for beside its frame, with all that serves it, and then beside its answer,
// in bytes.
const (
	requestOverhead = 8 << 10
	answerOverhead  = 1 << 10
)

// quickly is how soon a frame must be complete, at its peer's pace, to go before those that come
// slowly.
const quickly = 500 * time.Millisecond

// budget shares the memory for requests and answers out among the connections. Half of it is theirs
// in equal parts, the floors: what a connection holds up to its floor it never waits for. The other
// half is for whoever needs more. There a connection may have its share, and a quarter of what is
// free, at the most, for frames an eighth. So the fuller it gets, the less may one have, and those
// who need little find something.
//
// One frame at a time, the first of those that wait, may go beyond that, until it is given back;
// so may one more that comes quickly, and one answer. So a frame longer than the whole budget gets
// through, too; frames that each have a part and want more do not wait for each other for ever; and
// neither an answer nor a frame that comes quickly waits for one that comes slowly.
type budget struct {
	max    int64
	floor  int64 // of each connection
	shared int64 // what is left for all
	share  int64 // the most for one connection

	mu      sync.Mutex
	used    int64                 // by all claims
	unsent  int64                 // by those that are answers
	over    int64                 // used of the shared half
	beyond  [kinds]*claim         // those that may have more than fits; nil: there is none
	waiting map[*account]struct{} // those who want more
	large   map[*account]struct{} // those who hold more than their floor
	granted time.Time             // when somebody who waited was last given something
	addrs   map[string]*address   // those who have connections or hold something
}

func newBudget(cfg *Config) *budget {
	floor := cfg.MaxPending / 2 / int64(cfg.MaxConns)
	return &budget{
		max:     cfg.MaxPending,
		floor:   floor,
		shared:  cfg.MaxPending - floor*int64(cfg.MaxConns),
		share:   cfg.MaxPending / 100 * int64(cfg.ConnShare),
		waiting: make(map[*account]struct{}),
		large:   make(map[*account]struct{}),
		addrs:   make(map[string]*address),
	}
}

// ErrGone is why nothing is reserved for a connection that was closed.
var ErrGone = errors.New("the connection is closed, nobody would have the answer")

// account is one connection's part of the budget. From held on its fields are guarded by budget.mu.
type account struct {
	budget *budget
	conn   *conn
	addr   *address
	turn   chan struct{} // has what the first of its requests that want more put in; the others wait to; capacity 1
	gone   chan struct{} // closed when nobody will have its answers
	asleep atomic.Int64  // what claims hold that want more

	held     int64     // by all its claims
	unsent   int64     // by those that are answers
	growing  *waiter   // the frame that is being read wants more
	reserves *waiter   // the first of its requests that want more does
	granted  time.Time // when it was last given something that it waited for
	large    time.Time // since when it holds more than its floor; zero: it does not
	ended    bool      // others need what it holds; it is being closed
	progress progress
}

// claim is the memory of one frame: while it arrives, then of its request, then of the answer. n
// and wants are guarded by budget.mu.
type claim struct {
	account *account
	n       int64
	wants   *waiter // nil: it has what it wants
}

// waiter is a claim that wants more than it may have now.
type waiter struct {
	claim  *claim
	kind   kind
	n      int64         // more bytes
	needs  time.Duration // how long the peer needs at its pace until the frame is complete
	asleep bool          // what the claim has is among account.asleep
	since  time.Time
	ready  chan struct{} // closed, with mu held, when it was given them
}

// kind is what a claim wants more for.
type kind int

const (
	forFrame      kind = iota // the frame that is being read
	forQuickFrame             // the same, and it comes quickly
	forAnswer                 // the answer of a request
	kinds                     // how many there are
)

// account is whose claim it is.
func (w *waiter) account() *account { return w.claim.account }

// reserve waits until the claim of a request may have n bytes more, and takes them. Requests of a
// connection have their turn in the order they asked. Its owner alone calls it. The error is the
// context's, or ErrGone.
func (c *claim) reserve(ctx context.Context, n int64) error {
	a := c.account
	has := c.n // nobody else changes it
	a.asleep.Add(has)
	defer a.asleep.Add(-has)
	select {
	case <-a.gone:
		return ErrGone
	default:
	}
	select {
	case a.turn <- struct{}{}:
	case <-a.gone:
		return ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.turn }()
	return c.wait(ctx, &waiter{claim: c, kind: forAnswer, n: n, asleep: true}, &a.reserves)
}

// grow does the same for the frame that is being read, whose peer needs that long to complete it.
func (c *claim) grow(ctx context.Context, n int64, needs time.Duration) error {
	w := &waiter{claim: c, kind: forFrame, n: n, needs: needs}
	if needs <= quickly {
		w.kind = forQuickFrame
	}
	return c.wait(ctx, w, &c.account.growing)
}

// wait waits at a place of its account until w has what it wants.
func (c *claim) wait(ctx context.Context, w *waiter, place **waiter) error {
	a, b := c.account, c.account.budget
	b.mu.Lock()
	if b.may(w) {
		b.take(w)
		b.mu.Unlock()
		return nil
	}
	w.since, w.ready = time.Now(), make(chan struct{})
	if !w.asleep {
		w.asleep = true
		has := c.n
		a.asleep.Add(has)
		defer a.asleep.Add(-has)
	}
	*place, c.wants = w, w
	b.waiting[a] = struct{}{}
	b.mu.Unlock()

	var err error
	select {
	case <-w.ready:
		return nil
	case <-a.gone:
		err = ErrGone
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.wants != w {
		return nil // it was given, and goes with the claim
	}
	a.leave(w) // whom it kept waiting, watch finds
	return err
}

// answer makes the claim that of its request's answer, of n bytes. It never waits.
func (c *claim) answer(n int64) {
	a, b := c.account, c.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	n += answerOverhead
	over := b.set(c, n)
	a.unsent += n
	b.unsent += n
	b.freed(a, over)
}

// giveBack gives back n bytes of what a claim has.
func (c *claim) giveBack(n int64) {
	b := c.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed(c.account, b.set(c, c.n-n))
}

// release gives back what a claim has that is no answer.
func (c *claim) release() {
	b := c.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed(c.account, b.set(c, 0))
}

// sent gives back answers.
func (a *account) sent(batch []outgoing) {
	b := a.budget
	now := time.Now().UnixNano()
	b.mu.Lock()
	defer b.mu.Unlock()
	over := int64(0)
	for _, out := range batch {
		if out.request != nil {
			a.conn.asked.Store(now)
			c := &out.request.claim
			a.unsent -= c.n
			b.unsent -= c.n
			over += b.set(c, 0)
		}
	}
	b.freed(a, over)
}

// The rest is called with mu held.

// set makes a claim one of n bytes. It returns how many bytes more are used of the shared half.
func (b *budget) set(c *claim, n int64) (over int64) {
	over = -b.over
	b.add(c.account, n-c.n)
	over += b.over
	c.n = n
	for k := range b.beyond {
		if n == 0 && b.beyond[k] == c {
			b.beyond[k] = nil
			over = min(over, -1) // others may go beyond now
		}
	}
	return over
}

// freed has those go on who wait for what a gave back. Of its floor nobody else can have anything:
// when thousands of small requests end at once, nobody is looked for in vain.
func (b *budget) freed(a *account, over int64) {
	if _, waits := b.waiting[a]; over < 0 || waits {
		b.dispatch()
	}
}

// add changes what an account holds.
func (b *budget) add(a *account, n int64) {
	before := b.above(a.held)
	a.held += n
	after := b.above(a.held)
	b.used += n
	b.over += after - before
	a.addr.held += n
	a.addr.over += after - before
	b.forget(a.addr)
	switch {
	case before == 0 && after > 0:
		b.large[a] = struct{}{}
		a.large, a.progress = time.Now(), progress{}
	case before > 0 && after == 0:
		delete(b.large, a)
		a.large = time.Time{}
	}
}

// above is how much of the shared half an account takes that holds that much.
func (b *budget) above(held int64) int64 { return max(0, held-b.floor) }

// fits is whether w may have more within what its connection may have.
func (b *budget) fits(w *waiter) bool {
	free := (b.shared - b.over) / 4
	if w.kind != forAnswer {
		free /= 2 // or else frames would leave nothing for what must come before they can go
	}
	return w.account().held+w.n <= max(b.floor, min(b.share, free))
}

// may is whether w may have more now.
func (b *budget) may(w *waiter) bool {
	return b.fits(w) || b.goesBeyond(w.claim) || b.beyond[w.kind] == nil && b.within(w)
}

// goesBeyond is whether the claim is one of those that may have more than fits.
func (b *budget) goesBeyond(c *claim) bool { return slices.Contains(b.beyond[:], c) }

// within is whether w waits for others, and not for its own connection.
func (b *budget) within(w *waiter) bool { return w.others() <= max(b.floor, b.share) }

// others is what its connection holds beside w's claim, and beside those that want more, too.
func (w *waiter) others() int64 {
	a := w.account()
	if w.asleep {
		return a.held - a.asleep.Load()
	}
	return a.held - a.asleep.Load() - w.claim.n
}

// take gives w what it wants.
func (b *budget) take(w *waiter) {
	if !b.fits(w) && !b.goesBeyond(w.claim) {
		b.beyond[w.kind] = w.claim
	}
	b.add(w.account(), w.n)
	w.claim.n += w.n
}
