// Package turns shares among connections what is scarce: the store, which serves few at once. It
// knows nothing of what is asked for, nor of who serves it.
//
// # Turns
//
// Where requests wait, the connections that they come from take turns: the first request of each
// connection comes before the second of any other (while few connections wait, several of each go
// in its turn). Whoever wants one thing waits for few things of each other connection, however many
// those want. AskedBy says in the context of a request from which connection it comes.
//
//   - Rounds is a queue in that order, for whoever takes things out by itself.
//   - Slots lets so many things go on at once, and has others wait in that order.
//   - Stage has the requests of one kind served together.
//
// # A stage
//
//	connections         waiting, in turns            at work
//
//	 ──▶ Serve ──▶   [q1 q4 q7]  ┐
//	 ──▶ Serve ──▶   [q2 q5]     ├─ take ─▶ a batch ─▶ serve: one question to the store
//	 ──▶ Serve ──▶   [q3 q6]     ┘  a slot
//
// A lone request is served at once. Those that come while it is at work are the next batch; no
// timer gathers them. So the more are asked, the fewer questions each costs the store. Beside a
// batch at work another one begins only if it is full, or if the first one is slow: so no request
// waits long for slow ones. Each batch takes a slot, which all stages of a store share, so that no
// kind of request keeps the others from being served.
//
// A request whose deadline passes is dropped, be it waiting or at work.
package turns

import (
	"context"
	"slices"
	"sync"
)

// Asker is the number of a connection that requests come from. Requests that wait take turns by it:
// whoever asks for much at once then waits for itself, and others do not.
type Asker uint64

type askerKey struct{}

// AskedBy returns a context for the requests of a connection. All requests without an asker count
// as those of one connection.
func AskedBy(ctx context.Context, a Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, a)
}

// AskerOf is the asker of a request with that context; 0 where AskedBy named none.
func AskerOf(ctx context.Context) Asker {
	a, _ := ctx.Value(askerKey{}).(Asker)
	return a
}

// together is how many items go in one round at least, if there are as many. While few connections
// wait, several items of each go in its turn, because answers that leave together cost less.
const together = 64

// Rounds is a queue in which connections take turns: the first item of each connection comes before
// the second of any other, unless few connections wait. The zero Rounds is empty. It has no
// lock of its own: only one goroutine may use it at a time.
type Rounds[T any] struct {
	lines map[Asker]*line[T] // of the connections that have items in it
	order []*line[T]         // the same lines; the first has its turn now
	taken int                // items of the first line that were taken in this turn
}

// line is the items of one connection, in the order in which they were put in.
type line[T any] struct {
	asker Asker
	items []T
}

// Push puts in an item of a connection.
func (r *Rounds[T]) Push(a Asker, item T) {
	l := r.lines[a]
	if l == nil {
		if r.lines == nil {
			r.lines = make(map[Asker]*line[T])
		}
		l = &line[T]{asker: a}
		r.lines[a] = l
		r.order = append(r.order, l)
	}
	l.items = append(l.items, item)
}

// Pop takes out the next item; false when there is none.
func (r *Rounds[T]) Pop() (item T, ok bool) {
	if len(r.order) == 0 {
		return item, false
	}
	l := r.order[0]
	item, l.items = l.items[0], l.items[1:]
	r.taken++
	if len(l.items) > 0 && r.taken < together/len(r.order) {
		return item, true
	}
	r.order, r.taken = r.order[1:], 0
	if len(l.items) > 0 {
		r.order = append(r.order, l)
	} else {
		delete(r.lines, l.asker)
	}
	return item, true
}

// Remove takes out the items that drop is true of, in no particular order.
func (r *Rounds[T]) Remove(drop func(T) bool) (removed []T) {
	for _, l := range r.order {
		l.items = slices.DeleteFunc(l.items, func(item T) bool {
			if !drop(item) {
				return false
			}
			removed = append(removed, item)
			return true
		})
	}
	r.order = slices.DeleteFunc(r.order, func(l *line[T]) bool {
		if len(l.items) == 0 {
			delete(r.lines, l.asker)
		}
		return len(l.items) == 0
	})
	if len(removed) > 0 {
		r.taken = 0
	}
	return removed
}

// Slots lets so many things go on at once. Those who wait for a slot take turns by their
// connections. It is safe for concurrent use. Make it with NewSlots.
type Slots struct {
	all int // how many there are; never changed

	mu      sync.Mutex
	free    int             // how many nobody has; guarded by mu
	waiting Rounds[*waiter] // guarded by mu; empty while any are free
}

// waiter is somebody who waits for a slot.
type waiter struct {
	turn chan struct{} // closed, with Slots.mu held, when it has a slot
	gone bool          // it waits no more; guarded by Slots.mu
}

// NewSlots makes n slots, which are all free.
func NewSlots(n int) *Slots { return &Slots{all: n, free: n} }

// Acquire takes a slot, and waits until there is one. Whoever called it must call Release when
// done, but not after an error, which is the context's.
func (s *Slots) Acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return nil
	}
	w := &waiter{turn: make(chan struct{})}
	s.waiting.Push(AskerOf(ctx), w)
	s.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-w.turn:
		return nil // the turn came in this moment
	default:
		w.gone = true
		return ctx.Err()
	}
}

// Release gives a slot back, or to the next one who waits.
func (s *Slots) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		w, ok := s.waiting.Pop()
		if !ok {
			s.free++
			return
		}
		if !w.gone {
			close(w.turn)
			return
		}
	}
}
