package repair

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// memberKey is the key by which members are found.
const memberKey = "groupId,userId,status"

// members finds users who are in a group several times.
func (c *Examination) members(ctx context.Context, after Cursor) (Found, error) {
	found, err := c.chunk(ctx, "IMGroupMember", after, scanRows)
	if err != nil || found.Rows == 0 {
		return found, err
	}
	other := "EXISTS (SELECT 1 FROM IMGroupMember d" + c.by("IMGroupMember", memberKey) + " WHERE d.groupId=m.groupId AND d.userId=m.userId AND d.status=0 AND d.id"
	query := "SELECT m.id,m.groupId,m.userId FROM IMGroupMember m WHERE m.id>? AND m.id<=? AND m.status=0 AND " +
		other + "<m.id) AND NOT " + other + ">m.id) ORDER BY m.id"
	err = c.query(ctx, "members", query, []any{after.a, found.Next.a}, func(scan sqldb.Scanner) error {
		f := Fault{Kind: finding.DuplicateMember, Table: "IMGroupMember", Talk: chat.Talk{Kind: chat.Group}}
		err := scan(&f.Row, &f.Talk.A, &f.User)
		f.Text = fmt.Sprintf("user %d is in %s several times", f.User, f.Talk)
		found.Faults = append(found.Faults, f)
		return err
	})
	return found, err
}

// userCounts finds groups whose userCnt is not the number of their members.
func (c *Examination) userCounts(ctx context.Context, after Cursor) (Found, error) {
	found, err := c.chunk(ctx, "IMGroup", after, scanGroups)
	if err != nil || found.Rows == 0 {
		return found, err
	}
	err = c.query(ctx, "groups", "SELECT g.id,g.userCnt,(SELECT COUNT(DISTINCT m.userId) FROM IMGroupMember m"+c.by("IMGroupMember", memberKey)+" WHERE m.groupId=g.id AND m.status=0)"+
		" FROM IMGroup g WHERE g.id>? AND g.id<=? ORDER BY g.id", []any{after.a, found.Next.a}, func(scan sqldb.Scanner) error {
		var group, says, has uint32
		err := scan(&group, &says, &has)
		if says != has {
			found.Faults = append(found.Faults, Fault{Kind: finding.WrongUserCount, Table: "IMGroup", Row: int64(group), Talk: chat.GroupTalk(group),
				Text: fmt.Sprintf("group %d has %d members, userCnt says %d", group, has, says)})
		}
		return err
	})
	if err != nil {
		return found, err
	}
	_, told := c.records.TypesTold()
	others, err := c.otherTypes(ctx, finding.OtherGroupType, "IMGroup", told, after, found.Next)
	found.Faults = append(found.Faults, others...)
	return found, err
}

// mendMembers leaves of each member of a group the row by which it joined first, which is how far back it may read, and
// counts the members.
func (c *Examination) mendMembers(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx talk.Work, h talk.Held) error {
		rows := make(map[uint32][]int64) // by user, the first to join first
		err := sqldb.Each(ctx, tx, "SELECT id,userId FROM IMGroupMember WHERE groupId=? AND status=0 ORDER BY updated, id", []any{f.Talk.A},
			func(scan sqldb.Scanner) error {
				var id int64
				var user uint32
				err := scan(&id, &user)
				rows[user] = append(rows[user], id)
				return err
			})
		if err != nil {
			return err
		}
		for _, user := range slices.Sorted(maps.Keys(rows)) {
			if err := c.retire(ctx, tx, h, "IMGroupMember", rows[user][1:], rows[user][0]); err != nil {
				return err
			}
		}
		_, err = sqldb.Exec(ctx, tx, "UPDATE IMGroup SET userCnt=? WHERE id=?", len(rows), f.Talk.A)
		return err
	})
	return "", err
}

// talks finds rows of talks, of a kind, whose relation or group is not there. A row that a new message is about to fill
// cannot be seen.
func (c *Examination) talks(kind chat.TalkKind) func(context.Context, Cursor) (Found, error) {
	join, fits := "IMGroup o ON o.id=t.a", "o.id IS NOT NULL"
	if kind == chat.Pair {
		join, fits = "IMRelationShip o ON o.id=t.relateId", "o.id IS NOT NULL AND o.smallId=t.a AND o.bigId=t.b"
	}
	query := "SELECT t.a,t.b,t.relateId,CASE WHEN " + fits + " THEN 0 ELSE 1 END FROM IMProxyTalk t LEFT JOIN " + join +
		" WHERE t.kind=? AND t.a>=? AND (t.a>? OR t.b>?) ORDER BY t.a, t.b LIMIT ?"
	what := fmt.Sprintf("IMProxyTalk %d", kind)
	return func(ctx context.Context, after Cursor) (found Found, err error) {
		if err := c.top(ctx, what, "SELECT COALESCE(MAX(a),0) FROM IMProxyTalk WHERE kind=?", uint32(kind)); err != nil {
			return found, err
		}
		err = c.query(ctx, "talks", query, []any{uint32(kind), after.a, after.a, after.b, scanRows}, func(scan sqldb.Scanner) error {
			t := chat.Talk{Kind: kind}
			var relation uint32
			var stray bool
			err := scan(&t.A, &t.B, &relation, &stray)
			found.Rows, found.Next = found.Rows+1, Cursor{int64(t.A), int64(t.B)}
			if stray {
				f := Fault{Kind: finding.StrayGroup, Talk: t, Text: fmt.Sprintf("%s is counted, but there is no such group", t)}
				if kind == chat.Pair {
					f.Kind = finding.StrayTalk
					f.Text = fmt.Sprintf("%s is counted under relation %d, which is not theirs, or not there", t, relation)
				}
				found.Faults = append(found.Faults, f)
			}
			return err
		})
		found.Done = found.Rows < scanRows
		found.Share = share(found, c.tops[what])
		return found, err
	}
}

// top notes the largest key of a table for its share.
func (c *Examination) top(ctx context.Context, what, query string, args ...any) error {
	if _, known := c.tops[what]; known {
		return nil
	}
	var top int64
	err := c.query(ctx, what, query, args, func(scan sqldb.Scanner) error { return scan(&top) })
	c.tops[what] = top
	return err
}

// mendTalk gives a pair whose relation is not there the one that is, or makes it, as the first message does. Nothing of the
// pair is unread then.
func (c *Examination) mendTalk(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx talk.Work, h talk.Held) error {
		rs, err := c.relationsOf(ctx, tx, []chat.Talk{f.Talk})
		if err != nil || !h.Ours || slices.ContainsFunc(rs[f.Talk], func(r relation) bool { return r.id == h.Relation }) {
			return err
		}
		shard := h.Owner().Shard()
		why = ""
		query := "SELECT 1 FROM " + shard.Table() + " WHERE " + shard.OwnerColumn() + "=? LIMIT 1"
		err = sqldb.Each(ctx, tx, query, []any{h.Relation}, func(sqldb.Scanner) error {
			why = "there are messages under that relation"
			return sqldb.ErrEnough
		})
		if err != nil || why != "" {
			return err
		}
		if err := tx.FindRelation(ctx, h, c.records.Unix()); err != nil {
			return err
		}
		h.ReadA, h.ReadB = h.SentB, h.SentA
		h.Rev++
		if tx.Elsewhere == nil {
			return nil
		}
		changes := []chat.Change{h.Change(f.Talk, []uint32{f.Talk.A, f.Talk.B}, nil)}
		return tx.Record(ctx, chat.Commit{ID: chat.NewCommitID(), Changes: changes}, c.records.Unix())
	})
	return why, err
}

// levels finds users who have seen more of a group than was ever sent, or anything of one that is not there.
func (c *Examination) levels(ctx context.Context, after Cursor) (found Found, err error) {
	if err := c.top(ctx, "IMProxyLevel", "SELECT COALESCE(MAX(userId),0) FROM IMProxyLevel"); err != nil {
		return found, err
	}
	query := "SELECT l.userId,l.groupId,l.level,COALESCE(t.sentA,0) FROM IMProxyLevel l LEFT JOIN IMProxyTalk t ON t.kind=2 AND t.a=l.groupId AND t.b=0" +
		" WHERE l.userId>=? AND (l.userId>? OR l.groupId>?) ORDER BY l.userId, l.groupId LIMIT ?"
	err = c.query(ctx, "levels", query, []any{after.a, after.a, after.b, scanRows}, func(scan sqldb.Scanner) error {
		f := Fault{Kind: finding.LevelAhead, Talk: chat.Talk{Kind: chat.Group}}
		var level, count uint32
		err := scan(&f.User, &f.Talk.A, &level, &count)
		found.Rows, found.Next = found.Rows+1, Cursor{int64(f.User), int64(f.Talk.A)}
		if level > count {
			f.Text = fmt.Sprintf("user %d has seen %d messages of %s, which has had %d", f.User, level, f.Talk, count)
			found.Faults = append(found.Faults, f)
		}
		return err
	})
	found.Done = found.Rows < scanRows
	found.Share = share(found, c.tops["IMProxyLevel"])
	return found, err
}

// mendLevel lowers a level to the count.
func (c *Examination) mendLevel(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx talk.Work, h talk.Held) error {
		_, err := sqldb.Exec(ctx, tx, "UPDATE IMProxyLevel SET level=? WHERE userId=? AND groupId=? AND level>?", h.SentA, f.User, f.Talk.A, h.SentA)
		return err
	})
	return "", err
}

// Range is how much of a table's ids is used.
type Range struct {
	Table string
	Last  int64   // the largest id given out, as far as that is known
	Max   int64   // the largest there can be
	Share float64 // of Max
}

// Ranges returns how much is used of the ids of every table that numbers its rows, the fullest first.
func (c *Examination) Ranges(ctx context.Context) (ranges []Range, err error) {
	next := make(map[string]int64)
	if c.db.Engine() == sqldb.EngineMySQL {
		err := c.query(ctx, "tables", "SELECT TABLE_NAME,COALESCE(AUTO_INCREMENT,0) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE()",
			nil, func(scan sqldb.Scanner) error {
				var name string
				var n int64
				err := scan(&name, &n)
				next[name] = n
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	for _, t := range tables.All() {
		if t.Primary != nil || !c.there(t.Name) {
			continue
		}
		r := Range{Table: t.Name, Max: 1<<31 - 1}
		if t.UnsignedID {
			r.Max = 1<<32 - 1
		}
		err := c.query(ctx, t.Name, "SELECT COALESCE(MAX(id),0) FROM "+t.Name, nil, func(scan sqldb.Scanner) error { return scan(&r.Last) })
		if err != nil {
			return nil, err
		}
		r.Last = max(r.Last, next[t.Name]-1)
		r.Share = float64(r.Last) / float64(r.Max)
		ranges = append(ranges, r)
	}
	slices.SortStableFunc(ranges, func(x, y Range) int { return cmp.Compare(y.Share, x.Share) })
	return ranges, nil
}
