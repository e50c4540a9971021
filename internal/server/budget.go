package server

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a request counts for, in bytes: beside its frame, for all that serves it, and later beside
// its answer.
const (
	requestOverhead = 8 << 10
	answerOverhead  = 1 << 10
)

// quickly is how soon a frame must be complete, at its peer's pace, to count as one that comes
// quickly.
const quickly = 500 * time.Millisecond

// budget shares the memory for requests and answers out among the connections: the package comment
// says how. All amounts are bytes.
type budget struct {
	// Never changed after newBudget.
	max    int64
	floor  int64 // of each connection
	shared int64 // what is left for all
	share  int64 // the most that one connection may have

	// mu guards what follows, and all that is said to be guarded by it elsewhere.
	mu      sync.Mutex
	used    int64                 // by all claims
	unsent  int64                 // by the claims of answers
	over    int64                 // used of the shared half
	beyond  [kinds]*claim         // of each kind the claim that may have more than fits, or nil
	waiting map[*account]struct{} // the accounts with a claim that waits for more
	lines   [kinds]ranked[*line]  // of each kind the claims that wait, by their addresses
	large   map[*account]struct{} // the accounts that hold more than their floor
	fresh   list.List             // of those, the ones that have not for long, the first first
	granted time.Time             // when a claim that waited was last given something
	addrs   map[string]*address   // the addresses that have connections or hold memory
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

// ErrGone is the error of Peer.Reserve when the connection is closed.
var ErrGone = errors.New("the connection is closed, nobody would have the answer")

// account is one connection's part of the budget. All amounts are bytes.
type account struct {
	// Set before the connection is served, and never changed.
	budget *budget
	conn   *conn
	addr   *address

	turn   chan struct{} // capacity 1; holds a token while one of its requests waits for memory
	gone   chan struct{} // closed when nobody will have its answers
	asleep atomic.Int64  // held by its claims that wait for more

	// Guarded by budget.mu.
	held     int64         // by all its claims
	unsent   int64         // by the claims of its answers
	growing  *waiter       // for the frame that is being read; nil: that does not wait
	reserves *waiter       // for the request that has the turn; nil: there is none
	granted  time.Time     // when it was last given something that it waited for
	large    time.Time     // since when it holds more than its floor; zero: it does not
	fresh    *list.Element // where it stands in budget.fresh; nil: it does not
	long     bool          // it has held more than its floor for so long that others come first
	ended    bool          // it is being closed, because others need what it holds
	progress progress
}

// claim is the memory of one frame: first of the frame as it arrives, then of its request, then of
// the answer.
type claim struct {
	account *account
	n       int64   // bytes; guarded by budget.mu
	wants   *waiter // nil: it does not wait for more; guarded by budget.mu
}

// waiter is a claim's wait for more than it may have now. Of its fields only at changes once others
// can see it.
type waiter struct {
	claim  *claim
	kind   kind
	n      int64         // bytes that it wants in addition
	needs  time.Duration // until the frame is complete, at the peer's pace
	asleep bool          // what the claim has already is counted in account.asleep
	since  time.Time
	ready  chan struct{} // closed, with budget.mu held, when it was given them
	at     int           // what place returns; guarded by budget.mu
}

// kind is what a claim wants more for.
type kind int

const (
	forFrame      kind = iota // the frame that is being read
	forQuickFrame             // the same, and it comes quickly
	forAnswer                 // the answer of a request
	kinds                     // how many there are
)

// account is the account of the claim.
func (w *waiter) account() *account { return w.claim.account }

// reserve waits until the claim of a request may have n bytes more, and takes them. The requests of
// a connection take turns, in the order in which they asked. Only the claim's own request calls it.
// The error is the context's, or ErrGone.
func (c *claim) reserve(ctx context.Context, n int64) error {
	a := c.account
	has := c.n // only this request changes it
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

// tryReserve is reserve, if that need not wait; else it returns false.
func (c *claim) tryReserve(n int64) bool {
	a, b := c.account, c.account.budget
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	default:
		return false
	}
	has := c.n // only this request changes it
	a.asleep.Add(has)
	defer a.asleep.Add(-has)
	b.mu.Lock()
	defer b.mu.Unlock()
	w := &waiter{claim: c, kind: forAnswer, n: n, asleep: true}
	may := b.may(w)
	if may {
		b.take(w)
	}
	return may
}

// grow waits until the frame that is being read may have n bytes more, and takes them. needs is how
// long the peer still needs for the frame, at its pace. Only the connection's reader calls it.
func (c *claim) grow(ctx context.Context, n int64, needs time.Duration) error {
	w := &waiter{claim: c, kind: forFrame, n: n, needs: needs}
	if needs <= quickly {
		w.kind = forQuickFrame
	}
	return c.wait(ctx, w, &c.account.growing)
}

// wait waits until w has what it wants. head is the field of the account where others see w.
func (c *claim) wait(ctx context.Context, w *waiter, head **waiter) error {
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
	*head, c.wants = w, w
	b.waiting[a] = struct{}{}
	b.rank(w)
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
		return nil // it was given in this moment; the claim has it now
	}
	a.leave(w) // whoever comes next now is found by watch
	return err
}

// answer makes the claim one of the request's answer, which has n bytes. It never waits.
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

// releasePart releases n bytes of what the claim has.
func (c *claim) releasePart(n int64) {
	b := c.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed(c.account, b.set(c, c.n-n))
}

// release releases all that the claim has. The claim must not be one of an answer.
func (c *claim) release() {
	b := c.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed(c.account, b.set(c, 0))
}

// sent releases the claims of answers that were written, or will not be.
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

// All that follows is called with mu held.

// set makes a claim one of n bytes. It returns by how many bytes the use of the shared half has
// grown; below 0, somebody else may now have more.
func (b *budget) set(c *claim, n int64) (over int64) {
	over = -b.over
	b.add(c.account, n-c.n)
	over += b.over
	c.n = n
	for k := range b.beyond {
		if n == 0 && b.beyond[k] == c {
			b.beyond[k] = nil
			over = min(over, -1) // another claim may now have more than fits
		}
	}
	return over
}

// freed is called when a has released something; over is what set returned. It gives to those who
// wait, if there can be anything for them: what lies below a floor nobody else can have. So when
// thousands of small requests end at once, they are not all searched for nothing.
func (b *budget) freed(a *account, over int64) {
	if _, waits := b.waiting[a]; over < 0 || waits {
		b.dispatch()
	}
}

// add makes an account hold n bytes more; n may be below 0.
func (b *budget) add(a *account, n int64) {
	before, hadMost := b.above(a.held), b.hasMost(a.addr)
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
		a.fresh = b.fresh.PushBack(a)
	case before > 0 && after == 0:
		delete(b.large, a)
		a.large, a.long = time.Time{}, false
		if a.fresh != nil {
			b.fresh.Remove(a.fresh)
			a.fresh = nil
		}
	}
	if b.hasMost(a.addr) != hadMost {
		for k := range kinds {
			b.rankLine(a.addr, k)
		}
	}
	b.rankAll(a)
}

// above is how many bytes of the shared half an account uses that holds so many.
func (b *budget) above(held int64) int64 { return max(0, held-b.floor) }

// fits is whether w can have what it wants within its connection's limits.
func (b *budget) fits(w *waiter) bool {
	free := (b.shared - b.over) / 4
	if w.kind != forAnswer {
		free /= 2 // or frames would take the memory that answers need before frames can be released
	}
	return w.account().held+w.n <= max(b.floor, min(b.share, free))
}

// may is whether w may have what it wants now.
func (b *budget) may(w *waiter) bool {
	return b.fits(w) || b.goesBeyond(w.claim) || b.beyond[w.kind] == nil && b.within(w)
}

// goesBeyond is whether the claim is one of the three that may have more than fits.
func (b *budget) goesBeyond(c *claim) bool { return slices.Contains(b.beyond[:], c) }

// within is whether w waits for other connections to release memory, and not for its own.
func (b *budget) within(w *waiter) bool { return w.others() <= max(b.floor, b.share) }

// others is what the connection of w holds without w's claim, and without its other claims that
// wait.
func (w *waiter) others() int64 {
	a := w.account()
	if w.asleep {
		return a.held - a.asleep.Load()
	}
	return a.held - a.asleep.Load() - w.claim.n
}

// take gives w what it wants. It does not tell w.
func (b *budget) take(w *waiter) {
	if !b.fits(w) && !b.goesBeyond(w.claim) {
		b.beyond[w.kind] = w.claim
	}
	b.add(w.account(), w.n)
	w.claim.n += w.n
}
