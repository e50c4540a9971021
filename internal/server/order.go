package server

import (
	"iter"
	"math/bits"
	"time"
)

// What follows is in which order those who wait for memory are given it. All of it is called with
// the budget's mu held.

// dispatch gives to those who wait what can be given. It is called after each change.
func (b *budget) dispatch() {
	for len(b.waiting) > 0 {
		w := b.next()
		if w == nil {
			return
		}
		w.account().leave(w)
		b.take(w)
		close(w.ready)
		b.granted = time.Now()
		w.account().granted = b.granted
	}
}

// next is who may have more now: one that may go beyond, or else a frame, or a request, that comes
// before all others. Nil when there is none, or all that wait, wait for their own connections.
func (b *budget) next() *waiter {
	for _, c := range b.beyond {
		if c != nil && c.wants != nil && b.may(c.wants) {
			return c.wants
		}
	}
	now := time.Now()
	var first [kinds]*waiter
	for a := range b.waiting {
		for w := range a.heads() {
			if (b.within(w) || b.fits(w)) && (first[w.kind] == nil || b.before(w, first[w.kind], now)) {
				first[w.kind] = w
			}
		}
	}
	for _, w := range first {
		if w != nil && b.may(w) {
			return w
		}
	}
	return nil
}

// long is how long a connection may hold more than its floor and come before others nevertheless.
// Peers that let go of what they get rarely do.
const long = 500 * time.Millisecond

// before is whether w comes before v: first those of addresses that do not hold most; then those
// who have not held more than their floor for long, and of the others those who have done so for
// the shorter time; then those who would have least, give or take a factor of two; then those who
// have least; then those who came first.
func (b *budget) before(w, v *waiter, now time.Time) bool {
	wa, va := w.account(), v.account()
	if wMost, vMost := wa.addr.over > b.shared/2, va.addr.over > b.shared/2; wMost != vMost {
		return vMost
	}
	if wFor, vFor := wa.largeFor(now), va.largeFor(now); max(wFor, vFor) > long && wFor != vFor {
		return wFor < vFor
	}
	if w, v := bits.Len64(uint64(wa.held+w.n)), bits.Len64(uint64(va.held+v.n)); w != v {
		return w < v
	}
	if wa.held != va.held {
		return wa.held < va.held
	}
	return w.since.Before(v.since)
}

// largeFor is how long an account has held more than its floor.
func (a *account) largeFor(now time.Time) time.Duration {
	if a.large.IsZero() {
		return 0
	}
	return now.Sub(a.large)
}

// heads are those of an account's that may be next.
func (a *account) heads() iter.Seq[*waiter] {
	return func(yield func(*waiter) bool) {
		if a.growing != nil && !yield(a.growing) {
			return
		}
		if a.reserves != nil {
			yield(a.reserves)
		}
	}
}

// leave takes w out of those who wait.
func (a *account) leave(w *waiter) {
	if a.growing == w {
		a.growing = nil
	} else {
		a.reserves = nil
	}
	w.claim.wants = nil
	if a.growing == nil && a.reserves == nil {
		delete(a.budget.waiting, a)
	}
}
