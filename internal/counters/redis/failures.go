package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// failedKey is a hash of names -> times of their failed logins, in Unix milliseconds, joined by
// commas. Its companion is a sorted set of the names, in the order in which they are forgotten: by
// how many failures they have, then by the time of the last. Both are gone when nothing in them
// counts any more. An earlier version has dbproxy:failed, with other times, and would drop ours
// from it.
const failedKey = "dbproxy:failures"

// addFailure: ARGV name, now, how many times of a name are kept, how many names, the window.
var addFailure = link.NewScript("", `
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
var clearFailures = link.NewScript("", `
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 0
`)

// FailedAt returns when logins of a name failed, in Unix milliseconds, the oldest first. Some of
// them may be older than what counts.
func (r *Copy) FailedAt(ctx context.Context, name string) (at []int64, err error) {
	times, err := r.failures(ctx, link.Plain("HGET", failedKey, name))
	if err != nil {
		return nil, err
	}
	for text := range strings.SplitSeq(text(times), ",") {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			at = append(at, ms)
		}
	}
	return at, nil
}

// AddFailure counts a failed login of a name. With more than so many names (most) those with the
// fewest failures are forgotten.
func (r *Copy) AddFailure(ctx context.Context, name string, now time.Time, most int) error {
	_, err := r.failures(ctx, link.Run(addFailure, failedKey, name,
		strconv.FormatInt(now.UnixMilli(), 10), decimal(chat.LockoutFailures), decimal(most),
		strconv.FormatInt(chat.LockoutWindow.Milliseconds(), 10)))
	return err
}

// ClearFailures forgets the failed logins of a name.
func (r *Copy) ClearFailures(ctx context.Context, name string) error {
	_, err := r.failures(ctx, link.Run(clearFailures, failedKey, name))
	return err
}

// failures executes one command on the failed logins.
func (r *Copy) failures(ctx context.Context, c link.Command) (rueidis.RedisMessage, error) {
	results, err := r.unread.Do(ctx, c)
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	return results[0], failure(results[0])
}
