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

// Count implements chat.Failures.
func (f *SharedFailures) Count(ctx context.Context, names []string, now time.Time) ([]int, error) {
	keys := keysOf(names)
	times := f.Copy.FailedAt(ctx, hashes(keys))
	counts := f.own.counts(keys, now) // for what Redis does not tell
	var none []string
	for i, at := range times {
		if at.Err != nil {
			continue
		}
		if counts[i] = len(latest(ofRedis(at.Value), now)); counts[i] == 0 {
			none = append(none, names[i])
		}
	}
	_ = f.own.Clear(ctx, none) // somebody may have unlocked them; it cannot fail
	return counts, nil
}

// ofRedis are failures that Redis has, whose times are Unix milliseconds.
func ofRedis(times []int64) []int64 {
	at := make([]int64, len(times))
	for i, ms := range times {
		at[i] = time.UnixMilli(ms).UnixNano()
	}
	return at
}

// ErrEachForItself is why SharedFailures does not know who is locked out.
var ErrEachForItself = errors.New("while Redis is away each proxy counts failed logins for itself")

// LockedUntil returns until when a name is locked out; the zero time when it is not. While Redis is
// away the error is ErrEachForItself, with the cause.
func (f *SharedFailures) LockedUntil(
	ctx context.Context, name string, now time.Time,
) (time.Time, error) {
	times := f.Copy.FailedAt(ctx, []string{keyOf(name).String()})[0]
	return lockedUntil(latest(ofRedis(times.Value), now)), forItself(times.Err)
}

// forItself adds to an error of Redis what that means for failed logins.
func forItself(err error) error {
	if err == nil {
		return nil
	}
	return chat.Errorf(chat.Unavailable, "%w; %w", err, ErrEachForItself)
}

// Add implements chat.Failures. What Redis does not count, this proxy does.
func (f *SharedFailures) Add(ctx context.Context, names []string, now time.Time) ([]int, error) {
	counts, _ := f.own.Add(ctx, names, now) // it cannot fail
	most := cmp.Or(f.most, maxNames)
	for i, n := range f.Copy.AddFailures(ctx, hashes(keysOf(names)), now, most) {
		if n.Err == nil {
			counts[i] = n.Value
		}
	}
	return counts, nil
}

// Clear implements chat.Failures. It does not fail: what Redis does not forget now ends by itself.
func (f *SharedFailures) Clear(ctx context.Context, names []string) error {
	_ = f.own.Clear(ctx, names)
	_ = f.Copy.ClearFailures(ctx, hashes(keysOf(names)))
	return nil
}

// Unlock forgets the failures of a name, for all proxies that reach Redis. Errors are as of
// LockedUntil.
func (f *SharedFailures) Unlock(ctx context.Context, name string, _ time.Time) error {
	return forItself(f.Copy.ClearFailures(ctx, []string{keyOf(name).String()}))
}
