package records

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
)

// memberKey is the key by which members are found.
const memberKey = "groupId,userId,status"

// members finds users who are in a group several times.
func (c *Examination) members(ctx context.Context, after Cursor) (Look, error) {
	look, err := c.chunk(ctx, "IMGroupMember", after, lookRows)
	if err != nil || look.Rows == 0 {
		return look, err
	}
	other := "EXISTS (SELECT 1 FROM IMGroupMember d" + c.by("IMGroupMember", memberKey) + " WHERE d.groupId=m.groupId AND d.userId=m.userId AND d.status=0 AND d.id"
	query := "SELECT m.id,m.groupId,m.userId FROM IMGroupMember m WHERE m.id>? AND m.id<=? AND m.status=0 AND " +
		other + "<m.id) AND NOT " + other + ">m.id) ORDER BY m.id"
	err = c.query(ctx, "members", query, []any{after.a, look.Next.a}, func(scan scanner) error {
		f := Fault{Kind: finding.DuplicateMember, Table: "IMGroupMember", Talk: chat.Talk{Kind: chat.Group}}
		err := scan(&f.Row, &f.Talk.A, &f.User)
		f.Text = fmt.Sprintf("user %d is in %s several times", f.User, f.Talk)
		look.Faults = append(look.Faults, f)
		return err
	})
	return look, err
}

// userCounts finds groups whose userCnt is not the number of their members.
func (c *Examination) userCounts(ctx context.Context, after Cursor) (Look, error) {
	look, err := c.chunk(ctx, "IMGroup", after, lookGroups)
	if err != nil || look.Rows == 0 {
		return look, err
	}
	err = c.query(ctx, "groups", "SELECT g.id,g.userCnt,(SELECT COUNT(DISTINCT m.userId) FROM IMGroupMember m"+c.by("IMGroupMember", memberKey)+" WHERE m.groupId=g.id AND m.status=0)"+
		" FROM IMGroup g WHERE g.id>? AND g.id<=? ORDER BY g.id", []any{after.a, look.Next.a}, func(scan scanner) error {
		var group, says, has uint32
		err := scan(&group, &says, &has)
		if says != has {
			look.Faults = append(look.Faults, Fault{Kind: finding.WrongUserCount, Table: "IMGroup", Row: int64(group), Talk: chat.GroupTalk(group),
				Text: fmt.Sprintf("group %d has %d members, userCnt says %d", group, has, says)})
		}
		return err
	})
	if err != nil {
		return look, err
	}
	others, err := c.otherTypes(ctx, finding.OtherGroupType, "IMGroup", c.s.groupTypes, after, look.Next)
	look.Faults = append(look.Faults, others...)
	return look, err
}

// mendMembers leaves of each member of a group the row by which it joined first, which is how far back it may read, and
// counts the members.
func (c *Examination) mendMembers(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx *sql.Tx, h held) error {
		rows := make(map[uint32][]int64) // by user, the first to join first
		err := each(ctx, tx, "SELECT id,userId FROM IMGroupMember WHERE groupId=? AND status=0 ORDER BY updated, id", []any{f.Talk.A},
			func(scan scanner) error {
				var id int64
				var user uint32
				err := scan(&id, &user)
				rows[user] = append(rows[user], id)
				return err
			})
		if err != nil {
			return err
		}
		for _, user := range sortedKeys(rows) {
			if err := c.retire(ctx, tx, h, "IMGroupMember", rows[user][1:], rows[user][0]); err != nil {
				return err
			}
		}
		_, err = exec(ctx, tx, "UPDATE IMGroup SET userCnt=? WHERE id=?", len(rows), f.Talk.A)
		return err
	})
	return "", err
}

// talks finds rows of talks, of a kind, whose relation or group is not there. A row that a new message is about to fill
// cannot be seen.
func (c *Examination) talks(kind chat.TalkKind) func(context.Context, Cursor) (Look, error) {
	join, fits := "IMGroup o ON o.id=t.a", "o.id IS NOT NULL"
	if kind == chat.Pair {
		join, fits = "IMRelationShip o ON o.id=t.relateId", "o.id IS NOT NULL AND o.smallId=t.a AND o.bigId=t.b"
	}
	query := "SELECT t.a,t.b,t.relateId,CASE WHEN " + fits + " THEN 0 ELSE 1 END FROM IMProxyTalk t LEFT JOIN " + join +
		" WHERE t.kind=? AND t.a>=? AND (t.a>? OR t.b>?) ORDER BY t.a, t.b LIMIT ?"
	what := fmt.Sprintf("IMProxyTalk %d", kind)
	return func(ctx context.Context, after Cursor) (look Look, err error) {
		if err := c.top(ctx, what, "SELECT COALESCE(MAX(a),0) FROM IMProxyTalk WHERE kind=?", uint32(kind)); err != nil {
			return look, err
		}
		err = c.query(ctx, "talks", query, []any{uint32(kind), after.a, after.a, after.b, lookRows}, func(scan scanner) error {
			t := chat.Talk{Kind: kind}
			var relation uint32
			var stray bool
			err := scan(&t.A, &t.B, &relation, &stray)
			look.Rows, look.Next = look.Rows+1, Cursor{int64(t.A), int64(t.B)}
			if stray {
				f := Fault{Kind: finding.StrayGroup, Talk: t, Text: fmt.Sprintf("%s is counted, but there is no such group", t)}
				if kind == chat.Pair {
					f.Kind = finding.StrayTalk
					f.Text = fmt.Sprintf("%s is counted under relation %d, which is not theirs, or not there", t, relation)
				}
				look.Faults = append(look.Faults, f)
			}
			return err
		})
		look.Done = look.Rows < lookRows
		look.Share = share(look, c.tops[what])
		return look, err
	}
}

// top notes the largest key of a table for its share.
func (c *Examination) top(ctx context.Context, what, query string, args ...any) error {
	if _, known := c.tops[what]; known {
		return nil
	}
	var top int64
	err := c.query(ctx, what, query, args, func(scan scanner) error { return scan(&top) })
	c.tops[what] = top
	return err
}

// mendTalk gives a pair whose relation is not there the one that is, or makes it, as the first message does. Nothing of the
// pair is unread then.
func (c *Examination) mendTalk(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx *sql.Tx, h held) error {
		rs, err := c.relationsOf(ctx, tx, []chat.Talk{f.Talk})
		if err != nil || !h.ours || slices.ContainsFunc(rs[f.Talk], func(r relation) bool { return r.id == h.relation }) {
			return err
		}
		table, key := tableOf(h)
		why = ""
		err = each(ctx, tx, "SELECT 1 FROM "+table+" WHERE "+key+"=? LIMIT 1", []any{h.relation}, func(scanner) error {
			why = "there are messages under that relation"
			return errEnough
		})
		if err != nil || why != "" {
			return err
		}
		found, _, err := findOrMake(ctx, tx, c.s.dialect, []chat.Talk{f.Talk}, nil, c.s.unix())
		if err != nil {
			return err
		}
		h.relation = found[f.Talk]
		h.readA, h.readB = h.sentB, h.sentA
		h.rev, h.dirty = h.rev+1, true
		if c.s.follower == nil {
			return nil
		}
		changes := []chat.Change{h.change(f.Talk, []uint32{f.Talk.A, f.Talk.B}, nil)}
		return record(ctx, tx, chat.Commit{ID: chat.NewCommitID(), Changes: changes}, c.s.unix())
	})
	return why, err
}

// levels finds users who have seen more of a group than was ever sent, or anything of one that is not there.
func (c *Examination) levels(ctx context.Context, after Cursor) (look Look, err error) {
	if err := c.top(ctx, "IMProxyLevel", "SELECT COALESCE(MAX(userId),0) FROM IMProxyLevel"); err != nil {
		return look, err
	}
	query := "SELECT l.userId,l.groupId,l.level,COALESCE(t.sentA,0) FROM IMProxyLevel l LEFT JOIN IMProxyTalk t ON t.kind=2 AND t.a=l.groupId AND t.b=0" +
		" WHERE l.userId>=? AND (l.userId>? OR l.groupId>?) ORDER BY l.userId, l.groupId LIMIT ?"
	err = c.query(ctx, "levels", query, []any{after.a, after.a, after.b, lookRows}, func(scan scanner) error {
		f := Fault{Kind: finding.LevelAhead, Talk: chat.Talk{Kind: chat.Group}}
		var level, count uint32
		err := scan(&f.User, &f.Talk.A, &level, &count)
		look.Rows, look.Next = look.Rows+1, Cursor{int64(f.User), int64(f.Talk.A)}
		if level > count {
			f.Text = fmt.Sprintf("user %d has seen %d messages of %s, which has had %d", f.User, level, f.Talk, count)
			look.Faults = append(look.Faults, f)
		}
		return err
	})
	look.Done = look.Rows < lookRows
	look.Share = share(look, c.tops["IMProxyLevel"])
	return look, err
}

// mendLevel lowers a level to the count.
func (c *Examination) mendLevel(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx *sql.Tx, h held) error {
		_, err := exec(ctx, tx, "UPDATE IMProxyLevel SET level=? WHERE userId=? AND groupId=? AND level>?", h.sentA, f.User, f.Talk.A, h.sentA)
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
	if c.s.dialect.shared() {
		err := c.query(ctx, "tables", "SELECT TABLE_NAME,COALESCE(AUTO_INCREMENT,0) FROM information_schema.TABLES WHERE TABLE_SCHEMA=DATABASE()",
			nil, func(scan scanner) error {
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
	for _, t := range schema() {
		if t.primary != nil || c.tables[t.name] == nil {
			continue
		}
		r := Range{Table: t.name, Max: 1<<31 - 1}
		if t.unsignedID {
			r.Max = 1<<32 - 1
		}
		err := c.query(ctx, t.name, "SELECT COALESCE(MAX(id),0) FROM "+t.name, nil, func(scan scanner) error { return scan(&r.Last) })
		if err != nil {
			return nil, err
		}
		r.Last = max(r.Last, next[t.name]-1)
		r.Share = float64(r.Last) / float64(r.Max)
		ranges = append(ranges, r)
	}
	slices.SortStableFunc(ranges, func(x, y Range) int { return cmp.Compare(y.Share, x.Share) })
	return ranges, nil
}
