package server

import (
	"iter"
	"math/bits"
	"time"
)

// This file decides in which order those who wait for memory get it. All of it is called with the
// budget's mu held.

// dispatch gives to those who wait what they may have. It is called whenever there may be more.
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

// next is whose turn it is: a claim that already has more than fits, or else, of each kind, the one
// that comes before all others. Nil: nobody may have more now.
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
			if (b.within(w) || b.fits(w)) &&
				(first[w.kind] == nil || b.before(w, first[w.kind], now)) {
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

// long is how long a connection may hold more than its floor before it comes after others. Peers
// that soon release what they get rarely hold it so long.
const long = 500 * time.Millisecond

// before is whether w comes before v. These rules decide, the first one that tells the two apart:
//
//   - Addresses that do not hold most of the shared half come first.
//   - Connections that have not long held more than their floor come first; of the others, the one
//     that has done so for the shorter time.
//   - The one that would then hold less comes first, if it is less by about half.
//   - The one that holds less now comes first.
//   - The one that has waited longer comes first.
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

// largeFor is how long the account has held more than its floor.
func (a *account) largeFor(now time.Time) time.Duration {
	if a.large.IsZero() {
		return 0
	}
	return now.Sub(a.large)
}

// heads are the account's claims that may be next: its frame's, and that of one request.
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

// leave takes w out of the claims that wait.
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
