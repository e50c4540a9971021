package counters

import (
	"context"
	"errors"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// An instance that is back after it was away has all it had, as far as the epochs can tell, but not what was stored
// meanwhile: the commits of every proxy that could not reach it. Until they are applied the records are asked instead.
// Proxies do not see at the same moment that it is back: so they have some time before it is looked for what they left.
const (
	catchUpAfter = refresh + beatEvery
	catchUpMost  = 200 // commits at a time
)

// Backlog is the commits of all proxies that may not have been applied: see chat.Ledger.
type Backlog interface {
	Unapplied(ctx context.Context, olderThan time.Duration, max int) ([]chat.Commit, error)
	Swept(ctx context.Context, ids []chat.CommitID) error
}

// errBehind says that the records must be asked instead.
var errBehind = errors.New("Redis is behind the records")

// behind reports whether the instance lacks what was stored while it was away.
func (l *link) behind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lacking
}

// returned returns when an instance that still is behind came back; ok is false for others.
func (l *link) returned() (back time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back, l.lacking && l.why == nil
}

// caughtUp notes that the instance has all that was stored before it came back then.
func (l *link) caughtUp(back time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back.Equal(back) && l.why == nil {
		l.lacking = false
	}
}

// catchUp applies what instances lack that came back a while ago.
func (r *Redis) catchUp(ctx context.Context) error {
	due := make(map[*link]time.Time)
	for _, l := range r.links {
		if back, ok := l.returned(); ok && time.Since(back) >= catchUpAfter {
			due[l] = back
		}
	}
	for more := len(due) > 0; more; {
		left, err := r.books.Unapplied(ctx, 0, catchUpMost)
		if err != nil {
			return err
		}
		if err := r.Apply(ctx, left); err != nil {
			return err
		}
		ids := make([]chat.CommitID, len(left))
		for i, c := range left {
			ids[i] = c.ID
		}
		if err := r.books.Swept(ctx, ids); err != nil {
			return err
		}
		more = len(left) >= catchUpMost
	}
	for l, back := range due {
		l.caughtUp(back)
	}
	return nil
}
