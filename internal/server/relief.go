package server

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"
)

// When somebody has waited for pressAfter for memory that others hold, those who do not let go of
// what they hold are closed, the one that holds most first. Those come first who would need more
// than hopeless at their pace: of a peer that takes nothing at all stalledAfter is borne, of one
// that takes something sippedAfter. If that is nobody, and nobody who waited was given anything for
// stuckAfter, it is the one that would need longest, if that is more than slow. Nobody is closed for
// a frame that comes hardly faster: it would need more than patient times as long as that frame.
const (
	lookEvery    = 50 * time.Millisecond
	pressAfter   = 150 * time.Millisecond
	stalledAfter = 700 * time.Millisecond
	sippedAfter  = 900 * time.Millisecond
	stuckAfter   = 500 * time.Millisecond
	hopeless     = 10 * time.Second
	slow         = 2 * time.Second
	patient      = 4
	// remembered is how long a peer's pace is remembered: a pause as long as that takes it down to
	// a third.
	remembered = 500 * time.Millisecond
)

// progress is how a connection that holds more than its floor gets on with what depends on its
// peer: with answers that wait to be taken, or with the frame that is arriving. It is guarded by
// budget.mu.
type progress struct {
	since  time.Time // more than its floor depends on its peer without a break; zero: it does not
	frame  bool      // it is the frame that does, and not answers
	stuck  int64     // bytes that do
	left   int64     // bytes that the peer must send or take for those to be let go, or fewer
	moved  int64     // what the peer had sent or taken at the last look
	moving time.Time // when the peer last did
	rate   float64   // bytes a second, of late
}

// look brings progress up to date.
func (a *account) look(now time.Time, late time.Duration) {
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
	case both <= a.budget.floor: // nobody waits for that; all else that it holds is let go without it
		*p = progress{}
		return
	case p.since.IsZero() || inFrame != p.frame:
		*p = progress{since: now, moving: now, frame: inFrame}
	default:
		p.since, p.moving = p.since.Add(late), p.moving.Add(late)
		if moved > p.moved {
			p.moving = now
		}
		fade := math.Exp(-float64(lookEvery) / float64(remembered))
		p.rate = p.rate*fade + float64(moved-p.moved)/lookEvery.Seconds()*(1-fade)
	}
	p.moved, p.stuck, p.left = moved, stuck, left
}

// needs is how long the peer would need at its pace to let go.
func (p *progress) needs() time.Duration {
	if p.rate <= 0 {
		return math.MaxInt64
	}
	return time.Duration(min(float64(p.left)/p.rate*float64(time.Second), math.MaxInt64))
}

// slower is whether the peer needs that much longer than w that w need not wait for it.
func (p *progress) slower(w *waiter) bool {
	return w.urgent() || p.needs()/patient > w.needs
}

// hopeless is whether others cannot wait for this peer.
func (p *progress) hopeless(now time.Time) bool {
	return !p.since.IsZero() && p.needs() > hopeless &&
		(now.Sub(p.moving) >= stalledAfter || now.Sub(p.since) >= sippedAfter)
}

// errHeldMost and errMadeRoom are why connections are closed for the sake of others.
var (
	errHeldMost = errors.New("it held most of the memory that others waited for, and did not let go")
	errMadeRoom = errors.New("it asked nothing for long, and a new connection needed its place")
)

// watch ends connections for the sake of those who wait, and names those who hold most, until ctx
// ends.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var names naming
	var named time.Time
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			late := max(0, time.Since(last)-lookEvery) // the machine is busy: peers may not have had their turn
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

// inTheWay returns the connections that must go now. late is how much longer ago than lookEvery it
// was last asked; that time does not count against peers.
func (b *budget) inTheWay(now time.Time, late time.Duration) (conns []*conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dispatch() // asleep may have changed
	var held []*account
	for a := range b.large {
		if !a.ended {
			a.look(now, late)
			held = append(held, a)
		}
	}
	first := b.pressing(now)
	if first == nil {
		return nil
	}
	slices.SortFunc(held, func(a, c *account) int {
		return cmp.Or(cmp.Compare(c.progress.stuck, a.progress.stuck), a.progress.since.Compare(c.progress.since))
	})
	end := func(a *account) (freed int64) {
		a.ended = true
		conns = append(conns, a.conn)
		return min(a.progress.stuck, b.above(a.held))
	}
	var freed int64
	for _, a := range held {
		if freed < first.n && a != first.account() && a.progress.hopeless(now) && a.progress.slower(first) {
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

// slowest is who would need longest of those who hold much more than w would, or who went beyond
// what fits in its stead.
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

// urgent is whether w waits for memory alone, and would be soon done with it.
func (w *waiter) urgent() bool { return w.kind != forFrame }

// pressing is the first of those who have waited long enough for what others hold, and want one
// thing, or no more than an equal part of all. Who does not let go itself does not press.
func (b *budget) pressing(now time.Time) (first *waiter) {
	equal := b.shared / int64(4+len(b.large))
	for a := range b.waiting {
		for w := range a.heads() {
			entitled := w.others() <= b.floor || a.held+w.n <= equal
			if !entitled || now.Sub(w.since) < pressAfter || a.ended || a.progress.hopeless(now) {
				continue
			}
			if first == nil || w.urgent() && !first.urgent() ||
				w.urgent() == first.urgent() && b.before(w, first, now) {
				first = w
			}
		}
	}
	return first
}
