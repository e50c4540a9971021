package redis

import (
	"context"
	"errors"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// An instance that is back after it was away has all it had, as far as the epochs can tell, but not what was stored
// meanwhile: the commits of every proxy that could not reach it. Until they are applied the records are asked instead.
// Proxies do not see at the same moment that it is back: so they have some time before it is looked for what they left.
const (
	catchUpAfter = link.Refresh + beatEvery
	catchUpMost  = 200 // commits at a time
)

// Backlog is the commits of all proxies that may not have been applied: see chat.Ledger.
type Backlog interface {
	Unapplied(ctx context.Context, olderThan time.Duration, max int) ([]chat.Commit, error)
	Swept(ctx context.Context, ids []chat.CommitID) error
}

// Errors that say that the records must be asked instead.
var (
	errBehind = errors.New("Redis is behind the records")
	errLost   = errors.New("Redis has lost what it was asked for")
)

// catchUp applies what instances lack that came back a while ago.
func (r *Copy) catchUp(ctx context.Context) error {
	due := make(map[*link.Link]time.Time)
	for _, l := range r.links {
		if back, ok := l.Back(); ok && time.Since(back) >= catchUpAfter {
			due[l] = back
		}
	}
	for more := len(due) > 0; more; {
		left, err := r.records.Unapplied(ctx, 0, catchUpMost)
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
		if err := r.records.Swept(ctx, ids); err != nil {
			return err
		}
		more = len(left) >= catchUpMost
	}
	for l, back := range due {
		l.CaughtUp(back)
	}
	return nil
}
