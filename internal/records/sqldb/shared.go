package sqldb

import (
	"context"
	"sync"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Shared lets requests of one shape share queries: those that come while Most queries run wait, and
// share the next one. Alone, a request runs its own query at once. It is safe for concurrent use.
type Shared[K comparable, V any] struct {
	// Find returns what there is of keys, which may repeat.
	Find func(ctx context.Context, keys []K) (map[K]V, error)
	Most int // queries that run at once, before requests wait

	mu      sync.Mutex     // guards running and waiting
	running int            // how many queries run
	waiting []*ask[K, V]   // requests, in the order they came
	rounds  sync.WaitGroup // the queries that run for several requests
}

const (
	sharedKeys = 256 // how many keys one shared query has at most
	FewKeys    = 8   // a request with more keys runs a query of its own
)

// ask is one request that waits.
type ask[K comparable, V any] struct {
	ctx  context.Context
	keys []K
	done chan struct{} // closed when found and err are set
	// found has what there is of the keys of all requests of the query; it is not to be changed.
	found map[K]V
	err   error
}

// Get returns what there is of keys, and perhaps more, as a query finds it that begins after the
// call. Several callers may share the result, and none may change it. Errors are those of Find; it
// is of kind Unavailable when ctx ends first.
func (b *Shared[K, V]) Get(ctx context.Context, keys []K) (map[K]V, error) {
	if len(keys) > FewKeys {
		return b.Find(ctx, keys)
	}
	b.mu.Lock()
	if b.running < b.Most {
		b.running++
		b.mu.Unlock()
		defer b.next()
		return b.Find(ctx, keys)
	}
	a := &ask[K, V]{ctx: ctx, keys: keys, done: make(chan struct{})}
	b.waiting = append(b.waiting, a)
	b.mu.Unlock()
	select {
	case <-a.done:
		return a.found, a.err
	case <-ctx.Done():
		return nil, chat.Errorf(chat.Unavailable, "waiting for a query: %w", ctx.Err())
	}
}

// next begins the next query, in the slot of one that has ended.
func (b *Shared[K, V]) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	asks, keys := b.take()
	if len(asks) == 0 {
		b.running--
		return
	}
	b.rounds.Go(func() {
		// It serves several: it does not end with one of them. Queries of the records are bounded
		// in time.
		found, err := b.Find(context.WithoutCancel(asks[0].ctx), keys)
		for _, a := range asks {
			a.found, a.err = found, err
			close(a.done)
		}
		b.next()
	})
}

// take removes the requests for one query, without those that nobody waits for any more. The caller
// holds mu.
func (b *Shared[K, V]) take() (asks []*ask[K, V], keys []K) {
	n := 0
	for _, a := range b.waiting {
		if len(keys) > 0 && len(keys)+len(a.keys) > sharedKeys {
			break
		}
		n++
		if a.ctx.Err() == nil {
			asks, keys = append(asks, a), append(keys, a.keys...)
		}
	}
	if b.waiting = b.waiting[n:]; len(b.waiting) == 0 {
		b.waiting = nil
	}
	return asks, keys
}

// Wait returns when no query runs for several requests.
func (b *Shared[K, V]) Wait() { b.rounds.Wait() }
