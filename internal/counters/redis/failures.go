package redis

import (
	"cmp"
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

// addFailure: ARGV name, now, how many times of a name are kept, how many names, the window. It
// returns how many failures of the name there are.
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
return #times
`)

// clearFailures: ARGV name.
var clearFailures = link.NewScript("", `
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 0
`)

// FailedAt returns when logins of names failed, in Unix milliseconds, the oldest first. Some of
// them may be older than what counts.
func (r *Copy) FailedAt(ctx context.Context, names []string) []chat.Result[[]int64] {
	ask := func(name string) link.Command { return link.Plain("HGET", failedKey, name) }
	return failures(ctx, r, names, ask, func(times rueidis.RedisMessage) (at []int64, err error) {
		for text := range strings.SplitSeq(text(times), ",") {
			if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
				at = append(at, ms)
			}
		}
		return at, nil
	})
}

// AddFailures counts one failed login of each name, and returns how many of each are kept then.
// With more than so many names (most) those with the fewest failures are forgotten.
func (r *Copy) AddFailures(
	ctx context.Context, names []string, now time.Time, most int,
) []chat.Result[int] {
	args := []string{
		strconv.FormatInt(now.UnixMilli(), 10), decimal(chat.LockoutFailures), decimal(most),
		strconv.FormatInt(chat.LockoutWindow.Milliseconds(), 10),
	}
	add := func(name string) link.Command {
		return link.Run(addFailure, failedKey, append([]string{name}, args...)...)
	}
	return failures(ctx, r, names, add, func(n rueidis.RedisMessage) (int, error) {
		count, err := n.AsInt64()
		return int(count), err
	})
}

// ClearFailures forgets the failed logins of names.
func (r *Copy) ClearFailures(ctx context.Context, names []string) (err error) {
	forget := func(name string) link.Command { return link.Run(clearFailures, failedKey, name) }
	none := func(rueidis.RedisMessage) (struct{}, error) { return struct{}{}, nil }
	for _, done := range failures(ctx, r, names, forget, none) {
		err = cmp.Or(err, done.Err)
	}
	return err
}

// failures executes one command on the failed logins of each name, in one pipeline.
func failures[T any](
	ctx context.Context, r *Copy, names []string, command func(name string) link.Command,
	value func(rueidis.RedisMessage) (T, error),
) []chat.Result[T] {
	results := make([]chat.Result[T], len(names))
	if len(names) == 0 {
		return results
	}
	commands := make([]link.Command, len(names))
	for i, name := range names {
		commands[i] = command(name)
	}
	answers, err := r.unread.Do(ctx, commands...)
	for i := range results {
		if results[i].Err = err; err == nil {
			results[i].Err = failure(answers[i])
		}
		if results[i].Err == nil {
			results[i].Value, results[i].Err = value(answers[i])
		}
	}
	return results
}
