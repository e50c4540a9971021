package redis

import (
	"context"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// UnreadPairs returns what users have unread of their peers, zeros left out, in one pipeline. What
// was lost is filled from the records.
func (r *Copy) UnreadPairs(
	ctx context.Context, users []uint32,
) (map[uint32]map[uint32]uint32, error) {
	at := r.unread.known()
	var commands []link.Command
	for _, user := range users {
		commands = append(commands, link.Plain("HGETALL", unreadKey(user)),
			link.Plain("HGET", link.Companion(unreadKey(user)), "epoch"))
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
			id, err := strconv.ParseUint(peer, 10, 32)
			if err == nil && count(n) > 0 && uint32(id) != user {
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
		if at, err = r.freshEpoch(ctx, r.unread); err != nil {
			return nil, err
		}
	}
	return all, r.fillPairs(ctx, at, lost, all)
}

// complete reports whether a key is known to lack nothing. The answer i is the epoch in which the
// key was filled; at is the current one.
func (a answers) complete(at uint32, i int) bool {
	return a.sound && (at == firstEpoch || text(a.results[i]) == decimal(at))
}

// fillPairs puts what the records know of users into all, and into Redis.
func (r *Copy) fillPairs(
	ctx context.Context, at uint32, users []uint32, all map[uint32]map[uint32]uint32,
) error {
	known, err := r.records.PairsNow(ctx, users)
	if err != nil {
		return err
	}
	rows := make(map[uint32][]string, len(users))
	for _, c := range known {
		for _, u := range c.Users {
			peer := c.Talk.Peer(u.User)
			rows[u.User] = append(rows[u.User], decimal(peer), decimal(u.Unread),
				revision(at, c.Rev))
			if delete(all[u.User], peer); u.Unread > 0 {
				all[u.User][peer] = u.Unread
			}
		}
	}
	var commands []link.Command
	for _, user := range users {
		commands = append(commands, link.Run(fillPairs, unreadKey(user),
			append([]string{decimal(at)}, rows[user]...)...))
	}
	r.fill(ctx, at, commands)
	return nil
}

// fill sends scripts that fill keys. What fails is filled when somebody reads the key next.
func (r *Copy) fill(ctx context.Context, at uint32, commands []link.Command) {
	if got, err := r.ask(ctx, r.unread, at, commands); err == nil {
		r.complain(commands, got.results)
	}
}

// UnreadGroups returns the groups in which users have unread messages, in one pipeline. in is the
// groups that each user is in, with the counters of the records. These count where Redis has lost
// its own, which are filled from them.
func (r *Copy) UnreadGroups(
	ctx context.Context, in map[uint32][]chat.Change,
) (unread map[uint32][]chat.Count, err error) {
	q := askedGroups{at: r.unread.known(), index: make(map[string]int)}
	for _, groups := range in {
		for _, c := range groups {
			q.add(countKey(c.Talk.A))
			q.add(levelKey(c.Users[0].User, c.Talk.A))
		}
	}
	if len(q.commands) == 0 {
		return nil, nil
	}
	if q.got, err = r.consult(ctx, r.unread, q.at, q.commands); err != nil {
		return nil, err
	}
	if !q.got.sound {
		_, _ = r.freshEpoch(ctx, r.unread) // to fill in the right epoch
	}
	fillAt := r.unread.known()
	unread = make(map[uint32][]chat.Count, len(in))
	var fills []link.Command
	for user, groups := range in {
		for _, c := range groups {
			if n := q.unread(c); n > 0 {
				unread[user] = append(unread[user], chat.Count{Talk: c.Talk, Unread: n})
			}
			fills = q.fills(fills, fillAt, c)
		}
	}
	if len(fills) > 0 && fillAt > firstEpoch {
		r.fill(ctx, fillAt, fills)
	}
	return unread, nil
}

// askedGroups is one question for counts and levels of groups.
type askedGroups struct {
	at       uint32 // the epoch
	commands []link.Command
	index    map[string]int  // by key, where its value is among the results; its epoch comes next
	filled   map[string]bool // the keys for which fills has made a command
	got      answers
}

func (q *askedGroups) add(key string) {
	if _, asked := q.index[key]; !asked {
		q.index[key] = len(q.commands)
		q.commands = append(q.commands, link.Plain("HGET", key, "count"),
			link.Plain("HGET", link.Companion(key), "epoch"))
	}
}

// value is the value of a key. For one that was lost it is that of the records, if they count the
// talk.
func (q *askedGroups) value(key string, rev, recorded uint32) uint32 {
	i := q.index[key]
	if rev > 0 && !q.got.complete(q.at, i+1) {
		return recorded
	}
	return count(text(q.got.results[i]))
}

// unread is how many messages of a group its user has not seen. A user whose level is ahead of the
// count has seen all.
func (q *askedGroups) unread(c chat.Change) uint32 {
	u := c.Users[0]
	sent := q.value(countKey(c.Talk.A), c.Rev, c.Count)
	level := q.value(levelKey(u.User, c.Talk.A), c.Rev, c.Count-u.Unread)
	return sent - min(level, sent)
}

// fills appends the commands that fill the keys of a group that were lost.
func (q *askedGroups) fills(to []link.Command, at uint32, c chat.Change) []link.Command {
	u := c.Users[0]
	add := func(key string, value uint32) {
		if q.filled[key] || q.got.complete(q.at, q.index[key]+1) {
			return
		}
		if q.filled == nil {
			q.filled = make(map[string]bool)
		}
		q.filled[key] = true
		to = append(to, link.Run(fillCount, key, decimal(at), decimal(value), revision(at, c.Rev)))
	}
	add(countKey(c.Talk.A), c.Count)
	add(levelKey(u.User, c.Talk.A), c.Count-u.Unread)
	return to
}
