package server

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	requestOverhead = 1 << 10 // what a request counts for beside its frame, bytes
	maxConnUnsent   = 4 << 20 // unsent answers of one connection above which Room waits, bytes
)

// budget counts the bytes of all requests under way and of their answers, and makes readers wait while it is full. It
// asks whether it is full, not whether a frame fits: so one longer than the whole budget gets through, too.
type budget struct {
	max  int64
	turn *semaphore.Weighted // held by the head of the line of those who want to be admitted

	mu     sync.Mutex
	used   int64         // admitted requests and unsent answers
	unsent int64         // the answers among them
	shrunk chan struct{} // closed when one of them falls; nil while nobody waits for that
}

func newBudget(max int64) *budget {
	return &budget{max: max, turn: semaphore.NewWeighted(1)}
}

// admit waits, first come first served, until the budget is not full, and takes n bytes of it. The error is the
// context's.
func (b *budget) admit(ctx context.Context, n int64) error {
	if err := b.turn.Acquire(ctx, 1); err != nil {
		return err
	}
	defer b.turn.Release(1)
	return b.await(ctx, func() bool {
		if b.used >= b.max {
			return false
		}
		b.used += n
		return true
	})
}

// await calls try, with mu held, now and after each fall until it returns true.
func (b *budget) await(ctx context.Context, try func() bool) error {
	for {
		b.mu.Lock()
		if try() {
			b.mu.Unlock()
			return nil
		}
		if b.shrunk == nil {
			b.shrunk = make(chan struct{})
		}
		shrunk := b.shrunk
		b.mu.Unlock()

		select {
		case <-shrunk:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// account is one connection's part of the budget.
type account struct {
	budget *budget
	unsent int64 // guarded by budget.mu
}

// queue adds an answer of n bytes. It never waits.
func (a *account) queue(n int64) {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.budget.used += n
	a.budget.unsent += n
	a.unsent += n
}

// release gives back what requests held, and their answers (0: there were none).
func (a *account) release(requests, answers int64) {
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= requests + answers
	b.unsent -= answers
	a.unsent -= answers
	if b.shrunk != nil {
		close(b.shrunk)
		b.shrunk = nil
	}
}

// room waits until the unsent answers of the connection and of the process are within their bounds. The error is the
// context's.
func (a *account) room(ctx context.Context) error {
	return a.budget.await(ctx, func() bool {
		return a.unsent <= maxConnUnsent && a.budget.unsent <= a.budget.max/2
	})
}
