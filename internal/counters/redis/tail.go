package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// A Redis that crashes, or hands over to its replica, may lose what it was told in the last
// milliseconds. That is too little for a beat to be missing (see epoch.go), but a connection to it
// has to be made anew. So each proxy keeps what it applied in the last seconds, and applies it
// again then. What is there already is not changed by that.
const (
	tailAge  = 5 * time.Second // a few beats
	tailMost = 1 << 16         // changes; with more in so short a time the oldest are dropped
)

// tail is what was applied last. It is safe for concurrent use.
type tail struct {
	mu      sync.Mutex  // guards all that follows
	applied []appliedAt // the oldest first
	changes int         // in all of them
}

type appliedAt struct {
	at     time.Time
	commit chat.Commit
}

// add appends commits that were applied. With forget it drops those that are older than tailAge.
func (t *tail) add(commits []chat.Commit, now time.Time, forget bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range commits {
		t.applied = append(t.applied, appliedAt{now, c})
		t.changes += weight(c)
	}
	old := 0
	for ; old < len(t.applied); old++ {
		if t.changes <= tailMost && !(forget && now.Sub(t.applied[old].at) > tailAge) {
			break
		}
		t.changes -= weight(t.applied[old].commit)
	}
	t.applied = slices.Delete(t.applied, 0, old)
}

// weight is how many changes a commit has.
func weight(c chat.Commit) int { return len(c.Changes) + len(c.Devices) }

func (t *tail) all() []chat.Commit {
	t.mu.Lock()
	defer t.mu.Unlock()
	commits := make([]chat.Commit, len(t.applied))
	for i, a := range t.applied {
		commits[i] = a.commit
	}
	return commits
}

// keepTail notes what was applied. It drops what is old, unless an instance may have lost it.
func (r *Copy) keepTail(commits []chat.Commit) {
	behind := slices.ContainsFunc(r.links, (*link.Link).Behind)
	r.tail.add(commits, time.Now(), !behind)
}

// replay applies once more what was applied last, whenever an instance has come back. It does not
// wait as catchUp does: all proxies have replayed before the first one catches up.
func (r *Copy) replay(ctx context.Context) error {
	due := make(map[*link.Link]time.Time)
	for _, l := range r.links {
		if back, ok := l.Back(); ok && !back.Equal(r.replayed[l]) {
			due[l] = back
		}
	}
	if len(due) == 0 {
		return nil
	}
	if err := r.apply(ctx, r.tail.all()); err != nil {
		return err
	}
	for l, back := range due {
		r.replayed[l] = back
	}
	return nil
}
