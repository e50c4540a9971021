package counters

import (
	"context"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// UnreadPairs implements chat.Counters.
func (r *Redis) UnreadPairs(ctx context.Context, user uint32) ([]chat.Count, error) {
	pairs, err := r.pairs(ctx, []uint32{user})
	if err != nil {
		return r.books.UnreadPairs(ctx, user)
	}
	var counts []chat.Count
	for peer, n := range pairs[user] {
		counts = append(counts, chat.Count{Talk: chat.PairTalk(user, peer), Unread: n})
	}
	return counts, nil
}

// UnreadGroups implements chat.Counters.
func (r *Redis) UnreadGroups(ctx context.Context, user uint32) ([]chat.Count, error) {
	groups, err := r.groups(ctx, []uint32{user})
	return groups[user], err
}

// UnreadTotals implements chat.Counters.
func (r *Redis) UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	if len(users) == 0 {
		return nil, nil
	}
	pairs, err := r.pairs(ctx, users)
	if err != nil {
		return r.books.UnreadTotals(ctx, users)
	}
	groups, err := r.groups(ctx, users)
	totals := make(map[uint32]uint32, len(users))
	for _, user := range users {
		for _, n := range pairs[user] {
			totals[user] += n
		}
		for _, c := range groups[user] {
			totals[user] += c.Unread
		}
	}
	return totals, err
}

// pairs returns what users have unread of their peers, zeros left out: from Redis in one pipeline, or, for those of
// whom it lost something, from the records, filling it again. An error says that it must be asked of the records.
func (r *Redis) pairs(ctx context.Context, users []uint32) (map[uint32]map[uint32]uint32, error) {
	at := r.unread.known()
	var commands []command
	for _, user := range users {
		commands = append(commands, plain("HGETALL", unreadKey(user)), plain("HGET", companion(unreadKey(user)), "epoch"))
	}
	got, err := r.consult(ctx, r.unread, at, commands)
	if err != nil {
		return nil, err
	}
	all := make(map[uint32]map[uint32]uint32, len(users))
	var lost []uint32
	for i, user := range users {
		peers := make(map[uint32]uint32)
		fields, err := got.results[2*i].AsStrMap()
		for peer, n := range fields {
			if id, err := strconv.ParseUint(peer, 10, 32); err == nil && count(n) > 0 && uint32(id) != user {
				peers[uint32(id)] = count(n)
			}
		}
		all[user] = peers
		if err != nil || !got.complete(at, 2*i+1) {
			lost = append(lost, user)
		}
	}
	if len(lost) == 0 {
		return all, nil
	}
	if !got.sound {
		if at, err = r.settled(ctx, r.unread); err != nil {
			return nil, err
		}
	}
	return all, r.fillPairs(ctx, at, lost, all)
}

// complete reports whether a key is known to have all it should: results[i] is the epoch in which it was filled.
func (a answers) complete(at uint32, i int) bool {
	return a.sound && (at == firstEpoch || text(a.results[i]) == decimal(at))
}

// fillPairs puts what the records know of users into all, and into Redis.
func (r *Redis) fillPairs(ctx context.Context, at uint32, users []uint32, all map[uint32]map[uint32]uint32) error {
	known, err := r.books.PairsNow(ctx, users)
	if err != nil {
		return err
	}
	rows := make(map[uint32][]string, len(users))
	for _, c := range known {
		for _, u := range c.Users {
			peer := c.Talk.Peer(u.User)
			rows[u.User] = append(rows[u.User], decimal(peer), decimal(u.Unread), revision(at, c.Rev))
			if delete(all[u.User], peer); u.Unread > 0 {
				all[u.User][peer] = u.Unread
			}
		}
	}
	var commands []command
	for _, user := range users {
		commands = append(commands, run(fillPairs, unreadKey(user), append([]string{decimal(at)}, rows[user]...)...))
	}
	r.fill(ctx, at, commands)
	return nil
}

// fill sends scripts that bring something back. What fails is done again when it is asked for next.
func (r *Redis) fill(ctx context.Context, at uint32, commands []command) {
	if got, err := r.ask(ctx, r.unread, at, commands); err == nil {
		r.complain(commands, got.results)
	}
}

// groups returns the groups of users with unread messages: which they are in from the records, the counters from Redis
// in one pipeline. Where Redis is away or has lost something, the records' counters are taken.
func (r *Redis) groups(ctx context.Context, users []uint32) (map[uint32][]chat.Count, error) {
	in, err := r.books.InGroups(ctx, users)
	if err != nil {
		return nil, err
	}
	q := askedGroups{at: r.unread.known(), index: make(map[string]int)}
	for _, groups := range in {
		for _, c := range groups {
			q.add(countKey(c.Talk.A))
			q.add(levelKey(c.Users[0].User, c.Talk.A))
		}
	}
	if len(q.commands) > 0 {
		q.got, err = r.consult(ctx, r.unread, q.at, q.commands)
		if err == nil && !q.got.sound {
			_, _ = r.settled(ctx, r.unread) // to fill in the right epoch
		}
	}
	away := err != nil
	fillAt := r.unread.known()
	unread := make(map[uint32][]chat.Count, len(users))
	var fills []command
	for user, groups := range in {
		for _, c := range groups {
			own := chat.Count{Talk: c.Talk, Unread: c.Users[0].Unread}
			if !away {
				own.Unread = q.unread(c)
				fills = q.fills(fills, fillAt, c)
			}
			if own.Unread > 0 {
				unread[user] = append(unread[user], own)
			}
		}
	}
	if len(fills) > 0 && fillAt > firstEpoch {
		r.fill(ctx, fillAt, fills)
	}
	return unread, nil
}

// askedGroups is one question for counts and levels of groups.
type askedGroups struct {
	at       uint32
	commands []command
	index    map[string]int // of a key's value among the results; its epoch comes after it
	filled   map[string]bool
	got      answers
}

func (q *askedGroups) add(key string) {
	if _, asked := q.index[key]; !asked {
		q.index[key] = len(q.commands)
		q.commands = append(q.commands, plain("HGET", key, "count"), plain("HGET", companion(key), "epoch"))
	}
}

// value is a key's, instead of one that was lost what the records say, if they count the talk.
func (q *askedGroups) value(key string, rev, recorded uint32) uint32 {
	i := q.index[key]
	if rev > 0 && !q.got.complete(q.at, i+1) {
		return recorded
	}
	return count(text(q.got.results[i]))
}

// unread is how many messages of a group its user has not seen. A level ahead of the count has seen all.
func (q *askedGroups) unread(c chat.Change) uint32 {
	u := c.Users[0]
	sent := q.value(countKey(c.Talk.A), c.Rev, c.Count)
	level := q.value(levelKey(u.User, c.Talk.A), c.Rev, c.Count-u.Unread)
	return sent - min(level, sent)
}

// fills appends what brings back the keys of a group that were lost.
func (q *askedGroups) fills(to []command, at uint32, c chat.Change) []command {
	u := c.Users[0]
	add := func(key string, value uint32) {
		if q.filled[key] || q.got.complete(q.at, q.index[key]+1) {
			return
		}
		if q.filled == nil {
			q.filled = make(map[string]bool)
		}
		q.filled[key] = true
		to = append(to, run(fillCount, key, decimal(at), decimal(value), revision(at, c.Rev)))
	}
	add(countKey(c.Talk.A), c.Count)
	add(levelKey(u.User, c.Talk.A), c.Count-u.Unread)
	return to
}
