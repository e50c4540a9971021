package records

import (
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Unread implements chat.Counters.
func (s *Store) Unread(ctx context.Context, users []uint32) (map[uint32][]chat.Count, error) {
	unread := make(map[uint32][]chat.Count, len(users))
	err := sqldb.Chunked(users, func(users []uint32) error {
		in := sqldb.Params(len(users))
		query := "SELECT a,b,sentB-readA FROM IMProxyTalk WHERE kind=1 AND sentB>readA AND a IN (" +
			in + ") UNION ALL SELECT b,a,sentA-readB FROM IMProxyTalk WHERE kind=1 AND " +
			"sentA>readB AND b IN (" + in + ")"
		params := slices.Repeat(sqldb.Args(users), 2)
		err := s.db.Query(ctx, "unread counters", query, params, func(scan sqldb.Scanner) error {
			var user, peer, n uint32
			err := scan(&user, &peer, &n)
			unread[user] = append(unread[user],
				chat.Count{Talk: chat.PairTalk(user, peer), Unread: n})
			return err
		})
		if err != nil {
			return err
		}
		query = "SELECT m.userId,m.groupId,t.sentA-COALESCE(l.level,0)" +
			sqldb.WithParams(memberTalks, len(users)) + " ORDER BY m.joined DESC, m.id DESC"
		return s.db.Query(ctx, "unread counters of groups", query, sqldb.Args(users),
			func(scan sqldb.Scanner) error {
				var user, group, n uint32
				err := scan(&user, &group, &n)
				unread[user] = append(unread[user],
					chat.Count{Talk: chat.GroupTalk(group), Unread: n})
				return err
			})
	})
	return unread, err
}

// memberTalks are the groups that users are in, with how much was sent and how much each has seen.
const memberTalks = ` FROM (SELECT userId,groupId,MAX(updated) AS joined,MAX(id) AS id FROM IMGroupMember WHERE status=0 AND userId IN (%s)
  GROUP BY userId,groupId) m JOIN IMProxyTalk t ON t.kind=2 AND t.a=m.groupId AND t.b=0
 LEFT JOIN IMProxyLevel l ON l.userId=m.userId AND l.groupId=m.groupId WHERE t.sentA>COALESCE(l.level,0)`

// UnreadTotals implements chat.Counters.
func (s *Store) UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	totals := make(map[uint32]uint32, len(users))
	err := sqldb.Chunked(users, func(users []uint32) error {
		in := sqldb.Params(len(users))
		query := "SELECT a,SUM(sentB-readA) FROM IMProxyTalk WHERE kind=1 AND sentB>readA AND a " +
			"IN (" + in + ") GROUP BY a UNION ALL SELECT b,SUM(sentA-readB) FROM IMProxyTalk " +
			"WHERE kind=1 AND sentA>readB AND b IN (" + in + ") GROUP BY b UNION ALL SELECT " +
			"m.userId,SUM(t.sentA-COALESCE(l.level,0))" +
			sqldb.WithParams(memberTalks, len(users)) + " GROUP BY m.userId"
		params := slices.Repeat(sqldb.Args(users), 3)
		return s.db.Query(ctx, "unread totals", query, params, func(scan sqldb.Scanner) error {
			var user, n uint32
			err := scan(&user, &n)
			totals[user] += n
			return err
		})
	})
	return totals, err
}
