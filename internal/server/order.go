package server

import (
	"iter"
	"math/bits"
	"time"
)

// This file decides in which order those who wait for memory get it. All of it is called with the
// budget's mu held. Thousands may wait, and each request asks who is next, so nothing here searches
// all of them: ranked keeps them in order.

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
	b.age(time.Now())
	for k := range kinds {
		if w := b.first(k); w != nil && b.may(w) {
			return w
		}
	}
	return nil
}

// first is the claim of that kind that comes before all others, of those that wait for other
// connections to release memory. Nil: there is none.
func (b *budget) first(k kind) (first *waiter) {
	// These wait for their own connections. Each of those holds more than a share of the budget, so
	// they are few, however many wait.
	var own []*waiter
	for first == nil {
		l := b.lines[k].first()
		if l == nil {
			break
		}
		if w := l.claims.first(); b.within(w) {
			first = w
		} else {
			own = append(own, w)
			b.unrank(w)
		}
	}
	for _, w := range own {
		b.rank(w)
	}
	return first
}

// line is the claims of one kind from one address that wait. Those of an address are kept together,
// since all their turns change at once when it begins or ends to hold most of the shared half.
type line struct {
	claims ranked[*waiter]
	at     int // what place returns
}

// before implements ranks. Neither line is empty.
func (l *line) before(m *line) bool { return l.claims.first().before(m.claims.first()) }

// place implements ranks.
func (l *line) place() *int { return &l.at }

// place implements ranks.
func (w *waiter) place() *int { return &w.at }

// rank puts w among the claims that wait, or moves it to where it now belongs.
func (b *budget) rank(w *waiter) {
	addr := w.account().addr
	addr.lines[w.kind].claims.put(w)
	b.rankLine(addr, w.kind)
}

// unrank takes w out of the claims that wait.
func (b *budget) unrank(w *waiter) {
	addr := w.account().addr
	addr.lines[w.kind].claims.drop(w)
	b.rankLine(addr, w.kind)
}

// rankLine moves a line of an address to where it now belongs among the lines of its kind.
func (b *budget) rankLine(addr *address, k kind) {
	if l := &addr.lines[k]; l.claims.first() != nil {
		b.lines[k].put(l)
	} else {
		b.lines[k].drop(l)
	}
}

// rankAll moves the claims of an account that wait to where they now belong.
func (b *budget) rankAll(a *account) {
	for w := range a.heads() {
		b.rank(w)
	}
}

// age notes which connections have by now long held more than their floor.
func (b *budget) age(now time.Time) {
	for e := b.fresh.Front(); e != nil; e = b.fresh.Front() {
		a := e.Value.(*account)
		if now.Sub(a.large) <= long {
			return
		}
		b.fresh.Remove(e)
		a.fresh, a.long = nil, true
		b.rankAll(a)
	}
}

// long is how long a connection may hold more than its floor before it comes after others. Peers
// that soon release what they get rarely hold it so long.
const long = 500 * time.Millisecond

// before implements ranks: it is whether w comes before v. These rules decide, the first one that
// tells the two apart:
//
//   - Addresses that do not hold most of the shared half come first.
//   - Connections that have not long held more than their floor come first; of the others, the one
//     that has done so for the shorter time.
//   - The one that would then hold less comes first, if it is less by about half.
//   - The one that holds less now comes first.
//   - The one that has waited longer comes first.
func (w *waiter) before(v *waiter) bool {
	wa, va := w.account(), v.account()
	if wMost, vMost := wa.budget.hasMost(wa.addr), va.budget.hasMost(va.addr); wMost != vMost {
		return vMost
	}
	switch {
	case wa.long != va.long:
		return va.long
	case wa.long && !wa.large.Equal(va.large):
		return wa.large.After(va.large)
	}
	if w, v := bits.Len64(uint64(wa.held+w.n)), bits.Len64(uint64(va.held+v.n)); w != v {
		return w < v
	}
	if wa.held != va.held {
		return wa.held < va.held
	}
	return w.since.Before(v.since)
}

// hasMost is whether an address holds most of the shared half.
func (b *budget) hasMost(addr *address) bool { return addr.over > b.shared/2 }

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
	a.budget.unrank(w)
	if a.growing == nil && a.reserves == nil {
		delete(a.budget.waiting, a)
	}
}
