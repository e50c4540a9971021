package chat

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the committer.
const (
	maxBatchRows  = 512
	maxBatchBytes = 1 << 20
	// maxQueued is how many jobs may be pending in the process; whoever submits more waits.
	maxQueued = 8192

	commitTimeout = 5 * time.Second // how long a commit may take at the most
	// overtakeAfter is how long a commit may take before the next batch is begun beside it, and
	// mostCommits how many batches may be at work then.
	overtakeAfter = 500 * time.Millisecond
	mostCommits   = 8
	// lastMoment is how long before its deadline a message is given up at the latest, so that its
	// sender learns of it in time. Where commits take longer it is given up earlier, up to
	// mostMoment: a COMMIT that the deadline interrupts would leave its sender without an answer.
	lastMoment = 100 * time.Millisecond
	mostMoment = time.Second
	// outcomeTimeout is how long the committer waits for one answer about an unknown outcome,
	// outcomePause how long until it asks again. Between two questions it tells those whose
	// deadline has come that nothing is known.
	outcomeTimeout = time.Second
	outcomePause   = 100 * time.Millisecond
)

// retryPauses are the pauses before a batch that was certainly not stored is tried again.
var retryPauses = []time.Duration{5 * time.Millisecond, 50 * time.Millisecond,
	250 * time.Millisecond}

// committer stores drafts in batches: the package comment says how. But for the lanes, its fields
// up to committed never change.
type committer struct {
	*lanes
	ledger    Ledger
	seq       Sequencer
	counters  Counters
	log       *slog.Logger
	now       func() time.Time
	committed func(rows, bytes int, took time.Duration, err error) // see Options

	// slowest is how long commits took of late, in nanoseconds: the longest counts, and is
	// forgotten by an eighth with each commit after it.
	slowest  atomic.Int64
	storing  storing       // whether messages are stored
	commits  chan struct{} // capacity mostCommits; holds a token for each batch at work
	idle     chan func()   // unbuffered; takes work if a committing goroutine is idle
	behind   atomic.Bool   // counters could not be applied since the last sweep began
	away     atomic.Bool   // so says the log, and not yet that they have caught up
	sweeping atomic.Bool   // a sweep is at work
}

// run commits until ctx ends. It returns when nothing is pending any more.
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
				b := c.gather(maxBatchRows, maxBatchBytes)
				if len(b.jobs) == 0 {
					break
				}
				c.begin(ctx, b)
			}
		}
	}
}

// begin has a batch committed. It returns when the next batch may begin: when this one is stored,
// or takes long.
func (c *committer) begin(ctx context.Context, b *batch) {
	c.commits <- struct{}{}
	next := make(chan struct{})
	work := func() {
		w := &committing{batch: b, results: make([]result, len(b.jobs)),
			next: sync.OnceFunc(func() { close(next) })}
		c.commit(w)
		c.release(b)
		<-c.commits
		w.next()
	}
	select {
	case c.idle <- work:
	default:
		c.tasks.Go(func() { c.work(ctx, work) })
	}
	slow := time.NewTimer(overtakeAfter)
	defer slow.Stop()
	select {
	case <-next:
	case <-slow.C:
	}
}

// work commits one batch after the other until ctx ends. A goroutine that stays has a stack that is
// large enough; to grow one for each batch takes longer than much of what a batch needs.
func (c *committer) work(ctx context.Context, next func()) {
	for {
		next()
		select {
		case next = <-c.idle:
		case <-ctx.Done():
			return
		}
	}
}

// commit stores a batch and answers every job in it, in the order submitted: each as soon as its
// result, and those of all jobs before it, are known.
func (c *committer) commit(w *committing) {
	var todo []int // indices into the batch's jobs
	for i, j := range w.jobs {
		if j.refused != nil {
			w.results[i] = result{known: true, stored: Stored{Err: j.refused}}
		} else {
			todo = append(todo, i)
		}
	}
	c.store(w, todo)
}

// committing is a batch at work. It belongs to the goroutine that commits it.
type committing struct {
	*batch
	results []result
	told    int    // how many jobs are answered, from the first
	next    func() // lets the next batch begin
}

// result is what a job is told.
type result struct {
	known  bool
	stored Stored
	err    error
}

// fail makes an error the result of a job, unless it has one.
func (w *committing) fail(k int, err error) {
	if r := &w.results[k]; !r.known {
		r.known, r.err = true, err
	}
}

// answer has the counters follow commits of the batch, and then tells their results to its jobs, up
// to the first that has none. Once all have one, other batches may store more in its lanes: these
// are answered after it.
func (c *committer) answer(w *committing, commits []Commit) {
	if len(commits) > 0 {
		if !slices.ContainsFunc(w.results, func(r result) bool { return !r.known }) {
			c.open(w.batch)
			w.next()
		}
		// An error is logged there, and a sweep applies the commit later.
		_ = c.apply(context.Background(), commits, applyTimeout, c.ledger.Applied)
	}
	for ; w.told < len(w.jobs) && w.results[w.told].known; w.told++ {
		for _, b := range w.before {
			<-b.answered
		}
		w.before = nil
		r := w.results[w.told]
		c.storing.told(r)
		w.jobs[w.told].done(r.stored, r.err)
	}
}

// late reports whether a job's deadline is too near for another try.
func (c *committer) late(j *job) bool {
	needed := min(max(time.Duration(c.slowest.Load()), lastMoment), mostMoment)
	return j.ctx.Err() != nil || timeLeft(j) < needed
}

// took notes how long a commit took.
func (c *committer) took(d time.Duration) {
	c.slowest.Store(max(int64(d), c.slowest.Load()/8*7)) // of two at once either may count
}

// forget is for jobs that were given up though most of their time is left: it is short for what a
// commit took once, and not because they waited. Were that commit not forgotten then, as no quick
// one follows it, all after them would be given up, too.
func (c *committer) forget(givenUp []*job) {
	if slices.ContainsFunc(givenUp, func(j *job) bool { return timeLeft(j) > j.had/2 }) {
		c.took(0)
	}
}

// store commits the batch's jobs[k] for k in todo, and answers them. As long as they are certainly
// not stored it tries again, a few times, without those whose deadline is too near. If one of them
// has a row that can never be stored it splits them into halves, so that the row does not fail its
// neighbours.
func (c *committer) store(w *committing, todo []int) {
	var last error       // why the try before failed
	var commits []Commit // what was stored
	for try := 0; len(todo) > 0; try++ {
		var givenUp []*job
		todo = slices.DeleteFunc(todo, func(k int) bool {
			if !c.late(w.jobs[k]) {
				return false
			}
			w.fail(k, cmp.Or(last, errLate))
			givenUp = append(givenUp, w.jobs[k])
			return true
		})
		c.answer(w, nil)
		c.forget(givenUp)
		if len(todo) == 0 {
			break
		}
		id := NewCommitID()
		receipt, err := c.persist(w, id, todo)
		refused := KindOf(err) == Invalid || errors.Is(err, ErrRejected)
		if refused && len(todo) > 1 {
			c.log.Info("a batch was refused by the storage; splitting it",
				"rows", len(todo), "err", err)
			half := len(todo) / 2
			c.store(w, slices.Clone(todo[:half]))
			c.store(w, slices.Clone(todo[half:]))
			return
		}
		if err == nil || refused || KindOf(err) != Unavailable || try == len(retryPauses) {
			for i, k := range todo {
				if err != nil {
					w.fail(k, err)
				} else if !w.results[k].known {
					w.results[k] = result{known: true, stored: receipt.Stored[i]}
				}
			}
			if err == nil {
				commits = []Commit{{ID: id, Changes: receipt.Changes}}
			}
			break
		}
		last = err
		c.log.Warn("a batch was not stored; trying again",
			"rows", len(todo), "pause", retryPauses[try], "err", err)
		time.Sleep(retryPauses[try])
	}
	c.answer(w, commits)
}

// errLate is the error of a draft whose deadline came before anybody tried to store it.
var errLate = Errorf(Unavailable, "%w from the queue: %w", ErrDropped, context.DeadlineExceeded)

// timeLeft is how long a job may still take.
func timeLeft(j *job) time.Duration {
	if deadline, ok := j.ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return commitTimeout
}

// persist is one commit of the batch's jobs[k] for k in todo, with an id of its own. It ends early
// enough for the first deadline among them to be kept, and when the server gives up the first of
// them. It returns UnknownOutcome only if the outcome could not be found out until the last
// deadline among them.
func (c *committer) persist(w *committing, id CommitID, todo []int) (Receipt, error) {
	begun, bytes := time.Now(), 0
	drafts := make([]Draft, len(todo))
	first, last := commitTimeout, time.Duration(0)
	for i, k := range todo {
		j := w.jobs[k]
		drafts[i] = j.draft
		bytes += j.bytes()
		first, last = min(first, timeLeft(j)-lastMoment/2), max(last, timeLeft(j))
	}
	ctx, cancel := context.WithTimeout(context.Background(), first)
	defer cancel()
	defer context.AfterFunc(w.jobs[todo[0]].ctx, cancel)()

	receipt, err := c.ledger.Append(ctx, Batch{ID: id, Now: unix(c.now()), Drafts: drafts}, c.seq)
	if err == nil {
		c.took(time.Since(begun))
	}
	if err != nil && KindOf(err) == UnknownOutcome {
		err = c.resolve(id, err, begun.Add(last), func() {
			for _, k := range todo {
				if j := w.jobs[k]; j.ctx.Err() != nil || timeLeft(j) <= 0 {
					w.fail(k, Errorf(UnknownOutcome, "commit %s: %w", id, context.DeadlineExceeded))
				}
			}
			c.answer(w, nil)
		})
	}
	c.committed(len(drafts), bytes, time.Since(begun), err)
	return receipt, err
}

// resolve asks what became of a commit until that is known. It returns nil if the commit is stored,
// an error of kind Unavailable if it is not, and of kind UnknownOutcome if the deadline came first.
// cause is why the outcome is unknown. meanwhile is called between two questions.
func (c *committer) resolve(
	id CommitID, cause error, deadline time.Time, meanwhile func(),
) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	for {
		stored, err := c.outcome(ctx, id)
		switch {
		case err == nil && stored:
			c.log.Warn("a commit of unknown outcome turned out to be stored",
				"commit", id, "cause", cause)
			return nil
		case err == nil:
			return Errorf(Unavailable, "commit %s turned out not to be stored: %w", id, cause)
		}
		meanwhile()
		select {
		case <-ctx.Done():
			return Errorf(UnknownOutcome, "commit %s: %w; asking what became of it: %w",
				id, cause, err)
		case <-time.After(outcomePause):
		}
	}
}

// outcome asks once what became of a commit.
func (c *committer) outcome(ctx context.Context, id CommitID) (stored bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, outcomeTimeout)
	defer cancel()
	return c.ledger.Outcome(ctx, id)
}

func unix(t time.Time) uint32 { return uint32(t.Unix()) }
