package repair

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// memberKey is the key by which members are found.
const memberKey = "groupId,userId,status"

// members finds users who are in a group several times.
func (c *Examination) members(ctx context.Context, after, upTo int64) (faults []Fault, err error) {
	other := "EXISTS (SELECT 1 FROM IMGroupMember d" + c.by("IMGroupMember", memberKey) +
		" WHERE d.groupId=m.groupId AND d.userId=m.userId AND d.status=0 AND d.id"
	query := "SELECT m.id,m.groupId,m.userId FROM IMGroupMember m" +
		" WHERE m.id>? AND m.id<=? AND m.status=0 AND " +
		other + "<m.id) AND NOT " + other + ">m.id) ORDER BY m.id"
	err = c.query(ctx, "members", query, []any{after, upTo}, func(scan sqldb.Scanner) error {
		f := Fault{Kind: finding.DuplicateMember, Table: "IMGroupMember",
			Talk: chat.Talk{Kind: chat.Group}}
		err := scan(&f.Row, &f.Talk.A, &f.User)
		f.Text = fmt.Sprintf("user %d is in %s several times", f.User, f.Talk)
		faults = append(faults, f)
		return err
	})
	return faults, err
}

// userCounts finds groups whose userCnt is not the number of their members, or whose type is not
// told to peers.
func (c *Examination) userCounts(
	ctx context.Context, after, upTo int64,
) (faults []Fault, err error) {
	query := "SELECT g.id,g.userCnt,(SELECT COUNT(DISTINCT m.userId) FROM IMGroupMember m" +
		c.by("IMGroupMember", memberKey) + " WHERE m.groupId=g.id AND m.status=0)" +
		" FROM IMGroup g WHERE g.id>? AND g.id<=? ORDER BY g.id"
	err = c.query(ctx, "groups", query, []any{after, upTo}, func(scan sqldb.Scanner) error {
		var group, says, has uint32
		err := scan(&group, &says, &has)
		if says != has {
			faults = append(faults, Fault{Kind: finding.WrongUserCount, Table: "IMGroup",
				Row: int64(group), Talk: chat.GroupTalk(group),
				Text: fmt.Sprintf("group %d has %d members, userCnt says %d", group, has, says)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	_, told := c.records.TypesTold()
	others, err := c.otherTypes(ctx, finding.OtherGroupType, "IMGroup", told, after, upTo)
	return append(faults, others...), err
}

// mendMembers leaves of each member of a group the row by which it joined first, which is how far
// back it may read, and counts the members.
func (c *Examination) mendMembers(ctx context.Context, h held, f Fault) (why string, err error) {
	rows := make(map[uint32][]int64) // by user; the one that joined first comes first
	query := "SELECT id,userId FROM IMGroupMember WHERE groupId=? AND status=0 ORDER BY updated, id"
	err = sqldb.Each(ctx, h.tx, query, []any{f.Talk.A}, func(scan sqldb.Scanner) error {
		var id int64
		var user uint32
		err := scan(&id, &user)
		rows[user] = append(rows[user], id)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, user := range slices.Sorted(maps.Keys(rows)) {
		all := rows[user]
		if err := c.retire(ctx, h, "IMGroupMember", all[1:], all[0]); err != nil {
			return "", err
		}
	}
	_, err = sqldb.Exec(ctx, h.tx, "UPDATE IMGroup SET userCnt=? WHERE id=?", len(rows), f.Talk.A)
	return "", err
}
