package server

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"
)

// Once a claim has waited for pressAfter for memory that others hold, connections whose peers do
// not release what they hold are closed, the one that holds most first:
//
//   - First those that are hopeless: at their pace they would need longer than hopeless. A peer
//     that moves nothing at all must have done so for stalledAfter, one that moves something must
//     have held up the memory for sippedAfter.
//   - If there is none, and no claim that waited was given anything for stuckAfter, then the one
//     that would need longest, if that is longer than slow.
//
// No connection is closed for the sake of a frame that is hardly faster: it must need more than
// patient times as long as that frame.
const (
	watchEvery   = 50 * time.Millisecond
	pressAfter   = 150 * time.Millisecond
	stalledAfter = 700 * time.Millisecond
	sippedAfter  = 900 * time.Millisecond
	stuckAfter   = 500 * time.Millisecond
	hopeless     = 10 * time.Second
	slow         = 2 * time.Second
	patient      = 4
	// remembered is how long a peer's pace is remembered: after a pause of that length a third of
	// it is left.
	remembered = 500 * time.Millisecond
)

// progress is how a connection that holds more than its floor gets on with the memory that only its
// peer can have it release: by taking the answers that wait for it, or by sending the rest of the
// frame that is arriving. Guarded by budget.mu.
type progress struct {
	since  time.Time // since when such memory has been above the floor; zero: it is not
	frame  bool      // it is the frame's, and not that of answers
	stuck  int64     // bytes of such memory
	left   int64     // bytes that the peer must send or take until those are released, at the most
	moved  int64     // bytes that the peer had sent or taken in all, at the last pass
	moving time.Time // when the peer last sent or took something
	rate   float64   // bytes a second, of late
}

// measure brings progress up to date. late is how much later than watchEvery this pass is.
func (a *account) measure(now time.Time, late time.Duration) {
	p := &a.progress
	moved, stuck, inFrame := a.conn.tally.bytesOut.Load(), a.unsent, false
	left, both := stuck, stuck
	if frame := a.conn.arriving.Load(); frame != nil {
		both += frame.n
		if frame.n > stuck {
			moved, stuck, inFrame = a.conn.tally.bytesIn.Load(), frame.n, true
			left = min(stuck, a.conn.frameEnds.Load()-moved)
		}
	}
	switch {
	case both <= a.budget.floor: // nobody waits for that; the rest is released without the peer
		*p = progress{}
		return
	case p.since.IsZero() || inFrame != p.frame:
		*p = progress{since: now, moving: now, frame: inFrame}
	default:
		p.since, p.moving = p.since.Add(late), p.moving.Add(late)
		if moved > p.moved {
			p.moving = now
		}
		fade := math.Exp(-float64(watchEvery) / float64(remembered))
		p.rate = p.rate*fade + float64(moved-p.moved)/watchEvery.Seconds()*(1-fade)
	}
	p.moved, p.stuck, p.left = moved, stuck, left
}

// needs is how long the peer would need, at its pace, until the memory is released.
func (p *progress) needs() time.Duration {
	if p.rate <= 0 {
		return math.MaxInt64
	}
	return time.Duration(min(float64(p.left)/p.rate*float64(time.Second), math.MaxInt64))
}

// slower is whether the peer needs so much longer than w that w should not have to wait for it.
func (p *progress) slower(w *waiter) bool {
	return w.urgent() || p.needs()/patient > w.needs
}

// hopeless is whether the peer is so slow that others cannot wait for it.
func (p *progress) hopeless(now time.Time) bool {
	return !p.since.IsZero() && p.needs() > hopeless &&
		(now.Sub(p.moving) >= stalledAfter || now.Sub(p.since) >= sippedAfter)
}

// errHeldMost and errMadeRoom are the reasons for which connections are closed for the sake of
// others.
var (
	errHeldMost = errors.New(
		"it held most of the memory that others waited for, and did not release it")
	errMadeRoom = errors.New("it asked nothing for long, and a new connection needed its slot")
)

// watch closes connections for the sake of others that wait, and logs which addresses hold most. It
// goes on until ctx ends.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var names naming
	var named time.Time
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			// Where the machine is busy, peers may not have had their turn either.
			late := max(0, time.Since(last)-watchEvery)
			last = time.Now()
			for _, c := range s.budget.inTheWay(now, late) {
				s.lastEnded.Store(&Past{s.budget.holder(&c.account), now})
				c.end(errHeldMost)
			}
			if now.Sub(named) >= nameEvery {
				named = now
				names.name(s.log, s.Peers(), now)
			}
		}
	}
}

// inTheWay returns the connections that are to be closed now. late is how much later than
// watchEvery this pass is; that time does not count against peers. It searches all connections that
// wait or hold more than their floors: the time that this takes in a second does not depend on how
// many requests there are.
func (b *budget) inTheWay(now time.Time, late time.Duration) (conns []*conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dispatch() // asleep may have changed
	var held []*account
	for a := range b.large {
		if !a.ended {
			a.measure(now, late)
			held = append(held, a)
		}
	}
	first := b.pressing(now)
	if first == nil {
		return nil
	}
	slices.SortFunc(held, func(a, c *account) int {
		return cmp.Or(cmp.Compare(c.progress.stuck, a.progress.stuck),
			a.progress.since.Compare(c.progress.since))
	})
	end := func(a *account) (freed int64) {
		a.ended = true
		conns = append(conns, a.conn)
		return min(a.progress.stuck, b.above(a.held))
	}
	var freed int64
	for _, a := range held {
		if freed < first.n && a != first.account() && a.progress.hopeless(now) &&
			a.progress.slower(first) {
			freed += end(a)
		}
	}
	if freed > 0 || now.Sub(b.granted) < stuckAfter || now.Sub(first.since) < stuckAfter {
		return conns
	}
	if a := b.slowest(now, held, first); a != nil {
		end(a)
	}
	return conns
}

// slowest is the account that would need longest, of those that hold much more than w would, or
// whose claim has more than fits where w could have it. Nil: there is none that is slow.
func (b *budget) slowest(now time.Time, held []*account, w *waiter) (slowest *account) {
	for _, a := range held {
		p := &a.progress
		much := a.held >= 2*(w.account().held+w.n)
		if c := b.beyond[w.kind]; w.urgent() && c != nil && c.account == a {
			much = true
		}
		if a != w.account() && !a.ended && much && p.slower(w) &&
			!p.since.IsZero() && now.Sub(p.since) >= stuckAfter && p.needs() > slow &&
			(slowest == nil || p.needs() > slowest.progress.needs()) {
			slowest = a
		}
	}
	return slowest
}

// urgent is whether w waits for nothing but memory, and would soon release it again.
func (w *waiter) urgent() bool { return w.kind != forFrame }

// pressing is the first of the claims that have waited long enough for others to be closed. It must
// be entitled to what it wants: its connection has no other claim above the floor, or would hold no
// more than an equal part of all. A connection that is hopeless itself does not press. Nil: there
// is none.
func (b *budget) pressing(now time.Time) (first *waiter) {
	equal := b.shared / int64(4+len(b.large))
	for a := range b.waiting {
		for w := range a.heads() {
			entitled := w.others() <= b.floor || a.held+w.n <= equal
			if !entitled || now.Sub(w.since) < pressAfter || a.ended || a.progress.hopeless(now) {
				continue
			}
			if first == nil || w.urgent() && !first.urgent() ||
				w.urgent() == first.urgent() && w.before(first) {
				first = w
			}
		}
	}
	return first
}
