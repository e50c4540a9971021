package chat

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// Bounds of the committer.
const (
	maxBatchRows  = 512
	maxBatchBytes = 1 << 20
	// maxQueued is how many changes may wait in the process; then those who ask for more wait.
	maxQueued = 8192

	commitTimeout = 5 * time.Second
	// overtakeAfter is how long a commit may take until the next batch is begun beside it, and mostCommits how many may be
	// under way then: a row that somebody else keeps locked holds up its talk, and what came with it, but not all others.
	overtakeAfter = 500 * time.Millisecond
	mostCommits   = 8
	// lastMoment is how long before its deadline a message is given up, so that its sender learns of it in time.
	lastMoment  = 100 * time.Millisecond
	settlePause = 100 * time.Millisecond
	// settleTimeout is for one question: between two, those whose deadline has come are told that nothing is known.
	settleTimeout = time.Second
	applyTimeout  = 500 * time.Millisecond
	// sweepEvery is how often commits that nobody applied are looked for, sweepAge how old they must be, and sweepMax how
	// many are applied at a time. While the counters are behind they are looked for every catchUpEvery. Processes that
	// live have deleted the records of what they applied by that age.
	sweepEvery   = time.Minute
	sweepAge     = 3 * sweepEvery / 2
	sweepMax     = 200
	sweepTimeout = 3 * time.Second // of so many
	catchUpEvery = time.Second
)

// retryPauses are the waits before a batch that was certainly not stored is tried again.
var retryPauses = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond}

// committer stores drafts in batches: one batch commits while the next gathers, and is overtaken only when that takes
// long. Batches under way have no talk in common. There is no timer, so a lone message goes at once. See
// docs/architecture.md, "The write path".
type committer struct {
	*lanes
	ledger    Ledger
	seq       Sequencer
	counters  Counters
	log       *slog.Logger
	now       func() time.Time
	committed func(rows, bytes int, took time.Duration, err error) // see Options

	storing  storing       // whether messages are stored
	commits  chan struct{} // holds one for each commit under way; capacity mostCommits
	behind   atomic.Bool   // counters could not be applied since the last sweep began
	away     atomic.Bool   // the log says that they could not, and not yet that they have caught up
	sweeping atomic.Bool   // one sweep at a time
}

// run commits until ctx ends. It returns when nothing is under way any more.
func (c *committer) run(ctx context.Context) error {
	defer c.close()
	c.sweep(ctx, 0)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	catchUp := time.NewTicker(catchUpEvery)
	defer catchUp.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.startSweep(ctx, sweepAge)
		case <-catchUp.C:
			c.storing.failing() // logs when it is over
			if c.behind.Load() {
				c.startSweep(ctx, 0)
			}
		case <-c.wake:
			for ctx.Err() == nil {
				batch := c.gather(maxBatchRows, maxBatchBytes)
				if len(batch) == 0 {
					break
				}
				c.begin(batch)
			}
		}
	}
}

// begin commits a batch, and returns when that is done, or when the next one may overtake it.
func (c *committer) begin(batch []*job) {
	c.commits <- struct{}{}
	done := make(chan struct{})
	c.tasks.Go(func() {
		defer close(done)
		defer func() { <-c.commits }()
		c.commit(batch)
		c.release(batch)
	})
	slow := time.NewTimer(overtakeAfter)
	defer slow.Stop()
	select {
	case <-done:
	case <-slow.C:
	}
}

// release frees the lanes of a batch.
func (c *committer) release(batch []*job) {
	held := make(map[*queue]int64, len(batch))
	for _, j := range batch {
		held[j.lane] += j.room
	}
	for q, room := range held {
		c.free(q, room)
	}
}

// commit stores a batch and answers every job in it, in the order submitted, each as soon as that is known of it and of
// those before it.
func (c *committer) commit(batch []*job) {
	slices.SortFunc(batch, func(a, b *job) int { return cmp.Compare(a.seq, b.seq) })
	w := &committing{batch: batch, outcomes: make([]outcome, len(batch)), told: c.storing.told}
	var todo []int // indices into batch
	for i, j := range batch {
		if j.refused != nil {
			w.outcomes[i] = outcome{known: true, stored: Stored{Err: j.refused}}
		} else {
			todo = append(todo, i)
		}
	}
	c.store(w, todo)
}

// committing is a batch at work. It belongs to one goroutine.
type committing struct {
	batch    []*job
	outcomes []outcome
	answered int           // jobs, from the first
	told     func(outcome) // called before the job is answered
}

// outcome is what a job is told.
type outcome struct {
	known  bool
	stored Stored
	err    error
}

// fail notes what became of a job, unless that is known.
func (w *committing) fail(k int, err error) {
	if o := &w.outcomes[k]; !o.known {
		o.known, o.err = true, err
	}
}

// answer tells the jobs of which all before them are known, too.
func (w *committing) answer() {
	for ; w.answered < len(w.batch) && w.outcomes[w.answered].known; w.answered++ {
		o := w.outcomes[w.answered]
		w.told(o)
		w.batch[w.answered].done(o.stored, o.err)
	}
}

// late reports whether a job's deadline comes too near for another try.
func late(j *job) bool { return j.ctx.Err() != nil || timeLeft(j) < lastMoment }

// store commits the jobs batch[i] for i in todo. While a batch is certainly not stored it is tried again, without those
// whose deadline comes too near. A batch with a row that can never be stored is split, so that it does not fail its
// neighbours.
func (c *committer) store(w *committing, todo []int) {
	var last error // why the try before failed
	for try := 0; len(todo) > 0; try++ {
		todo = slices.DeleteFunc(todo, func(k int) bool {
			if !late(w.batch[k]) {
				return false
			}
			w.fail(k, cmp.Or(last, Errorf(Unavailable, "%w from the queue: %w", ErrDropped, context.DeadlineExceeded)))
			return true
		})
		w.answer()
		stored, err := c.persist(w, todo)
		refused := KindOf(err) == Invalid || errors.Is(err, ErrRejected)
		if refused && len(todo) > 1 {
			c.log.Info("a batch was refused by the storage; splitting it", "rows", len(todo), "err", err)
			half := len(todo) / 2
			c.store(w, slices.Clone(todo[:half]))
			c.store(w, slices.Clone(todo[half:]))
			return
		}
		if err == nil || refused || KindOf(err) != Unavailable || try == len(retryPauses) {
			for i, k := range todo {
				if err != nil {
					w.fail(k, err)
				} else if !w.outcomes[k].known {
					w.outcomes[k] = outcome{known: true, stored: stored[i]}
				}
			}
			break
		}
		last = err
		c.log.Warn("a batch was not stored; trying again", "rows", len(todo), "pause", retryPauses[try], "err", err)
		time.Sleep(retryPauses[try])
	}
	w.answer()
}

// timeLeft is how long a job may still take.
func timeLeft(j *job) time.Duration {
	if deadline, ok := j.ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return commitTimeout
}

// persist is one commit of the jobs batch[i] for i in todo, with an id of its own. It ends early enough for the first of
// them to be answered in time, and when the server gives the first of them up. UnknownOutcome is returned only when
// the outcome could not be found out until the last one's deadline.
func (c *committer) persist(w *committing, todo []int) ([]Stored, error) {
	if len(todo) == 0 {
		return nil, nil
	}
	batch := w.batch
	begun, bytes := time.Now(), 0
	drafts := make([]Draft, len(todo))
	first, last := commitTimeout, time.Duration(0)
	for i, k := range todo {
		drafts[i] = batch[k].draft
		bytes += batch[k].bytes()
		first, last = min(first, timeLeft(batch[k])-lastMoment/2), max(last, timeLeft(batch[k]))
	}
	ctx, cancel := context.WithTimeout(context.Background(), first)
	defer cancel()
	defer context.AfterFunc(batch[todo[0]].ctx, cancel)()

	id := NewCommitID()
	receipt, err := c.ledger.Append(ctx, Batch{ID: id, Now: unix(c.now()), Drafts: drafts}, c.seq)
	if err != nil && KindOf(err) == UnknownOutcome {
		err = c.settle(id, err, begun.Add(last), func() {
			for _, k := range todo {
				if batch[k].ctx.Err() != nil || timeLeft(batch[k]) <= 0 {
					w.fail(k, Errorf(UnknownOutcome, "commit %s: %w", id, context.DeadlineExceeded))
				}
			}
			w.answer()
		})
	}
	c.committed(len(drafts), bytes, time.Since(begun), err)
	if err != nil {
		return nil, err
	}
	_ = c.apply(context.Background(), []Commit{{ID: id, Changes: receipt.Changes}}, applyTimeout, c.ledger.Applied) // it has told, and will be done by a sweep
	return receipt.Stored, nil
}

// settle asks what became of a commit until it is known: nil means stored, Unavailable not stored, and UnknownOutcome
// that the deadline came first. It calls meanwhile between two tries.
func (c *committer) settle(id CommitID, cause error, deadline time.Time, meanwhile func()) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for {
		stored, err := c.settleOnce(ctx, id)
		switch {
		case err == nil && stored:
			c.log.Warn("a commit of unknown outcome turned out to be stored", "commit", id, "cause", cause)
			return nil
		case err == nil:
			return Errorf(Unavailable, "commit %s turned out not to be stored: %w", id, cause)
		}
		meanwhile()
		select {
		case <-ctx.Done():
			return Errorf(UnknownOutcome, "commit %s: %w; asking what became of it: %w", id, cause, err)
		case <-time.After(settlePause):
		}
	}
}

func (c *committer) settleOnce(ctx context.Context, id CommitID) (stored bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return c.ledger.Outcome(ctx, id)
}

// apply brings the counters up to date with commits, and then says so to done. What fails is left for sweep.
func (c *committer) apply(
	ctx context.Context, commits []Commit, timeout time.Duration, done func(context.Context, []CommitID) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.counters.Apply(ctx, commits); err != nil {
		c.behind.Store(true)
		if !c.away.Swap(true) {
			c.log.Warn("the counters' store is away; they will follow", "commits", len(commits), "err", err)
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

// startSweep sweeps beside the committing, unless that is under way already.
func (c *committer) startSweep(ctx context.Context, olderThan time.Duration) {
	if c.sweeping.CompareAndSwap(false, true) {
		c.tasks.Go(func() {
			defer c.sweeping.Store(false)
			c.sweep(ctx, olderThan)
		})
	}
}

// sweep applies all commits that were left behind: by a crash, or while the counters' store was away.
func (c *committer) sweep(ctx context.Context, olderThan time.Duration) {
	applied := 0
	c.behind.Store(false)
	for ctx.Err() == nil {
		left, err := c.unapplied(ctx, olderThan)
		if err != nil {
			if ctx.Err() == nil {
				c.log.Warn("cannot look for commits left behind", "err", err)
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
	case away: // another process has applied them
		c.log.Info("the counters' store has all that was stored")
	}
}

func (c *committer) unapplied(ctx context.Context, olderThan time.Duration) ([]Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	return c.ledger.Unapplied(ctx, olderThan, sweepMax)
}

func unix(t time.Time) uint32 { return uint32(t.Unix()) }
