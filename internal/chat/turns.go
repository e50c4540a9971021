package chat

import (
	"context"
	"sync"
)

// Asker is a connection that requests come from. Those who wait for the store take turns by it, so
// that whoever asks for much at once waits for itself, and not others for it.
type Asker uint64

type askerKey struct{}

// AskedBy returns a context for what a connection asks. All that has no asker counts as one
// connection's.
func AskedBy(ctx context.Context, a Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, a)
}

// askerOf is whose request that is the context of.
func askerOf(ctx context.Context) Asker {
	a, _ := ctx.Value(askerKey{}).(Asker)
	return a
}

// together is how much goes in one round at least, if there is as much: while few connections wait,
// each has several things go in its turn, since answers that leave together cost less.
const together = 64

// rounds is a queue in which connections take turns: what one put in first comes before what any
// other put in second, unless there are few of them.
type rounds[T any] struct {
	lines map[Asker]*line[T] // of those who have something in it
	order []*line[T]         // the same, by whose turn comes first
	taken int                // of the first of them, in this turn
}

// line is what one connection has in the queue, the first that it put in first.
type line[T any] struct {
	asker Asker
	items []T
}

// push puts something in.
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

// pop takes out what is next; false when there is nothing.
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

// turns lets so many go on at once. Those who wait for it take turns by their connections.
type turns struct {
	mu      sync.Mutex
	free    int             // guarded by mu
	waiting rounds[*waiter] // guarded by mu; empty while any are free
}

// waiter is who waits for its turn.
type waiter struct {
	turn chan struct{} // closed, with mu held, when it may go on
	gone bool          // it waits no more; guarded by mu
}

func newTurns(n int) *turns { return &turns{free: n} }

// acquire waits until one more may go on, which is to call release. The error is the context's.
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
		return nil // it came meanwhile
	default:
		w.gone = true
		return ctx.Err()
	}
}

// release has another one go on.
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
