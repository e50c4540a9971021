package repair

import (
	"context"
	"fmt"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// pairwise is a table of ours with a key of two columns, of which Cursor holds the values.
type pairwise struct {
	name  string // of the scan
	what  string // what is looked at, for errors
	top   string // a query for the largest value of the first column
	query string // a query for the rows behind a cursor, in order of the key
	args  []any  // of both queries, before those of the cursor
	// read reads a row: its key, and what is wrong with it, a Fault without a text for nothing.
	read func(sqldb.Scanner) (Cursor, Fault, error)
}

// byKey returns the scan of a table with a key of two columns.
func (c *Examination) byKey(t pairwise) Scan {
	return Scan{t.name, func(ctx context.Context, after Cursor) (found Found, err error) {
		if err := c.top(ctx, t.name, t.top, t.args...); err != nil {
			return found, err
		}
		args := slices.Concat(t.args, []any{after.a, after.a, after.b, scanRows})
		err = c.query(ctx, t.what, t.query, args, func(scan sqldb.Scanner) error {
			next, fault, err := t.read(scan)
			found.Rows, found.Next = found.Rows+1, next
			if fault.Text != "" {
				found.Faults = append(found.Faults, fault)
			}
			return err
		})
		return c.measured(found, t.name, scanRows), err
	}}
}

// talks returns the scan for rows of talks, of one kind, whose relation or group is not there. It
// does not see a row that a first message is just making.
func (c *Examination) talks(kind chat.TalkKind) Scan {
	name, join, fits := "IMProxyTalk (groups)", "IMGroup o ON o.id=t.a", "o.id IS NOT NULL"
	if kind == chat.Pair {
		name, join = "IMProxyTalk (pairs)", "IMRelationShip o ON o.id=t.relateId"
		fits = "o.id IS NOT NULL AND o.smallId=t.a AND o.bigId=t.b"
	}
	return c.byKey(pairwise{
		name: name, what: "talks", args: []any{uint32(kind)},
		top: "SELECT COALESCE(MAX(a),0) FROM IMProxyTalk WHERE kind=?",
		query: "SELECT t.a,t.b,t.relateId,CASE WHEN " + fits + " THEN 0 ELSE 1 END" +
			" FROM IMProxyTalk t LEFT JOIN " + join +
			" WHERE t.kind=? AND t.a>=? AND (t.a>? OR t.b>?) ORDER BY t.a, t.b LIMIT ?",
		read: func(scan sqldb.Scanner) (next Cursor, f Fault, err error) {
			t := chat.Talk{Kind: kind}
			var relation uint32
			var stray bool
			err = scan(&t.A, &t.B, &relation, &stray)
			switch {
			case !stray:
			case kind == chat.Pair:
				f = Fault{Kind: finding.StrayTalk, Talk: t, Text: fmt.Sprintf(
					"%s is counted under relation %d, which is not theirs, or not there",
					t, relation)}
			default:
				f = Fault{Kind: finding.StrayGroup, Talk: t,
					Text: fmt.Sprintf("%s is counted, but there is no such group", t)}
			}
			return Cursor{int64(t.A), int64(t.B)}, f, err
		},
	})
}

// mendTalk gives a pair whose relation is not there the one that is, or makes it, as the first
// message does. Nothing of the pair is unread then.
func (c *Examination) mendTalk(ctx context.Context, h held, f Fault) (why string, err error) {
	rs, err := c.relationsOf(ctx, h.tx, []chat.Talk{f.Talk})
	there := func(r relation) bool { return r.id == h.Relation }
	if err != nil || !h.Ours || slices.ContainsFunc(rs[f.Talk], there) {
		return "", err
	}
	shard := h.Owner().Shard()
	query := "SELECT 1 FROM " + shard.Table() + " WHERE " + shard.OwnerColumn() + "=? LIMIT 1"
	messages, err := column[int64](ctx, h.tx, query, h.Relation)
	if err != nil {
		return "", err
	}
	if len(messages) > 0 {
		return "there are messages under that relation", nil
	}
	if err := h.tx.FindRelation(ctx, h.Held, c.records.Unix()); err != nil {
		return "", err
	}
	h.ReadA, h.ReadB = h.SentB, h.SentA
	h.Rev++
	if h.tx.Elsewhere == nil {
		return "", nil
	}
	changes := []chat.Change{h.Change(f.Talk, []uint32{f.Talk.A, f.Talk.B}, nil)}
	commit := chat.Commit{ID: chat.NewCommitID(), Changes: changes}
	return "", h.tx.Record(ctx, commit, c.records.Unix())
}

// levels returns the scan for users who have seen more of a group than was ever sent, or anything
// of a group that is not there.
func (c *Examination) levels() Scan {
	return c.byKey(pairwise{
		name: "IMProxyLevel", what: "levels",
		top: "SELECT COALESCE(MAX(userId),0) FROM IMProxyLevel",
		query: "SELECT l.userId,l.groupId,l.level,COALESCE(t.sentA,0) FROM IMProxyLevel l" +
			" LEFT JOIN IMProxyTalk t ON t.kind=2 AND t.a=l.groupId AND t.b=0" +
			" WHERE l.userId>=? AND (l.userId>? OR l.groupId>?)" +
			" ORDER BY l.userId, l.groupId LIMIT ?",
		read: func(scan sqldb.Scanner) (Cursor, Fault, error) {
			f := Fault{Kind: finding.LevelAhead, Talk: chat.Talk{Kind: chat.Group}}
			var level, count uint32
			err := scan(&f.User, &f.Talk.A, &level, &count)
			if level > count {
				f.Text = fmt.Sprintf("user %d has seen %d messages of %s, which has had %d",
					f.User, level, f.Talk, count)
			}
			return Cursor{int64(f.User), int64(f.Talk.A)}, f, err
		},
	})
}

// mendLevel lowers a level to the count.
func (c *Examination) mendLevel(ctx context.Context, h held, f Fault) (why string, err error) {
	_, err = sqldb.Exec(ctx, h.tx,
		"UPDATE IMProxyLevel SET level=? WHERE userId=? AND groupId=? AND level>?",
		h.SentA, f.User, f.Talk.A, h.SentA)
	return "", err
}
