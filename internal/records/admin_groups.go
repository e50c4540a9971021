package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// AllGroups returns every group that exists, ascending by id.
func (s *Store) AllGroups(ctx context.Context) ([]chat.GroupSummary, error) {
	return s.summaries(ctx, "")
}

// GroupsOf returns every group that user is in, ascending by id.
func (s *Store) GroupsOf(ctx context.Context, user uint32) ([]chat.GroupSummary, error) {
	return s.summaries(ctx,
		"WHERE g.id IN (SELECT groupId FROM IMGroupMember WHERE userId=? AND status=0)", user)
}

// GroupsNamed returns the ids of the groups that exist and have exactly that name, ascending.
func (s *Store) GroupsNamed(ctx context.Context, name string) (ids []uint32, err error) {
	query := "SELECT g.id,g.name FROM IMGroup g WHERE g.name=? AND EXISTS" +
		" (SELECT 1 FROM IMGroupMember m WHERE m.groupId=g.id AND m.status=0) ORDER BY g.id"
	err = sqldb.ByText(s.db, []string{name}, func(names []string) error {
		return sqldb.Each(ctx, s.db, query, sqldb.Args(names), func(scan sqldb.Scanner) error {
			var id uint32
			var found string
			err := scan(&id, &found)
			if found == name { // some engines ignore trailing spaces
				ids = append(ids, id)
			}
			return err
		})
	})
	return ids, s.db.Fail("reading groups", err)
}

func (s *Store) summaries(
	ctx context.Context, where string, params ...any,
) (groups []chat.GroupSummary, err error) {
	query := "SELECT " + groupColumns +
		",c.size,COALESCE(t.sentA,0),COALESCE(t.rev,0)>0,g.created,g.lastChated FROM IMGroup g" +
		" JOIN (SELECT groupId,COUNT(DISTINCT userId) size FROM IMGroupMember WHERE status=0" +
		" GROUP BY groupId) c ON c.groupId=g.id" +
		" LEFT JOIN IMProxyTalk t ON t.kind=2 AND t.a=g.id AND t.b=0 " + where + " ORDER BY g.id"
	err = sqldb.Each(ctx, s.db, query, params, func(scan sqldb.Scanner) (err error) {
		var g chat.GroupSummary
		g.GroupInfo, err = scanGroup(scan, &g.Size, &g.Messages, &g.Counted, &g.Created,
			&g.LastTalk)
		groups = append(groups, g)
		return err
	})
	return groups, s.db.Fail("reading groups", err)
}

// Memberships returns who is in a group and since when, ascending by user.
func (s *Store) Memberships(
	ctx context.Context, group uint32,
) (members []chat.Membership, err error) {
	query := "SELECT userId,MIN(updated) FROM IMGroupMember WHERE groupId=? AND status=0" +
		" GROUP BY userId ORDER BY userId"
	err = sqldb.Each(ctx, s.db, query, []any{group}, sqldb.Onto(&members,
		func(m *chat.Membership) []any { return []any{&m.User, &m.Joined} }))
	return members, s.db.Fail("reading members", err)
}
