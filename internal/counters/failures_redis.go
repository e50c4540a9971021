package counters

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// SharedFailures implements chat.Failures in Redis, for all proxies: the times of the latest
// failures of each name, bounded like Failures. While Redis is away each proxy counts for itself.
type SharedFailures struct {
	role *role
	own  Failures
	most int // how many names
}

// Failures are the failed logins, shared by all who use the same Redis.
func (r *Redis) Failures() *SharedFailures { return &r.failures }

// failedKey is a hash of a name's hash -> times of its failures, in milliseconds, joined by commas;
// its companion is a set of the same, ordered as they are to be forgotten: by how many failures
// there are, then by the time of the last. Both are gone when nothing in them counts any more. An
// earlier version has dbproxy:failed, with other times, and would drop ours from it.
const failedKey = "dbproxy:failures"

// addFailure: ARGV name, now, how many times of a name are kept, how many names, the window.
var addFailure = newScript(`
local name, now, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest = now - tonumber(ARGV[5])
local function score(n, at) return string.format('%.0f', n * 1e13 + at) end
local times = {}
for at in string.gmatch(redis.call('HGET', KEYS[1], name) or '', '%d+') do
  if tonumber(at) >= oldest then table.insert(times, at) end
end
table.insert(times, ARGV[2])
while #times > most do table.remove(times, 1) end
redis.call('HSET', KEYS[1], name, table.concat(times, ','))
redis.call('ZADD', KEYS[2], score(#times, now), name)
local function drop(names)
  for _, each in ipairs(names) do
    redis.call('HDEL', KEYS[1], each)
    redis.call('ZREM', KEYS[2], each)
  end
end
for n = 1, most do
  drop(redis.call('ZRANGEBYSCORE', KEYS[2], score(n, 0), '(' .. score(n, oldest), 'LIMIT', 0, 10))
end
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then drop(redis.call('ZRANGE', KEYS[2], 0, over - 1)) end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 0
`)

// clearFailures: ARGV name.
var clearFailures = newScript(`
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 0
`)

// times returns the failures of a name that count now, as Redis has them.
func (f *SharedFailures) times(ctx context.Context, name string, now time.Time) ([]int64, error) {
	results, err := f.role.do(ctx, []command{plain("HGET", failedKey, keyOf(name).String())})
	if err != nil {
		return nil, err
	}
	var at []int64
	for text := range strings.SplitSeq(text(results[0]), ",") {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			at = append(at, ms)
		}
	}
	return latest(at, now), failure(results[0])
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
func (f *SharedFailures) LockedUntil(ctx context.Context, name string, now time.Time) (time.Time, error) {
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

// Add implements chat.Failures.
func (f *SharedFailures) Add(ctx context.Context, name string, now time.Time) error {
	_ = f.own.Add(ctx, name, now) // for when Redis goes away; it cannot fail
	at, window := strconv.FormatInt(now.UnixMilli(), 10), strconv.FormatInt(chat.LockoutWindow.Milliseconds(), 10)
	_, _ = f.role.do(ctx, []command{run(addFailure, failedKey, keyOf(name).String(), at,
		decimal(chat.LockoutFailures), decimal(f.most), window)})
	return nil
}

// Clear implements chat.Failures.
func (f *SharedFailures) Clear(ctx context.Context, name string) error {
	_ = f.own.Clear(ctx, name)
	_ = f.Unlock(ctx, name, time.Time{})
	return nil
}

// Unlock forgets the failures of a name, for all proxies that reach Redis. Errors are as of
// LockedUntil.
func (f *SharedFailures) Unlock(ctx context.Context, name string, _ time.Time) error {
	results, err := f.role.do(ctx, []command{run(clearFailures, failedKey, keyOf(name).String())})
	if err == nil {
		err = failure(results[0])
	}
	return forItself(err)
}
