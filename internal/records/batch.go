package records

import (
	"context"
	"sync"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// A batcher lets requests of one shape share queries: those that come while as many queries run as may share the next
// one. Alone, a request runs its own query at once.
type batcher[K comparable, V any] struct {
	// find returns what there is of keys, which may repeat.
	find func(ctx context.Context, keys []K) (map[K]V, error)
	most int // queries that run at once, before requests wait

	mu      sync.Mutex
	running int            // queries
	waiting []*ask[K, V]   // in the order they came
	rounds  sync.WaitGroup // queries that run for several requests
}

// Of a MySQL server on the same two cores 32 callers get 1.4 to 3 times as much by sharing (a user 3, a group 2.4, last
// messages 2, a login 1.8, a join time 1.4, a page of which only the relation is shared 1.4), 4 callers as much as
// without. With 2 queries at once it is 1.2 to 6 times for 32 callers, and a tenth less for 4. The embedded store gains
// nothing. See BenchmarkReads.
const (
	batchQueries = 4   // of one shape, at once
	batchKeys    = 256 // of one query
	batchSmall   = 8   // a request with more keys runs a query of its own
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

// get returns what there is of keys, and perhaps more, as a query finds it that begins after the call. The result
// must not be changed. Errors are those of find; kind Unavailable when ctx ends first.
func (b *batcher[K, V]) get(ctx context.Context, keys []K) (map[K]V, error) {
	if len(keys) > batchSmall {
		return b.find(ctx, keys)
	}
	b.mu.Lock()
	if b.running < b.most {
		b.running++
		b.mu.Unlock()
		defer b.next()
		return b.find(ctx, keys)
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

// next begins the next query in the place of one that has ended.
func (b *batcher[K, V]) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	asks, keys := b.take()
	if len(asks) == 0 {
		b.running--
		return
	}
	b.rounds.Go(func() {
		// It serves several: it does not end with one of them. Queries of the records are bounded in time.
		found, err := b.find(context.WithoutCancel(asks[0].ctx), keys)
		for _, a := range asks {
			a.found, a.err = found, err
			close(a.done)
		}
		b.next()
	})
}

// take removes the requests for one query, without those that nobody waits for any more. The caller holds mu.
func (b *batcher[K, V]) take() (asks []*ask[K, V], keys []K) {
	n := 0
	for _, a := range b.waiting {
		if len(keys) > 0 && len(keys)+len(a.keys) > batchKeys {
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

// wait returns when no query runs for several requests.
func (b *batcher[K, V]) wait() { b.rounds.Wait() }

// batches are the batchers of one server.
type batches struct {
	users  batcher[uint32, chat.User]
	names  batcher[string, chat.User]
	groups batcher[uint32, foundGroup]
	joins  batcher[member, uint32]
	pairs  batcher[chat.Talk, uint32] // their relations
	last   batcher[chat.Talk, chat.Newest]
	all    batcher[int, everybody] // by the room there is for them
}

// everybody is the list of all people, or why there is none. It is not to be changed.
type everybody struct {
	users []chat.User
	err   error
}

func newBatches(r reader, most int) *batches {
	return &batches{
		users:  batcher[uint32, chat.User]{find: r.findUsers, most: most},
		names:  batcher[string, chat.User]{find: r.findNames, most: most},
		groups: batcher[uint32, foundGroup]{find: r.findGroups, most: most},
		joins:  batcher[member, uint32]{find: r.findJoins, most: most},
		pairs:  batcher[chat.Talk, uint32]{find: r.findPairs, most: most},
		last:   batcher[chat.Talk, chat.Newest]{find: r.findLast, most: most},
		all:    batcher[int, everybody]{find: r.findEverybody, most: 1}, // the list is long
	}
}

// wait returns when no query runs any more for those that have left.
func (b *batches) wait() {
	b.users.wait()
	b.names.wait()
	b.groups.wait()
	b.joins.wait()
	b.pairs.wait()
	b.last.wait()
	b.all.wait()
}
