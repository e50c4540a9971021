package chat

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/turns"
)

// Lane names something whose changes take effect one after the other, in the order they were asked
// for: a talk, a user. Changes in different lanes do not wait for each other.
type Lane struct {
	scope scope
	a, b  uint64
}

type scope uint8

const (
	talkScope scope = iota
	userScope
	filesScope
)

// TalkLane orders all that changes a talk: messages, read acks, its members, its sessions.
func TalkLane(t Talk) Lane {
	return Lane{scope: talkScope, a: uint64(t.Kind), b: uint64(t.A)<<32 | uint64(t.B)}
}

// UserLane orders changes to one user.
func UserLane(id uint32) Lane { return Lane{scope: userScope, a: uint64(id)} }

// FilesLane orders the changes of the offline files that wait for one user.
func FilesLane(user uint32) Lane { return Lane{scope: filesScope, a: uint64(user)} }

// job is one piece of work in a lane. It is either a draft, which the committer stores together
// with others, or a function, which has the lane for itself. Who submits it sets the fields before
// submit; after that they belong to lanes (guarded by its mu) until the job is taken from its
// queue, and then to whoever took it.
type job struct {
	seq   uint64 // the order of submission
	units int64  // what it takes of the lanes' limit: 1, or 0 if there was none free in time
	ctx   context.Context
	had   time.Duration // how long it might take when it was submitted
	lane  *queue

	run func() // the function; nil for a draft. Either run or done is called, once.

	draft     Draft
	refused   error  // the draft is refused already: it only waits for its turn to be answered
	uploading bool   // the draft's sound is still being stored
	upload    func() // stores that sound, then calls uploaded
	// done tells what became of a draft. An error means that its batch, or the queue, failed.
	done func(Stored, error)
}

func (j *job) bytes() int { return len(j.draft.Content) + 64 }

// queue is what waits in one lane. All but key is guarded by lanes.mu.
type queue struct {
	key  Lane
	jobs []*job
	// busy: jobs that were taken from the queue are neither done nor stored. ready: the queue is in
	// lanes.ready. While it is either, nothing else may be taken from it.
	busy, ready bool
	// unanswered is how many batches with drafts of the queue are stored, but not answered. While
	// there are any, drafts may be taken from it, but no function. last is the last of them.
	unanswered int
	last       *batch
}

// lanes holds the queues of all lanes in use, and decides what may go next.
type lanes struct {
	limit *semaphore.Weighted // one unit for each pending job; while all are taken, submit waits

	// mu guards what follows, the queues, and the jobs in them.
	mu     sync.Mutex
	seq    uint64 // of the last job that was submitted
	queues map[Lane]*queue
	ready  turns.Rounds[*queue] // those whose first job is a draft that may be stored, by its asker
	closed bool

	wake  chan struct{}  // capacity 1; holds a token when something has become ready
	tasks sync.WaitGroup // of the goroutines of jobs, uploads and commits
}

func newLanes(max int64) *lanes {
	return &lanes{
		limit:  semaphore.NewWeighted(max),
		queues: make(map[Lane]*queue),
		wake:   make(chan struct{}, 1),
	}
}

// submit queues j at the end of its lane. It waits while too many jobs are pending, but not longer
// than j's context: a draft is then queued nevertheless, to be refused in its turn, so that answers
// stay in order; for a function submit returns the error.
func (l *lanes) submit(key Lane, j *job) error {
	j.units, j.had = 1, timeLeft(j)
	if err := l.limit.Acquire(j.ctx, 1); err != nil {
		err = Errorf(Unavailable, "%w, the queue is full: %w", ErrDropped, err)
		if j.run != nil {
			return err
		}
		j.units, j.refused, j.uploading = 0, err, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.limit.Release(j.units)
		return Errorf(Unavailable, "%w: shutting down", ErrDropped)
	}
	q := l.queues[key]
	if q == nil {
		q = &queue{key: key}
		l.queues[key] = q
	}
	l.seq++
	j.seq, j.lane = l.seq, q
	q.jobs = append(q.jobs, j)
	if j.uploading {
		l.tasks.Go(j.upload)
	}
	l.advance(q)
	return nil
}

// uploaded says that the sound of j's draft is stored, or that the draft is refused because it is
// not. It reports whether j still waits for that.
func (l *lanes) uploaded(j *job, sound *Sound, refused error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !j.uploading {
		return false
	}
	j.uploading, j.draft.Sound, j.refused = false, sound, refused
	l.advance(j.lane)
	return true
}

// advance begins the first job of a lane, or puts the lane into ready, if it can. Called with mu
// held, whenever the lane may have changed.
func (l *lanes) advance(q *queue) {
	if q.busy || q.ready {
		return
	}
	if len(q.jobs) == 0 {
		if q.unanswered == 0 {
			delete(l.queues, q.key)
		}
		return
	}
	switch head := q.jobs[0]; {
	case head.run != nil && q.unanswered > 0:
	case head.run != nil:
		q.jobs = q.jobs[1:]
		q.busy = true
		l.tasks.Go(func() {
			head.run()
			l.mu.Lock()
			q.busy = false
			l.advance(q)
			l.mu.Unlock()
			l.limit.Release(head.units)
		})
	case !head.uploading:
		q.ready = true
		l.ready.Push(turns.AskerOf(head.ctx), q)
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// batch is drafts that were taken from their lanes to be stored together. It belongs to who took
// it.
type batch struct {
	jobs     []*job
	lanes    []*queue      // those of the jobs
	opened   bool          // the lanes have been opened for more drafts
	before   []*batch      // which have drafts of the same lanes, and are to be answered before
	answered chan struct{} // closed when all jobs are answered
}

// gather takes the drafts that may be stored now, at most maxRows of them and about maxBytes, lane
// by lane. Nothing else is taken from their lanes until open or release. The jobs are in the order
// of submission.
func (l *lanes) gather(maxRows, maxBytes int) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &batch{answered: make(chan struct{})}
	size := 0
	for len(b.jobs) < maxRows && size < maxBytes {
		q, ok := l.ready.Pop()
		if !ok {
			break
		}
		q.ready, q.busy = false, true
		b.lanes = append(b.lanes, q)
		if q.unanswered > 0 && !slices.Contains(b.before, q.last) {
			b.before = append(b.before, q.last)
		}
		for len(q.jobs) > 0 && len(b.jobs) < maxRows && size < maxBytes {
			j := q.jobs[0]
			if j.run != nil || j.uploading {
				break
			}
			size += j.bytes()
			b.jobs = append(b.jobs, j)
			q.jobs = q.jobs[1:]
		}
	}
	slices.SortFunc(b.jobs, func(a, b *job) int { return cmp.Compare(a.seq, b.seq) })
	return b
}

// open lets more drafts be taken from the lanes of a batch that is stored. Functions wait until
// release.
func (l *lanes) open(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.opened = true
	for _, q := range b.lanes {
		q.busy = false
		q.unanswered++
		q.last = b
		l.advance(q)
	}
}

// release lets the next jobs go in the lanes of a batch that is answered.
func (l *lanes) release(b *batch) {
	close(b.answered)
	units := int64(0)
	for _, j := range b.jobs {
		units += j.units
	}
	l.mu.Lock()
	for _, q := range b.lanes {
		if b.opened {
			if q.unanswered--; q.unanswered == 0 {
				q.last = nil
			}
		} else {
			q.busy = false
		}
		l.advance(q)
	}
	l.mu.Unlock()
	l.limit.Release(units)
}

// length is how many jobs have not begun, and how many lanes have pending jobs.
func (l *lanes) length() (waiting, inUse int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.queues {
		waiting += len(q.jobs)
	}
	return waiting, len(l.queues)
}

// close refuses the jobs that have not begun, and waits until the others are done.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	var left []*job
	for _, q := range l.queues {
		left = append(left, q.jobs...)
		q.jobs = nil
	}
	l.ready = turns.Rounds[*queue]{}
	l.mu.Unlock()
	for _, j := range left {
		j.done(Stored{}, Errorf(Unavailable, "%w: shutting down", ErrDropped))
	}
	l.tasks.Wait()
}
