package turns

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Stage has requests of one kind served together: those that wait while others are served are the
// next batch, see the package comment. It is safe for concurrent use. Make it with NewStage.
//
// Requests take turns by their connections when a batch is taken. A batch begins beside the one at
// work only if it is a full one, or when that one has been at work for slowBatch: so no request
// waits long for those that are slow.
type Stage[Q Request] struct {
	// Never changed after NewStage.
	size  int                                  // how many requests a batch takes at most
	serve func(ctx context.Context, batch []Q) // answers the requests of a batch
	slots *Slots                               // each batch takes one
	ctx   context.Context                      // of waiting for slots; has an asker of its own

	tasks sync.WaitGroup // of the goroutines that serve

	mu      sync.Mutex // guards all that follows
	waiting Rounds[Q]
	queued  int // how many requests wait
	running int // goroutines that serve, or are about to
	slow    int // how many of them are at a slow batch
	working map[*batch[Q]]struct{}
	ticking bool // tick is to be called
}

// Request is what a Stage serves.
type Request interface {
	// Context is the request's context, with its deadline and Asker.
	Context() context.Context
	// Drop answers a request that is not served in time. cause is the error of its context. waited
	// says that its work has not begun and never will; else it is at work, and what comes of that
	// is for nobody.
	Drop(waited bool, cause error)
}

// batch is what one goroutine serves at a time.
type batch[Q Request] struct {
	requests []Q
	began    time.Time
	cancel   context.CancelFunc
	slow     bool // others may be served in place of those that come next; guarded by Stage.mu
}

// slowBatch is how long a batch may be at work before the next one begins beside it. As often it is
// looked whether the deadlines of requests have passed.
const slowBatch = 50 * time.Millisecond

// stages is how many stages were made. Each waits for slots as a connection of its own.
var stages atomic.Uint64

// NewStage makes a stage. Each of its batches takes one of the slots, and at most size requests.
// serve answers them, all of them when it returns. Its context ends when the deadlines of all of
// them have passed.
func NewStage[Q Request](
	slots *Slots, size int, serve func(ctx context.Context, batch []Q),
) *Stage[Q] {
	asker := ^Asker(0) - Asker(stages.Add(1)) // no connection has such a number
	return &Stage[Q]{
		size: size, serve: serve, slots: slots, working: make(map[*batch[Q]]struct{}),
		ctx: AskedBy(context.Background(), asker),
	}
}

// Serve has a request served. It does not wait.
func (s *Stage[Q]) Serve(q Q) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.Push(AskerOf(q.Context()), q)
	s.queued++
	if s.running == s.slow || s.queued%s.size == 0 {
		s.begin()
	}
	if !s.ticking {
		s.ticking = true
		time.AfterFunc(slowBatch, s.tick)
	}
}

// begin has one more goroutine serve, unless there is one for each slot. The caller holds mu.
func (s *Stage[Q]) begin() {
	if s.running < s.slots.all {
		s.running++
		s.tasks.Go(s.work)
	}
}

// work takes one batch after the other, until nothing waits or one was slow.
func (s *Stage[Q]) work() {
	for {
		_ = s.slots.Acquire(s.ctx) // it has no deadline that could pass
		more := s.serveNext()
		s.slots.Release()
		if !more {
			return
		}
	}
}

// serveNext serves one batch, and says whether its goroutine is to go on.
func (s *Stage[Q]) serveNext() (more bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b, late := s.take(cancel)
	for _, q := range late {
		q.Drop(true, q.Context().Err())
	}
	if b == nil {
		return false
	}
	if len(b.requests) > 0 {
		s.serve(ctx, b.requests)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.working, b)
	if !b.slow {
		return true
	}
	s.slow--
	if s.queued > 0 && s.running-1 == s.slow {
		return true // nobody else would serve what waits
	}
	s.running--
	return false
}

// take takes the next batch, and the requests before it whose deadlines have passed. There is no
// batch when nothing waits, or too little to be worth a batch beside others. Then its goroutine is
// not counted any more.
func (s *Stage[Q]) take(cancel context.CancelFunc) (b *batch[Q], late []Q) {
	s.mu.Lock()
	defer s.mu.Unlock()
	beside := s.running-s.slow > 1 // then a goroutine serves full batches alone
	if s.queued == 0 || beside && s.queued < s.size {
		s.running--
		return nil, nil
	}
	b = &batch[Q]{requests: make([]Q, 0, min(s.queued, s.size)), cancel: cancel, began: time.Now()}
	for len(b.requests) < s.size {
		q, ok := s.waiting.Pop()
		if !ok {
			break
		}
		s.queued--
		if q.Context().Err() != nil {
			late = append(late, q)
		} else {
			b.requests = append(b.requests, q)
		}
	}
	s.working[b] = struct{}{}
	return b, late
}

// tick drops the requests whose deadlines have passed, whether they wait or are at work, and has
// others serve beside those that are slow.
func (s *Stage[Q]) tick() {
	waited, worked := s.late()
	for _, q := range waited {
		q.Drop(true, q.Context().Err())
	}
	for _, q := range worked {
		q.Drop(false, q.Context().Err())
	}
}

// late returns the requests whose deadlines have passed: those that waited, which do not any more,
// and those that are at work.
func (s *Stage[Q]) late() (waited, worked []Q) {
	s.mu.Lock()
	defer s.mu.Unlock()
	isLate := func(q Q) bool { return q.Context().Err() != nil }
	waited = s.waiting.Remove(isLate)
	s.queued -= len(waited)
	for b := range s.working {
		before := len(worked)
		for _, q := range b.requests {
			if isLate(q) {
				worked = append(worked, q)
			}
		}
		if len(worked)-before == len(b.requests) {
			b.cancel()
		}
		if !b.slow && time.Since(b.began) >= slowBatch {
			b.slow = true
			s.slow++
		}
	}
	if s.queued > 0 && s.running == s.slow {
		s.begin()
	}
	if s.ticking = s.queued > 0 || s.running > 0; s.ticking {
		time.AfterFunc(slowBatch, s.tick)
	}
	return waited, worked
}

// Wait returns when all requests are answered.
func (s *Stage[Q]) Wait() { s.tasks.Wait() }
