package counters

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// SharedFailures implements chat.Failures in Redis, for all proxies: the times of the latest failures of each name, and
// which name failed last, bounded like Failures. While Redis is away each proxy counts for itself.
type SharedFailures struct {
	role *role
	own  Failures
}

// Failures are the failed logins, shared by all who use the same Redis.
func (r *Redis) Failures() *SharedFailures { return &r.failures }

// failedKey is a hash of a name's hash -> times of its failures, in microseconds, joined by commas; its companion is a
// set of the same ordered by the last of them.
const failedKey = "dbproxy:failed"

// addFailure: ARGV name, now, how many times of a name are kept, how many names, the window.
var addFailure = newScript(`
local times = redis.call('HGET', KEYS[1], ARGV[1])
times = times and times .. ',' .. ARGV[2] or ARGV[2]
local _, n = string.gsub(times, ',', ',')
for _ = 1, n + 1 - tonumber(ARGV[3]) do times = string.gsub(times, '^[^,]*,', '') end
redis.call('HSET', KEYS[1], ARGV[1], times)
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
local function drop(names)
  for _, name in ipairs(names) do
    redis.call('HDEL', KEYS[1], name)
    redis.call('ZREM', KEYS[2], name)
  end
end
drop(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', tonumber(ARGV[2]) - tonumber(ARGV[5])), 'LIMIT', 0, 10))
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then drop(redis.call('ZRANGE', KEYS[2], 0, over - 1)) end
return 0
`)

var clearFailures = newScript(`
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 0
`)

// nameHash stands for a name, so that long ones take no room.
func nameHash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Count implements chat.Failures.
func (f *SharedFailures) Count(ctx context.Context, name string, now time.Time) (int, error) {
	results, err := f.role.do(ctx, []command{plain("HGET", failedKey, nameHash(name))})
	if err != nil {
		return f.own.Count(ctx, name, now)
	}
	n := 0
	for at := range strings.SplitSeq(text(results[0]), ",") {
		micros, err := strconv.ParseInt(at, 10, 64)
		if err == nil && now.Sub(time.UnixMicro(micros)) <= chat.LockoutWindow {
			n++
		}
	}
	return n, nil
}

// Add implements chat.Failures.
func (f *SharedFailures) Add(ctx context.Context, name string, now time.Time) error {
	_ = f.own.Add(ctx, name, now) // for when Redis goes away; it cannot fail
	_, _ = f.role.do(ctx, []command{run(addFailure, failedKey, nameHash(name), strconv.FormatInt(now.UnixMicro(), 10),
		decimal(chat.LockoutFailures), decimal(maxNames), strconv.FormatInt(chat.LockoutWindow.Microseconds(), 10))})
	return nil
}

// Clear implements chat.Failures.
func (f *SharedFailures) Clear(ctx context.Context, name string) error {
	_ = f.own.Clear(ctx, name)
	_, _ = f.role.do(ctx, []command{run(clearFailures, failedKey, nameHash(name))})
	return nil
}
