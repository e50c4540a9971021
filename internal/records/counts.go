package records

import (
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// What a follower asks to give back what its copy has lost: how things stand, as changes would say it.

// PairsNow returns all pairs of these users that are counted. Users of each names those of them who were asked for.
func (s *Store) PairsNow(ctx context.Context, users []uint32) (pairs []chat.Change, err error) {
	asked := make(map[uint32]bool, len(users))
	for _, user := range users {
		asked[user] = true
	}
	const columns = "SELECT a,b,relateId,lastId,sentA,sentB,readA,readB,rev FROM IMProxyTalk WHERE kind=1 AND rev>0 AND "
	seen := make(map[chat.Talk]bool)
	err = chunked(users, func(users []uint32) error {
		in := " IN (" + marks(len(users)) + ")"
		return s.query(ctx, "counters", columns+"a"+in+" UNION ALL "+columns+"b"+in, slices.Concat(args(users), args(users)), func(scan scanner) error {
			talk, t := chat.Talk{Kind: chat.Pair}, talkRow{}
			err := scan(&talk.A, &talk.B, &t.relation, &t.lastID, &t.sentA, &t.sentB, &t.readA, &t.readB, &t.rev)
			if err != nil || seen[talk] {
				return err
			}
			seen[talk] = true
			c := chat.Change{Talk: talk, Relation: t.relation, Rev: t.rev, LastID: t.lastID}
			for _, user := range []uint32{talk.A, talk.B} {
				if asked[user] {
					c.Users = append(c.Users, chat.Moved{User: user, Unread: t.unread(talk, user)})
				}
			}
			pairs = append(pairs, c)
			return nil
		})
	})
	return pairs, err
}

// InGroups returns the groups that each user is in, the latest joined first, with their Count and what the user has not
// seen of it. Rev is 0 where nothing is counted yet.
func (s *Store) InGroups(ctx context.Context, users []uint32) (map[uint32][]chat.Change, error) {
	groups := make(map[uint32][]chat.Change, len(users))
	type entry struct{ user, group uint32 }
	seen := make(map[entry]bool)
	err := chunked(users, func(users []uint32) error {
		return s.query(ctx, "counters of groups", `SELECT m.userId,m.groupId,COALESCE(t.lastId,0),COALESCE(t.sentA,0),COALESCE(l.level,0),COALESCE(t.rev,0)
 FROM IMGroupMember m LEFT JOIN IMProxyTalk t ON t.kind=2 AND t.a=m.groupId AND t.b=0
 LEFT JOIN IMProxyLevel l ON l.userId=m.userId AND l.groupId=m.groupId
 WHERE m.status=0 AND m.userId IN (`+marks(len(users))+") ORDER BY m.userId, m.updated DESC, m.id DESC", args(users), func(scan scanner) error {
			var user, group, level uint32
			c := chat.Change{}
			if err := scan(&user, &group, &c.LastID, &c.Count, &level, &c.Rev); err != nil || seen[entry{user, group}] {
				return err
			}
			seen[entry{user, group}] = true
			c.Talk = chat.GroupTalk(group)
			c.Users = []chat.Moved{{User: user, Unread: c.Count - min(level, c.Count)}}
			groups[user] = append(groups[user], c)
			return nil
		})
	})
	return groups, err
}

// GroupsNow returns the members and mutes of groups. They are read after Rev, so they may be newer, but are not older.
func (s *Store) GroupsNow(ctx context.Context, groups []uint32) ([]chat.Change, error) {
	now := make(map[uint32]*chat.Change, len(groups))
	for _, group := range groups {
		now[group] = &chat.Change{Talk: chat.GroupTalk(group)}
	}
	joins := make(map[member]uint32)
	mutes := make(map[member]uint32)
	err := chunked(groups, func(groups []uint32) error {
		in := " IN (" + marks(len(groups)) + ")"
		err := s.query(ctx, "groups", "SELECT a,lastId,sentA,rev FROM IMProxyTalk WHERE kind=2 AND b=0 AND a"+in, args(groups), func(scan scanner) error {
			var group, last, sent, rev uint32
			err := scan(&group, &last, &sent, &rev)
			now[group].LastID, now[group].Count, now[group].Rev = last, sent, rev
			return err
		})
		if err != nil {
			return err
		}
		err = s.query(ctx, "members", "SELECT groupId,userId,updated FROM IMGroupMember WHERE status=0 AND groupId"+in, args(groups), values(joins))
		if err != nil {
			return err
		}
		return s.query(ctx, "mutes", "SELECT groupId,userId,value FROM IMProxyMute WHERE groupId"+in, args(groups), values(mutes))
	})
	for m, at := range joins {
		now[m.group].Members = append(now[m.group].Members, chat.Member{User: m.user, Joined: at})
	}
	for m, value := range mutes {
		now[m.group].Mutes = append(now[m.group].Mutes, chat.Mute{User: m.user, Value: value})
	}
	changes := make([]chat.Change, 0, len(now))
	for _, group := range sortedKeys(now) {
		changes = append(changes, *now[group])
	}
	return changes, err
}

// values reads rows of group, user and a value; the largest when a member has several.
func values(into map[member]uint32) func(scanner) error {
	return func(scan scanner) error {
		var m member
		var value uint32
		err := scan(&m.group, &m.user, &value)
		into[m] = max(into[m], value)
		return err
	}
}

// DevicesNow returns the push tokens that users have set. Token is empty where it belongs to another user by now.
func (s *Store) DevicesNow(ctx context.Context, users []uint32) (devices []chat.Device, err error) {
	read := func(users []uint32) error {
		in := marks(len(users))
		owners := make(map[string]uint32)
		var some []chat.Device
		var tokens []any
		seen := make(map[uint32]bool)
		err := s.query(ctx, "push tokens", "SELECT userId,device,rev FROM IMProxyDevice WHERE userId IN ("+in+")", args(users), func(scan scanner) error {
			var d chat.Device
			if err := scan(&d.User, &d.Device, &d.Rev); err != nil || seen[d.User] {
				return err
			}
			seen[d.User] = true
			token, ok := "", false
			if _, token, ok = chat.SplitDevice(d.Device); !ok {
				token = d.Device
			}
			if d.Token = token; token != "" {
				tokens = append(tokens, tokenDigest(token))
			}
			some = append(some, d)
			return nil
		})
		if err != nil {
			return err
		}
		if len(tokens) > 0 {
			err = s.query(ctx, "owners of push tokens", "SELECT digest,userId FROM IMProxyToken WHERE digest IN ("+marks(len(tokens))+")", tokens,
				func(scan scanner) error {
					var digest string
					var owner uint32
					err := scan(&digest, &owner)
					owners[digest] = owner
					return err
				})
		}
		for _, d := range some {
			if owners[tokenDigest(d.Token)] != d.User {
				d.Token = ""
			}
			devices = append(devices, d)
		}
		return err
	}
	return devices, chunked(users, read)
}
