package records

import (
	"cmp"
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Unread implements chat.Counters.
func (s *Store) Unread(ctx context.Context, users []uint32) (map[uint32][]chat.Count, error) {
	unread := make(map[uint32][]chat.Count, len(users))
	in := make(map[uint32][]unreadGroup)
	err := s.unread(ctx, users, "a,b,sentB-readA", "b,a,sentA-readB", "",
		func(user, peer, n uint32) {
			unread[user] = append(unread[user],
				chat.Count{Talk: chat.PairTalk(user, peer), Unread: n})
		},
		func(user uint32, g unreadGroup) { in[user] = append(in[user], g) })
	for user, groups := range in {
		slices.SortFunc(groups, latestJoined)
		seen := make(map[uint32]bool, len(groups))
		for _, g := range groups {
			if !seen[g.group] {
				seen[g.group] = true
				unread[user] = append(unread[user],
					chat.Count{Talk: chat.GroupTalk(g.group), Unread: g.unread})
			}
		}
	}
	return unread, err
}

// UnreadTotals implements chat.Counters.
func (s *Store) UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	totals := make(map[uint32]uint32, len(users))
	seen := make(map[chat.UserInGroup]bool)
	err := s.unread(ctx, users, "a,0,SUM(sentB-readA)", "b,0,SUM(sentA-readB)", " GROUP BY 1",
		func(user, _, n uint32) { totals[user] += n },
		func(user uint32, g unreadGroup) {
			if m := (chat.UserInGroup{Group: g.group, User: user}); !seen[m] {
				seen[m] = true
				totals[user] += g.unread
			}
		})
	return totals, err
}

// unreadGroup is a row of a member in a group that has unread messages. A member may have several.
type unreadGroup struct{ group, unread, joined, id uint32 }

// latestJoined sorts the group that was joined last first.
func latestJoined(a, b unreadGroup) int {
	return cmp.Or(cmp.Compare(b.joined, a.joined), cmp.Compare(b.id, a.id))
}

// unread reads in one statement what users have unread. ofA and ofB are what is read of the rows of
// pairs, of their first and of their second user; group groups these. Each pair and group is told
// of by itself.
func (s *Store) unread(
	ctx context.Context, users []uint32, ofA, ofB, group string,
	pair func(user, peer, n uint32), inGroup func(user uint32, g unreadGroup),
) error {
	return sqldb.Chunked(users, func(users []uint32) error {
		in := " IN (" + sqldb.Params(len(users)) + ")"
		// +kind is kind, but for SQLite, which else reads all pairs by the primary key.
		query := "SELECT " + ofA + ",1,0,0 FROM IMProxyTalk WHERE kind=1 AND sentB>readA AND a" +
			in + group + " UNION ALL SELECT " + ofB + ",1,0,0 FROM IMProxyTalk WHERE +kind=1 AND" +
			" sentA>readB AND b" + in + group + ` UNION ALL
SELECT m.userId,m.groupId,t.sentA-COALESCE(l.level,0),2,m.updated,m.id FROM IMGroupMember m
 JOIN IMProxyTalk t ON t.kind=2 AND t.a=m.groupId AND t.b=0
 LEFT JOIN IMProxyLevel l ON l.userId=m.userId AND l.groupId=m.groupId
 WHERE m.status=0 AND m.userId` + in + " AND t.sentA>COALESCE(l.level,0)"
		args := slices.Repeat(sqldb.Args(users), 3)
		return s.db.Query(ctx, "unread counters", query, args, func(scan sqldb.Scanner) error {
			var user, kind uint32
			var g unreadGroup
			err := scan(&user, &g.group, &g.unread, &kind, &g.joined, &g.id)
			if chat.TalkKind(kind) == chat.Group {
				inGroup(user, g)
			} else {
				pair(user, g.group, g.unread)
			}
			return err
		})
	})
}
