package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
)

// Comparison compares Redis with the state of the records, and reconciles it with them, for the
// doctor. It reads and writes the same keys as proxies at work do, by the same revisions. Comparing
// works on a Copy that is not in Use; reconciling needs one that is.
type Comparison struct{ Copy *Copy }

// Apply applies commits whose counts have not been applied.
func (c Comparison) Apply(ctx context.Context, commits []chat.Commit) error {
	return c.Copy.Apply(ctx, commits)
}

// perPipeline is how many commands one pipeline has at most.
const perPipeline = 1000

// Reachable asks every instance for an answer. The error says which has none, and why.
func (c Comparison) Reachable(ctx context.Context) error {
	for _, ro := range c.Copy.roles {
		if _, err := ro.Do(ctx, link.Plain("GET", epochKey(ro.name))); err != nil {
			return err
		}
	}
	return nil
}

// question is some commands, each with a function that reads the answer (nil: nobody does).
type question struct {
	commands []link.Command
	readers  []func(rueidis.RedisMessage)
}

func (q *question) add(c link.Command, read func(rueidis.RedisMessage)) {
	q.commands, q.readers = append(q.commands, c), append(q.readers, read)
}

// ask sends the commands, some at a time, and has the answers read, in their order. It ends with
// the first error.
func (q *question) ask(ctx context.Context, ro *role) error {
	for len(q.commands) > 0 {
		n := min(len(q.commands), perPipeline)
		results, err := ro.Do(ctx, q.commands[:n]...)
		if err != nil {
			return err
		}
		for i, r := range results {
			if err := failure(r); err != nil {
				return fmt.Errorf("%s: %w", q.commands[i].Keys[0], err)
			}
			if read := q.readers[i]; read != nil {
				read(r)
			}
		}
		q.commands, q.readers = q.commands[n:], q.readers[n:]
	}
	return nil
}

// epochOf is a role's epoch as it stands in Redis; 0: there is none.
func (c Comparison) epochOf(ctx context.Context, ro *role) (uint32, error) {
	results, err := ro.Do(ctx, link.Plain("GET", epochKey(ro.name)))
	if err != nil {
		return 0, err
	}
	id, _ := parseEpoch(text(results[0]))
	return id, nil
}

// Compare tells how Redis differs from the state of talks; i is the index of the talk in states.
// With whole it also tells which unread counters, counts and mutes of the records Redis has lost.
// That is asked before the records are given up: originals move these in Redis alone.
func (c Comparison) Compare(
	ctx context.Context, states []chat.Change, whole bool,
	differs func(i int, kind finding.Kind, text string),
) error {
	epoch, err := c.epochOf(ctx, c.Copy.unread)
	if err != nil {
		return err
	}
	var unread, members, mutes question
	for i, s := range states {
		tell := func(kind finding.Kind, format string, args ...any) {
			differs(i, kind, nameOf(s, kind)+": "+fmt.Sprintf(format, args...))
		}
		if s.LastID > 0 {
			unread.add(link.Plain("GET", idKey(reserveOf(s))),
				func(r rueidis.RedisMessage) { compareID(text(r), s.LastID, tell) })
		}
		if s.Talk.Kind == chat.Group {
			compareCounts(&unread, s, epoch, whole, tell)
			members.add(link.Plain("HGETALL", membersKey(s.Talk.A)),
				func(r rueidis.RedisMessage) { compareMembers(r, s, tell) })
			if whole && len(s.Mutes) > 0 {
				mutes.add(link.Plain("HGETALL", mutesKey(s.Talk.A)),
					func(r rueidis.RedisMessage) { compareMutes(r, s, tell) })
			}
			continue
		}
		for _, u := range s.Users {
			if whole && u.Unread > 0 {
				compareUnread(&unread, s, u, epoch, tell)
			}
		}
	}
	if err := unread.ask(ctx, c.Copy.unread); err != nil {
		return err
	}
	if err := members.ask(ctx, c.Copy.groupMember); err != nil {
		return err
	}
	return mutes.ask(ctx, c.Copy.groupSet)
}

// nameOf names the talk for a finding. One about the ids of a pair names the relation, too, as each
// relation has ids of its own.
func nameOf(s chat.Change, kind finding.Kind) string {
	if s.Talk.Kind == chat.Pair && kind == finding.IDBehind {
		return fmt.Sprintf("%s, relation %d", s.Talk, s.Relation)
	}
	return s.Talk.String()
}

func reserveOf(s chat.Change) chat.Reserve {
	return chat.Reserve{Talk: s.Talk, Relation: s.Relation}
}

// telling is told of a difference.
type telling func(kind finding.Kind, format string, args ...any)

func compareID(value string, last uint32, tell telling) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case value == "":
		tell(finding.IDBehind, "Redis has no id, the last message has %d", last)
	case err != nil || n > chat.MaxMsgID:
		tell(finding.IDBehind, "Redis has an id that cannot be, the last message has %d", last)
	case n < int64(last):
		tell(finding.IDBehind, "Redis has id %d, the last message has %d", n, last)
	}
}

// applied reports whether a companion's field ("rev abs") says that a revision was applied.
func applied(field string, epoch, rev uint32) bool {
	applied, _, _ := strings.Cut(field, " ")
	n, err := strconv.ParseUint(applied, 10, 64)
	return err == nil && n >= uint64(epoch)<<32|uint64(rev)
}

func compareUnread(q *question, s chat.Change, u chat.Moved, epoch uint32, tell telling) {
	key, peer := unreadKey(u.User), decimal(s.Talk.Peer(u.User))
	var has uint32
	q.add(link.Plain("HGET", key, peer), func(r rueidis.RedisMessage) { has = count(text(r)) })
	q.add(link.Plain("HGET", link.Companion(key), peer), func(r rueidis.RedisMessage) {
		if has < u.Unread && !applied(text(r), epoch, s.Rev) {
			tell(finding.UnreadBehind, "user %d has %d unread, Redis has %d", u.User, u.Unread, has)
		}
	})
}

// levelsOf is how many messages of a group its users have seen, by user.
func levelsOf(s chat.Change) map[uint32]uint32 {
	levels := make(map[uint32]uint32, len(s.Users))
	for _, u := range s.Users {
		levels[u.User] = s.Count - min(u.Unread, s.Count)
	}
	return levels
}

// compareCounts compares the count of a group, and the levels of its members, which must not be
// ahead of the count.
func compareCounts(q *question, s chat.Change, epoch uint32, whole bool, tell telling) {
	var sent uint32
	key := countKey(s.Talk.A)
	q.add(link.Plain("HGET", key, "count"), func(r rueidis.RedisMessage) { sent = count(text(r)) })
	q.add(link.Plain("HGET", link.Companion(key), "count"), func(r rueidis.RedisMessage) {
		if whole && sent < s.Count && !applied(text(r), epoch, s.Rev) {
			tell(finding.CountBehind, "%d messages were sent, Redis has %d", s.Count, sent)
		}
	})
	levels := levelsOf(s)
	for _, m := range s.Members {
		level := link.Plain("HGET", levelKey(m.User, s.Talk.A), "count")
		q.add(level, func(r rueidis.RedisMessage) {
			level := count(text(r))
			if level > sent && sent >= s.Count {
				tell(finding.LevelAhead, "user %d has seen %d messages of %d in Redis",
					m.User, level, sent)
			}
			if whole && level < levels[m.User] {
				tell(finding.CountBehind, "user %d has seen %d messages, Redis has %d",
					m.User, levels[m.User], level)
			}
		})
	}
}

func compareMembers(r rueidis.RedisMessage, s chat.Change, tell telling) {
	has, _ := r.AsStrMap()
	for _, m := range s.Members {
		name := decimal(m.User)
		if _, in := has[name]; !in {
			tell(finding.MemberMissing, "user %d is a member, Redis does not have it", m.User)
		}
		delete(has, name)
	}
	for name := range has {
		tell(finding.MemberExtra, "Redis has member %.20q, MySQL does not", name)
	}
}

func compareMutes(r rueidis.RedisMessage, s chat.Change, tell telling) {
	has, _ := r.AsStrMap()
	for _, m := range s.Mutes {
		if _, there := has[decimal(m.User)+muteSuffix]; !there && m.Value != 0 {
			tell(finding.MuteMissing, "user %d has set %d, Redis has nothing", m.User, m.Value)
		}
	}
}

// CompareDevices tells which push tokens Redis has lost; i is the index in devices.
func (c Comparison) CompareDevices(
	ctx context.Context, devices []chat.Device, differs func(i int, kind finding.Kind, text string),
) error {
	var q question
	for i, d := range devices {
		if d.Device == "" {
			continue
		}
		q.add(link.Plain("GET", deviceKey(d.User)), func(r rueidis.RedisMessage) {
			if rueidis.IsRedisNil(r.Error()) {
				differs(i, finding.TokenMissing,
					fmt.Sprintf("user %d has set a push token, Redis has none", d.User))
			}
		})
	}
	return q.ask(ctx, c.Copy.token)
}
