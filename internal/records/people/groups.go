package people

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// GroupColumns are what is read of every group, as g of a query.
const GroupColumns = "g.id,g.name,g.avatar,g.creator,g.type,g.version"

// ScanGroup reads GroupColumns and more columns behind them. A type beyond a byte's range is 0.
func ScanGroup(scan sqldb.Scanner, more ...any) (g chat.GroupInfo, err error) {
	own := []any{&g.ID, &g.Name, &g.Avatar, &g.Creator, &g.Type, &g.Version}
	err = scan(append(own, more...)...)
	return g, err
}

// AllGroups returns every group that exists, ascending by id.
func (r Roster) AllGroups(ctx context.Context) ([]chat.GroupSummary, error) {
	return r.summaries(ctx, "")
}

// GroupsOf returns every group that user is in, ascending by id.
func (r Roster) GroupsOf(ctx context.Context, user uint32) ([]chat.GroupSummary, error) {
	return r.summaries(ctx,
		"WHERE g.id IN (SELECT groupId FROM IMGroupMember WHERE userId=? AND status=0)", user)
}

// GroupsNamed returns the ids of the groups that exist and have exactly that name, ascending.
func (r Roster) GroupsNamed(ctx context.Context, name string) (ids []uint32, err error) {
	query := "SELECT g.id,g.name FROM IMGroup g WHERE g.name=? AND EXISTS" +
		" (SELECT 1 FROM IMGroupMember m WHERE m.groupId=g.id AND m.status=0) ORDER BY g.id"
	err = sqldb.ByText(r.db, []string{name}, func(names []string) error {
		return sqldb.Each(ctx, r.db, query, sqldb.Args(names), func(scan sqldb.Scanner) error {
			var id uint32
			var found string
			err := scan(&id, &found)
			if found == name { // some engines ignore trailing spaces
				ids = append(ids, id)
			}
			return err
		})
	})
	return ids, r.db.Fail("reading groups", err)
}

func (r Roster) summaries(
	ctx context.Context, where string, params ...any,
) (groups []chat.GroupSummary, err error) {
	query := "SELECT " + GroupColumns +
		",c.size,COALESCE(t.sentA,0),COALESCE(t.rev,0)>0,g.created,g.lastChated FROM IMGroup g" +
		" JOIN (SELECT groupId,COUNT(DISTINCT userId) size FROM IMGroupMember WHERE status=0" +
		" GROUP BY groupId) c ON c.groupId=g.id" +
		" LEFT JOIN IMProxyTalk t ON t.kind=2 AND t.a=g.id AND t.b=0 " + where + " ORDER BY g.id"
	err = sqldb.Each(ctx, r.db, query, params, func(scan sqldb.Scanner) (err error) {
		var g chat.GroupSummary
		g.GroupInfo, err = ScanGroup(scan, &g.Size, &g.Messages, &g.Counted, &g.Created,
			&g.LastTalk)
		groups = append(groups, g)
		return err
	})
	return groups, r.db.Fail("reading groups", err)
}

// Memberships returns who is in a group and since when, ascending by user.
func (r Roster) Memberships(
	ctx context.Context, group uint32,
) (members []chat.Membership, err error) {
	query := "SELECT userId,MIN(updated) FROM IMGroupMember WHERE groupId=? AND status=0" +
		" GROUP BY userId ORDER BY userId"
	err = sqldb.Each(ctx, r.db, query, []any{group}, sqldb.Onto(&members,
		func(m *chat.Membership) []any { return []any{&m.User, &m.Joined} }))
	return members, r.db.Fail("reading members", err)
}
