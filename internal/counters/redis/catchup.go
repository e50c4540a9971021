package redis

import (
	"context"
	"errors"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// An instance that is back lacks what was stored while it was away: the commits of all proxies that
// could not reach it. The epochs do not show that. Until these commits are applied, the records are
// asked instead. Not all proxies see at the same moment that the instance is back, and until they
// do they leave more of such commits. So each waits a while before it applies them.
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
	errBehind = errors.New("the instance is behind the records")
	errLost   = errors.New("the instance has lost what it was asked for")
)

// catchUp applies what is missing in the instances that came back a while ago.
func (r *Copy) catchUp(ctx context.Context) error {
	due := make(map[*link.Link]time.Time)
	for _, l := range r.links {
		if back, ok := l.Back(); ok && time.Since(back) >= catchUpAfter {
			due[l] = back
		}
	}
	if len(due) == 0 {
		return nil
	}
	if err := r.applyLeft(ctx); err != nil {
		return err
	}
	for l, back := range due {
		l.CaughtUp(back)
	}
	return nil
}

// applyLeft applies all commits of all proxies that may not have been applied.
func (r *Copy) applyLeft(ctx context.Context) error {
	for more := true; more; {
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
	return nil
}
