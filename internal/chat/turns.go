package chat

import (
	"context"
	"slices"
	"sync"
)

// Asker is the number of a connection that requests come from. Requests that wait for the store
// take turns by it: whoever asks for much at once then waits for itself, and others do not.
type Asker uint64

type askerKey struct{}

// AskedBy returns a context for the requests of a connection. All requests without an asker count
// as those of one connection.
func AskedBy(ctx context.Context, a Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, a)
}

// askerOf is the asker of a request with that context.
func askerOf(ctx context.Context) Asker {
	a, _ := ctx.Value(askerKey{}).(Asker)
	return a
}

// together is how many items go in one round at least, if there are as many. While few connections
// wait, several items of each go in its turn, because answers that leave together cost less.
const together = 64

// rounds is a queue in which connections take turns: the first item of each connection comes before
// the second of any other, unless few connections wait. It has no lock of its own.
type rounds[T any] struct {
	lines map[Asker]*line[T] // of the connections that have items in it
	order []*line[T]         // the same lines; the first has its turn now
	taken int                // items of the first line that were taken in this turn
}

// line is the items of one connection, in the order in which they were put in.
type line[T any] struct {
	asker Asker
	items []T
}

// push puts an item in.
func (r *rounds[T]) push(a Asker, item T) {
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

// pop takes out the next item; false when there is none.
func (r *rounds[T]) pop() (item T, ok bool) {
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

// remove takes out the items that drop is true of, in no particular order.
func (r *rounds[T]) remove(drop func(T) bool) (removed []T) {
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

// turns lets so many go on at once. Those who wait take turns by their connections.
type turns struct {
	mu      sync.Mutex
	free    int             // how many more may go on; guarded by mu
	waiting rounds[*waiter] // guarded by mu; empty while any are free
}

// waiter is somebody who waits for a turn.
type waiter struct {
	turn chan struct{} // closed, with turns.mu held, when it may go on
	gone bool          // it waits no more; guarded by turns.mu
}

func newTurns(n int) *turns { return &turns{free: n} }

// acquire waits until one more may go on. Whoever called it must call release when done, but not
// after an error, which is the context's.
func (t *turns) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	w := &waiter{turn: make(chan struct{})}
	t.waiting.push(askerOf(ctx), w)
	t.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-w.turn:
		return nil // the turn came in this moment
	default:
		w.gone = true
		return ctx.Err()
	}
}

// release ends a turn, and lets the next one who waits go on.
func (t *turns) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		w, ok := t.waiting.pop()
		if !ok {
			t.free++
			return
		}
		if !w.gone {
			close(w.turn)
			return
		}
	}
}
