package redis

import (
	"context"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Unread returns the talks in which users have unread messages, pairs first, in one pipeline. in is
// the groups that each user is in. Where something was lost, the records count, and fill it.
func (r *Copy) Unread(
	ctx context.Context, users []uint32, in map[uint32][]chat.UserGroup,
) (map[uint32][]chat.Count, error) {
	q := r.askUnread(users, in)
	if err := r.consult(ctx, &q.lookup); err != nil {
		return nil, err
	}
	unread := make(map[uint32][]chat.Count, len(users))
	var lost []uint32
	for i, user := range users {
		if pairs, ok := q.pairs(i); ok && q.completeGroups(i) {
			unread[user] = q.groups(i, pairs)
		} else {
			lost = append(lost, user)
		}
	}
	if len(lost) == 0 {
		return unread, nil
	}
	if _, err := r.soundEpoch(ctx, &q.lookup); err != nil {
		return nil, err
	}
	return unread, r.recount(ctx, lost, unread)
}

// recount asks once more for users of whom something was lost, after the records: so what is
// counted meanwhile is not taken from one of the two alone. It puts what users have unread into
// unread, and what was lost into Redis.
func (r *Copy) recount(
	ctx context.Context, users []uint32, unread map[uint32][]chat.Count,
) error {
	in, err := r.records.InGroupsNow(ctx, users)
	if err != nil {
		return err
	}
	q := r.askUnread(users, in)
	if err := r.consult(ctx, &q.lookup); err != nil {
		return err
	}
	pairs := make(map[uint32][]chat.Count, len(users))
	var lost []uint32
	for i, user := range users {
		var ok bool
		if pairs[user], ok = q.pairs(i); !ok {
			lost = append(lost, user)
		}
	}
	fills, err := r.fillPairs(ctx, q.at, lost, pairs)
	if err != nil {
		return err
	}
	for i, user := range users {
		unread[user] = q.groups(i, pairs[user])
	}
	if q.at > firstEpoch {
		fills = append(fills, q.fillGroups()...)
	}
	if len(fills) > 0 {
		// What fails is filled when somebody reads the key next.
		if got, err := r.ask(ctx, r.unread, q.at, fills); err == nil {
			r.complain(fills, got.results)
		}
	}
	return nil
}

// fillPairs puts what the records know of users in place of what Redis has, and returns the commands
// that put it into Redis.
func (r *Copy) fillPairs(
	ctx context.Context, at uint32, users []uint32, pairs map[uint32][]chat.Count,
) (commands []link.Command, err error) {
	if len(users) == 0 {
		return nil, nil
	}
	known, err := r.records.PairsNow(ctx, users)
	if err != nil {
		return nil, err
	}
	rows := make(map[uint32][]string, len(users))
	counted := make(map[chat.Talk]bool, len(known))
	for _, c := range known {
		counted[c.Talk] = true
	}
	for _, user := range users {
		pairs[user] = slices.DeleteFunc(pairs[user],
			func(c chat.Count) bool { return counted[c.Talk] })
	}
	for _, c := range known {
		for _, u := range c.Users {
			rows[u.User] = append(rows[u.User], decimal(c.Talk.Peer(u.User)), decimal(u.Unread),
				revision(at, c.Rev))
			if u.Unread > 0 {
				pairs[u.User] = append(pairs[u.User], chat.Count{Talk: c.Talk, Unread: u.Unread})
			}
		}
	}
	for _, user := range users {
		commands = append(commands, link.Run(fillPairs, unreadKey(user),
			append([]string{decimal(at)}, rows[user]...)...))
	}
	return commands, nil
}

// askedUnread looks up what users have unread. Of each user it asks for the pairs, and
// right after that for the level in each group. The count of a group is asked for once.
type askedUnread struct {
	lookup
	users  []uint32
	in     map[uint32][]chat.UserGroup
	first  []int          // by user, the number of the key with the pairs
	counts map[uint32]int // by group, the number of the key with its count
}

func (r *Copy) askUnread(users []uint32, in map[uint32][]chat.UserGroup) *askedUnread {
	q := &askedUnread{lookup: about(r.unread), users: users, in: in,
		first: make([]int, len(users)), counts: make(map[uint32]int)}
	for i, user := range users {
		for _, g := range in[user] {
			if _, asked := q.counts[g.Group]; !asked {
				q.counts[g.Group] = q.read("HGET", countKey(g.Group), "count")
			}
		}
		q.first[i] = q.read("HGETALL", unreadKey(user))
		for _, g := range in[user] {
			q.read("HGET", levelKey(user, g.Group), "count")
		}
	}
	return q
}

// level is the number of the key with the level of the i-th user in the j-th group.
func (q *askedUnread) level(i, j int) int { return q.first[i] + 1 + j }

// pairs is what the i-th user has unread of peers, zeros left out. If the key may lack something,
// ok is false.
func (q *askedUnread) pairs(i int) (pairs []chat.Count, ok bool) {
	user := q.users[i]
	fields, err := q.answer(q.first[i]).AsStrMap()
	pairs = make([]chat.Count, 0, len(fields)+len(q.in[user]))
	for peer, n := range fields {
		id, err := strconv.ParseUint(peer, 10, 32)
		if n := count(n); err == nil && n > 0 && uint32(id) != user {
			pairs = append(pairs, chat.Count{Talk: chat.PairTalk(user, uint32(id)), Unread: n})
		}
	}
	return pairs, err == nil && q.complete(q.first[i])
}

// completeGroups reports whether nothing is lacking of the groups of the i-th user.
func (q *askedUnread) completeGroups(i int) bool {
	for j, g := range q.in[q.users[i]] {
		if !q.complete(q.counts[g.Group]) || !q.complete(q.level(i, j)) {
			return false
		}
	}
	return true
}

// groups appends the groups in which the i-th user has unread messages. A user whose level is ahead
// of the count has seen all.
func (q *askedUnread) groups(i int, to []chat.Count) []chat.Count {
	for j, g := range q.in[q.users[i]] {
		sent := q.value(q.counts[g.Group], g.Rev, g.Count)
		if level := q.value(q.level(i, j), g.Rev, g.Level); level < sent {
			to = append(to, chat.Count{Talk: chat.GroupTalk(g.Group), Unread: sent - level})
		}
	}
	return to
}

// value is the value of a key. For one that was lost it is that of the records, if they count the
// talk.
func (q *askedUnread) value(n int, rev, recorded uint32) uint32 {
	if rev > 0 && !q.complete(n) {
		return recorded
	}
	return count(text(*q.answer(n)))
}

// fillGroups returns the commands that fill the keys of groups that were lost.
func (q *askedUnread) fillGroups() (commands []link.Command) {
	filled := make(map[int]bool)
	fill := func(n int, key string, value, rev uint32) {
		if !filled[n] && !q.complete(n) {
			filled[n] = true
			commands = append(commands, link.Run(fillCount, key, decimal(q.at), decimal(value),
				revision(q.at, rev)))
		}
	}
	for i, user := range q.users {
		for j, g := range q.in[user] {
			fill(q.counts[g.Group], countKey(g.Group), g.Count, g.Rev)
			fill(q.level(i, j), levelKey(user, g.Group), g.Level, g.Rev)
		}
	}
	return commands
}
