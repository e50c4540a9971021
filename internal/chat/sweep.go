package chat

import (
	"context"
	"time"
)

const (
	applyTimeout = 500 * time.Millisecond
	// sweepEvery is how often the committer asks for commits whose counters nobody applied,
	// sweepAge how old these must be, and sweepMax how many it applies at a time. While the
	// counters are behind it asks every catchUpEvery, for those of any age. A process that lives
	// has deleted the record of what it applied before it is sweepAge old.
	sweepEvery   = time.Minute
	sweepAge     = 3 * sweepEvery / 2
	sweepMax     = 200
	sweepTimeout = 3 * time.Second // of applying so many
	catchUpEvery = time.Second
)

// apply has the counters follow commits, and then calls done with their ids. What fails is left for
// a sweep.
func (c *committer) apply(
	ctx context.Context, commits []Commit, timeout time.Duration,
	done func(context.Context, []CommitID) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.counters.Apply(ctx, commits); err != nil {
		c.behind.Store(true)
		if !c.away.Swap(true) {
			c.log.Warn("the counters' store is away; they will follow",
				"commits", len(commits), "err", err)
		}
		return err
	}
	ids := make([]CommitID, len(commits))
	for i := range commits {
		ids[i] = commits[i].ID
	}
	if err := done(ctx, ids); err != nil {
		c.log.Warn("applied commits stay recorded for now", "commits", len(commits), "err", err)
		return err
	}
	return nil
}

// startSweep begins a sweep in a goroutine of its own, unless there is one at work.
func (c *committer) startSweep(ctx context.Context, olderThan time.Duration) {
	if c.sweeping.CompareAndSwap(false, true) {
		c.tasks.Go(func() {
			defer c.sweeping.Store(false)
			c.sweep(ctx, olderThan)
		})
	}
}

// sweep applies all commits, older than that, whose counters were left behind: by a crash, or while
// the counters' store was away.
func (c *committer) sweep(ctx context.Context, olderThan time.Duration) {
	applied := 0
	c.behind.Store(false)
	for ctx.Err() == nil {
		left, err := c.unapplied(ctx, olderThan)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("cannot ask for commits left behind", "err", err)
			}
			return
		}
		if len(left) > 0 && c.apply(ctx, left, sweepTimeout, c.ledger.Swept) != nil {
			return
		}
		if applied += len(left); len(left) < sweepMax {
			break
		}
	}
	if err := c.ledger.Applied(ctx, nil); err != nil && ctx.Err() == nil {
		c.log.Warn("applied commits stay recorded for now", "err", err)
	}
	switch away := c.away.Swap(false); {
	case applied > 0:
		c.log.Info("applied the commits left behind", "commits", applied)
	case away: // another process has applied what was behind
		c.log.Info("the counters' store has all that was stored")
	}
}

func (c *committer) unapplied(ctx context.Context, olderThan time.Duration) ([]Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	return c.ledger.Unapplied(ctx, olderThan, sweepMax)
}
