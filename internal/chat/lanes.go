package chat

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Lane names things whose changes take effect one after the other, in the order they were asked for: a talk, a user,
// a login name. Changes in different lanes do not wait for each other.
type Lane struct {
	scope scope
	a, b  uint64
}

type scope uint8

const (
	talkScope scope = iota
	userScope
	filesScope
	loginScope
)

// TalkLane orders sends, read acks and everything else that changes a talk: its members, its sessions.
func TalkLane(t Talk) Lane {
	return Lane{scope: talkScope, a: uint64(t.Kind), b: uint64(t.A)<<32 | uint64(t.B)}
}

// UserLane orders changes to one user.
func UserLane(id uint32) Lane { return Lane{scope: userScope, a: uint64(id)} }

// FilesLane orders what happens to the offline files that wait for one user.
func FilesLane(user uint32) Lane { return Lane{scope: filesScope, a: uint64(user)} }

// job is one piece of work in a lane. It is either a draft, which the committer stores together with others, or run,
// which has the lane for itself.
type job struct {
	seq  uint64 // order of submission
	room int64  // what it takes of the lanes' room
	ctx  context.Context
	lane *queue

	run func() // nil for a draft; called unless done was

	draft   Draft
	refused error               // the draft was refused before it came to the ledger: only its turn to be answered is awaited
	pending bool                // the draft's sound is still being stored
	upload  func()              // stores the sound and says settled, nil when there is none
	done    func(Stored, error) // called once, for a draft; an error means that the batch failed
}

func (j *job) bytes() int { return len(j.draft.Content) + 64 }

// queue is what waits in one lane.
type queue struct {
	key  Lane
	jobs []*job
	// held: jobs of the lane are under way, or it stands in the ready list; nothing else may be taken from it.
	busy, ready bool
}

// lanes holds the queues of all lanes in use and decides what may go next.
type lanes struct {
	room *semaphore.Weighted // one unit per queued job: what makes submitters wait

	mu     sync.Mutex
	seq    uint64
	queues map[Lane]*queue
	ready  rounds[*queue] // lanes whose first job is a draft that may be stored, by whose that is
	closed bool

	wake  chan struct{} // capacity 1: something became ready
	tasks sync.WaitGroup
}

func newLanes(max int64) *lanes {
	return &lanes{
		room:   semaphore.NewWeighted(max),
		queues: make(map[Lane]*queue),
		wake:   make(chan struct{}, 1),
	}
}

// submit queues j at the end of its lane. It waits while the queues are full, until j's context ends; a draft is refused
// then, but in its turn.
func (l *lanes) submit(key Lane, j *job) error {
	j.room = 1
	if err := l.room.Acquire(j.ctx, 1); err != nil {
		err = Errorf(Unavailable, "%w, the queue is full: %w", ErrDropped, err)
		if j.run != nil {
			return err
		}
		j.room, j.refused, j.pending = 0, err, false // it still waits for its turn to be answered
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.room.Release(j.room)
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
	if j.pending {
		l.tasks.Go(j.upload)
	}
	l.advance(q)
	return nil
}

// settled says that the sound of j's draft is stored, or that it is refused. It answers false when nobody waits for that
// any more.
func (l *lanes) settled(j *job, sound *Sound, refused error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !j.pending {
		return false
	}
	j.pending, j.draft.Sound, j.refused = false, sound, refused
	l.advance(j.lane)
	return true
}

// advance looks at the head of a lane and sets it going. Called with mu held, whenever the lane may have changed.
func (l *lanes) advance(q *queue) {
	if q.busy || q.ready {
		return
	}
	if len(q.jobs) == 0 {
		delete(l.queues, q.key)
		return
	}
	switch head := q.jobs[0]; {
	case head.run != nil:
		q.jobs = q.jobs[1:]
		q.busy = true
		l.tasks.Go(func() {
			head.run()
			l.free(q, head.room)
		})
	case !head.pending:
		q.ready = true
		l.ready.push(askerOf(head.ctx), q)
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// free ends the turn of jobs of a lane, which took that much room.
func (l *lanes) free(q *queue, room int64) {
	l.mu.Lock()
	q.busy = false
	l.advance(q)
	l.mu.Unlock()
	l.room.Release(room)
}

// gather takes the drafts that may be stored now, at most maxRows of them and about maxBytes, lane by lane. Their
// lanes are held until free.
func (l *lanes) gather(maxRows, maxBytes int) (batch []*job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := 0
	for len(batch) < maxRows && size < maxBytes {
		q, ok := l.ready.pop()
		if !ok {
			break
		}
		q.ready, q.busy = false, true
		n := 0
		for n < len(q.jobs) && q.jobs[n].run == nil && !q.jobs[n].pending && len(batch) < maxRows && size < maxBytes {
			size += q.jobs[n].bytes()
			batch = append(batch, q.jobs[n])
			n++
		}
		q.jobs = q.jobs[n:]
	}
	return batch
}

// length is how many jobs wait, and in use are how many lanes.
func (l *lanes) length() (waiting, inUse int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.queues {
		waiting += len(q.jobs)
	}
	return waiting, len(l.queues)
}

// close refuses what still waits and waits for what is under way.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	var left []*job
	for _, q := range l.queues {
		left = append(left, q.jobs...)
		q.jobs = nil
	}
	l.ready = rounds[*queue]{}
	l.mu.Unlock()
	for _, j := range left {
		j.done(Stored{}, Errorf(Unavailable, "%w: shutting down", ErrDropped))
	}
	l.tasks.Wait()
}
