package talk

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Member is a user in a group.
type Member = chat.UserInGroup

// MemberRow is what IMGroupMember knows of one user in one group.
type MemberRow struct {
	ID uint32
	In bool // false: the user has left
}

// Members reads everybody who is or was in a group, by user. Of several rows of a user one that
// says "in" counts, else the latest.
func Members(ctx context.Context, q sqldb.Querier, group uint32) (map[uint32]MemberRow, error) {
	rows := make(map[uint32]MemberRow)
	asked := membersOf(group, rows)
	return rows, sqldb.Each(ctx, q, asked.Text, asked.Args, asked.Row)
}

// membersOf fetches what Members reads.
func membersOf(group uint32, found map[uint32]MemberRow) sqldb.Fetch {
	query := "SELECT id,userId,status FROM IMGroupMember WHERE groupId=?" +
		" ORDER BY CASE WHEN status=0 THEN 1 ELSE 0 END, id"
	return sqldb.Fetch{Text: query, Args: []any{group}, Row: func(scan sqldb.Scanner) error {
		var user, status uint32
		var m MemberRow
		err := scan(&m.ID, &user, &status)
		m.In = status == 0
		found[user] = m
		return err
	}}
}

// Current returns the users who are in a group, in any order.
func Current(rows map[uint32]MemberRow) (users []uint32) {
	for user, m := range rows {
		if m.In {
			users = append(users, user)
		}
	}
	return users
}

// MembersAmong fetches which of those asked for are members, into found.
func MembersAmong(d sqldb.Dialect, asked []Member, found map[Member]bool) []sqldb.Fetch {
	return sqldb.Fetches(d, asked, func(asked []Member) sqldb.Fetch {
		query := d.Lookup("groupId,userId", "IMGroupMember", []string{"groupId", "userId"},
			len(asked)) + " AND status=0"
		row := func(scan sqldb.Scanner) error {
			var m Member
			err := scan(&m.Group, &m.User)
			found[m] = true
			return err
		}
		return sqldb.Fetch{Text: query, Args: MemberArgs(asked), Row: row}
	})
}

// MemberArgs are members as arguments of a statement: group and user of each.
func MemberArgs(members []Member) []any {
	return sqldb.ArgsOf(members, func(m Member) []any { return []any{m.Group, m.User} })
}

// SaveLevels stores how many messages of groups users have seen: rows of user, group, level.
func SaveLevels(ctx context.Context, s sqldb.Session, rows []any) error {
	return sqldb.Insert(ctx, s, "IMProxyLevel", "userId,groupId,level", rows,
		s.Upsert([]string{"userId", "groupId"}, []string{"level"}))
}

// SaveMutes stores mute values: rows of group, user, value.
func SaveMutes(ctx context.Context, s sqldb.Session, rows []any) error {
	return sqldb.Insert(ctx, s, "IMProxyMute", "groupId,userId,value", rows,
		s.Upsert([]string{"groupId", "userId"}, []string{"value"}))
}
