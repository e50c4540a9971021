package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// A Redis that crashes, or hands over to its replica, may lose the last it was told, be it a few milliseconds: too little
// for a beat to be missing (see epoch.go). That shows by a connection that has to be made anew. So each proxy keeps what
// it applied in the last seconds, and applies it again then: what is there already is not changed by that.
const (
	tailAge  = 5 * time.Second // a few beats
	tailMost = 1 << 16         // changes; with more than that in so short a time the oldest go
)

// tail is what was applied last. It is safe for concurrent use.
type tail struct {
	mu      sync.Mutex
	applied []appliedAt // the oldest first
	changes int
}

type appliedAt struct {
	at     time.Time
	commit chat.Commit
}

// add appends commits that were applied; with forget it lets go of those that are older than tailAge.
func (t *tail) add(commits []chat.Commit, now time.Time, forget bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range commits {
		t.applied = append(t.applied, appliedAt{now, c})
		t.changes += weight(c)
	}
	old := 0
	for old < len(t.applied) && (t.changes > tailMost || forget && now.Sub(t.applied[old].at) > tailAge) {
		t.changes -= weight(t.applied[old].commit)
		old++
	}
	t.applied = slices.Delete(t.applied, 0, old)
}

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

// keepTail notes what was applied, and forgets what is old unless an instance may have lost it.
func (r *Copy) keepTail(commits []chat.Commit) {
	behind := slices.ContainsFunc(r.links, (*link.Link).Behind)
	r.tail.add(commits, time.Now(), !behind)
}

// replay applies again what was applied last, once for each time that an instance came back. It does not wait as catchUp
// does: when the first proxy catches up, all have replayed.
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
