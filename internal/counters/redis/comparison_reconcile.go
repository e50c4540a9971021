package redis

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// mendID: ARGV the last id that there is, the largest that there can be. An id that is below the
// former or above the latter becomes the former.
var mendID = link.NewScript(prelude, `
local now = tonumber(redis.call('GET', KEYS[1]) or '')
if not now or now < tonumber(ARGV[1]) or now > tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 0
`)

// mendCount raises a counter to that of the records: ARGV the field, which is its own in the
// companion, the revision, the value in the records. A counter that is larger was moved by
// originals, and stays.
var mendCount = link.NewScript(prelude, `
local rev = tonumber(ARGV[2])
if ((done(ARGV[1])) or 0) > rev then return 0 end
local now = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '') or 0
if now < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
end
return 0
`)

// mendLevel: ARGV the least and the most that a user can have seen of a group.
var mendLevel = link.NewScript(prelude, `
local now = tonumber(redis.call('HGET', KEYS[1], 'count') or '') or 0
if now < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'count', ARGV[1])
elseif now > tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'count', ARGV[2]) end
return 0
`)

// dropField removes fields with what the companion has of them: ARGV pairs of a field and its
// value. A field with another value stays.
var dropField = link.NewScript(prelude, `
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
return 0
`)

// Reconcile raises ids to those of the state, and counters, levels and mutes to where the records
// have more. Levels are lowered to what there is.
func (c Comparison) Reconcile(ctx context.Context, states []chat.Change) error {
	at := c.Copy.unread.known()
	var unread, mutes question
	for _, s := range states {
		if s.LastID > 0 {
			unread.add(link.Run(mendID, idKey(reserveOf(s)), decimal(s.LastID),
				decimal(uint32(chat.MaxMsgID))), nil)
		}
		if s.Talk.Kind == chat.Pair {
			for _, u := range s.Users {
				if u.Unread > 0 {
					unread.add(link.Run(mendCount, unreadKey(u.User), decimal(s.Talk.Peer(u.User)),
						revision(at, s.Rev), decimal(u.Unread)), nil)
				}
			}
			continue
		}
		if s.Count > 0 {
			unread.add(link.Run(mendCount, countKey(s.Talk.A), "count", revision(at, s.Rev),
				decimal(s.Count)), nil)
		}
		for _, m := range s.Mutes {
			mutes.add(link.Plain("HSETNX", mutesKey(s.Talk.A), decimal(m.User)+muteSuffix,
				decimal(m.Value)), nil)
		}
	}
	if err := unread.ask(ctx, c.Copy.unread); err != nil {
		return err
	}
	if err := mutes.ask(ctx, c.Copy.groupSet); err != nil {
		return err
	}
	return c.reconcileLevels(ctx, states)
}

// reconcileLevels raises the levels of members to those of the records, and lowers those that are
// ahead of the count.
func (c Comparison) reconcileLevels(ctx context.Context, states []chat.Change) error {
	var counts, levels question
	for _, s := range states {
		if s.Talk.Kind != chat.Group {
			continue
		}
		counts.add(link.Plain("HGET", countKey(s.Talk.A), "count"), func(r rueidis.RedisMessage) {
			least, most := levelsOf(s), decimal(count(text(r)))
			for _, m := range s.Members {
				levels.add(link.Run(mendLevel, levelKey(m.User, s.Talk.A), decimal(least[m.User]),
					most),
					nil)
			}
		})
	}
	if err := counts.ask(ctx, c.Copy.unread); err != nil {
		return err
	}
	return levels.ask(ctx, c.Copy.unread)
}

// ReconcileMembers makes the members of a group in Redis those of the state, which is current: the
// group is locked.
func (c Comparison) ReconcileMembers(ctx context.Context, state chat.Change) error {
	at := c.Copy.groupMember.known()
	if at == 0 {
		return chat.Errorf(chat.Unavailable,
			"it is not known yet whether Redis still has what it had; try again")
	}
	var q question
	q.add(membersOf(state).fill(at, state.Rev), nil)
	return q.ask(ctx, c.Copy.groupMember)
}

// ReconcileDevices gives push tokens back that Redis has lost.
func (c Comparison) ReconcileDevices(ctx context.Context, devices []chat.Device) error {
	users := make([]uint32, len(devices))
	for i, d := range devices {
		users[i] = d.User
	}
	now, err := c.Copy.records.DevicesNow(ctx, users)
	if err != nil {
		return err
	}
	var q question
	for _, d := range now {
		q.add(link.Plain("SETNX", deviceKey(d.User), d.Device), nil)
		if d.Token != "" {
			q.add(link.Plain("SETNX", tokenKey(d.Token), decimal(d.User)), nil)
		}
	}
	return q.ask(ctx, c.Copy.token)
}

// keysAtOnce is about how many names of keys one question of a scan returns.
const keysAtOnce = 500

// Keys goes through the keys in Redis, some at a time. It calls unread with users and the peers of
// whom they have unread counters, and members with groups that have members. It ends with the first
// error of either.
func (c Comparison) Keys(
	ctx context.Context,
	unread func(ctx context.Context, peers map[uint32][]uint32) error,
	members func(ctx context.Context, groups []uint32) error,
) error {
	err := c.scan(ctx, c.Copy.unread, "unread_", func(users []uint32) error {
		peers := make(map[uint32][]uint32, len(users))
		var q question
		for _, user := range users {
			q.add(link.Plain("HKEYS", unreadKey(user)), func(r rueidis.RedisMessage) {
				names, _ := r.AsStrSlice()
				for _, name := range names {
					if peer, err := strconv.ParseUint(name, 10, 32); err == nil {
						peers[user] = append(peers[user], uint32(peer))
					}
				}
			})
		}
		if err := q.ask(ctx, c.Copy.unread); err != nil {
			return err
		}
		return unread(ctx, peers)
	})
	if err != nil {
		return err
	}
	return c.scan(ctx, c.Copy.groupMember, "group_member_",
		func(groups []uint32) error { return members(ctx, groups) })
}

// scan calls f with the numbers in the names of the keys that are a prefix and a number.
func (c Comparison) scan(
	ctx context.Context, ro *role, prefix string, f func([]uint32) error,
) error {
	return ro.Keys(ctx, prefix, keysAtOnce, func(names []string) error {
		var numbers []uint32
		for _, key := range names {
			if n, err := strconv.ParseUint(key[len(prefix):], 10, 32); err == nil {
				numbers = append(numbers, uint32(n))
			}
		}
		if len(numbers) == 0 {
			return nil
		}
		return f(numbers)
	})
}

// DropUnread removes unread counters of a user. Those that move meanwhile stay.
func (c Comparison) DropUnread(ctx context.Context, user uint32, peers []uint32) error {
	key := unreadKey(user)
	var q, drops question
	for _, peer := range peers {
		q.add(link.Plain("HGET", key, decimal(peer)), func(r rueidis.RedisMessage) {
			drops.add(link.Run(dropField, key, decimal(peer), text(r)), nil)
		})
	}
	if err := q.ask(ctx, c.Copy.unread); err != nil {
		return err
	}
	return drops.ask(ctx, c.Copy.unread)
}
