package server

import "container/heap"

// ranked is a heap: the one that comes before all others is found at once, and to put one in, to
// move it or to take it out takes time that grows with the logarithm of how many there are.
type ranked[T ranks[T]] struct{ heaped heaped[T] }

// ranks is what can be ranked.
type ranks[T any] interface {
	// before is whether it comes before the other one. When what that depends on has changed, put
	// is called before anything else is done with the heap.
	before(other T) bool
	// place is where ranked keeps the index at which it stands, and 1 more; 0: it is in no heap. It
	// is in one heap at the most.
	place() *int
}

// first is the one that comes before all others; the zero value: there is none.
func (r *ranked[T]) first() (first T) {
	if len(r.heaped) > 0 {
		first = r.heaped[0]
	}
	return first
}

// put puts t in, or moves it to where it now belongs.
func (r *ranked[T]) put(t T) {
	if at := *t.place(); at > 0 {
		heap.Fix(&r.heaped, at-1)
	} else {
		heap.Push(&r.heaped, t)
	}
}

// drop takes t out, if it is in.
func (r *ranked[T]) drop(t T) {
	if at := *t.place(); at > 0 {
		heap.Remove(&r.heaped, at-1)
	}
}

// heaped is what container/heap wants.
type heaped[T ranks[T]] []T

// Len implements heap.Interface.
func (h heaped[T]) Len() int { return len(h) }

// Less implements heap.Interface.
func (h heaped[T]) Less(i, j int) bool { return h[i].before(h[j]) }

// Swap implements heap.Interface.
func (h heaped[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i+1, j+1
}

// Push implements heap.Interface.
func (h *heaped[T]) Push(t any) {
	*h = append(*h, t.(T))
	*t.(T).place() = len(*h)
}

// Pop implements heap.Interface.
func (h *heaped[T]) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	*t.place() = 0
	return t
}
