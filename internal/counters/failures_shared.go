package counters

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
)

// SharedFailures implements chat.Failures in Redis, for all proxies: the times of the latest
// failures of each name, bounded like Failures. While Redis is away each proxy counts for itself.
// Make it of the copy; it is safe for concurrent use, and must not be copied.
type SharedFailures struct {
	Copy *redis.Copy

	own  Failures // what this proxy has seen, for when Redis is away
	most int      // how many names are remembered in Redis; 0 means maxNames
}

// times returns the failures of a name that count now, as Redis has them.
func (f *SharedFailures) times(ctx context.Context, name string, now time.Time) ([]int64, error) {
	at, err := f.Copy.FailedAt(ctx, keyOf(name).String())
	return latest(at, now), err
}

// Count implements chat.Failures.
func (f *SharedFailures) Count(ctx context.Context, name string, now time.Time) (int, error) {
	at, err := f.times(ctx, name, now)
	if err != nil {
		return f.own.Count(ctx, name, now)
	}
	if len(at) == 0 {
		_ = f.own.Clear(ctx, name) // somebody may have unlocked it; it cannot fail
	}
	return len(at), nil
}

// ErrEachForItself is why SharedFailures does not know who is locked out.
var ErrEachForItself = errors.New("while Redis is away each proxy counts failed logins for itself")

// LockedUntil returns until when a name is locked out; the zero time when it is not. While Redis is
// away the error is ErrEachForItself, with the cause.
func (f *SharedFailures) LockedUntil(
	ctx context.Context, name string, now time.Time,
) (time.Time, error) {
	at, err := f.times(ctx, name, now)
	return lockedUntil(at), forItself(err)
}

// forItself adds to an error of Redis what that means for failed logins.
func forItself(err error) error {
	if err == nil {
		return nil
	}
	return chat.Errorf(chat.Unavailable, "%w; %w", err, ErrEachForItself)
}

// Add implements chat.Failures. When Redis does not count it, this proxy does.
func (f *SharedFailures) Add(ctx context.Context, name string, now time.Time) error {
	_ = f.own.Add(ctx, name, now) // it cannot fail
	_ = f.Copy.AddFailure(ctx, keyOf(name).String(), now, cmp.Or(f.most, maxNames))
	return nil
}

// Clear implements chat.Failures. It does not fail: what Redis does not forget now ends by itself.
func (f *SharedFailures) Clear(ctx context.Context, name string) error {
	_ = f.own.Clear(ctx, name)
	_ = f.Copy.ClearFailures(ctx, keyOf(name).String())
	return nil
}

// Unlock forgets the failures of a name, for all proxies that reach Redis. Errors are as of
// LockedUntil.
func (f *SharedFailures) Unlock(ctx context.Context, name string, _ time.Time) error {
	return forItself(f.Copy.ClearFailures(ctx, keyOf(name).String()))
}
