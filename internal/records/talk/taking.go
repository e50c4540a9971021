package talk

import (
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// Take is what the records are to take over of a talk from where it was counted.
type Take struct {
	Talk   chat.Talk
	Rev    uint32            // the revision of its row; 0: the records do not count it
	Unread map[uint32]uint32 // how many messages users have not read; of other users that stays
	Count  uint32            // of a group: at least so many messages were ever sent
	Mutes  []chat.Mute       // of a group: values that users have set
	LastID uint32            // ids go on after it, or after what is stored; 0: that is enough
}

// TakeOver takes over what talks say, each of which is named once, in a transaction of their own.
// Those without a row are adopted: pairs must have a relation. now is Unix seconds. It returns how
// the counts stand then of the talks where it changed them: their Users are those of the Take, and
// cleared. It passes over the talks that are not at the revision of their Take any more, and
// returns them. It may be repeated.
func TakeOver(
	ctx context.Context, db *sqldb.DB, takes []Take, now uint32,
) (changed []chat.Change, moved []chat.Talk, err error) {
	takes = slices.SortedFunc(slices.Values(takes), func(x, y Take) int {
		return Compare(x.Talk, y.Talk)
	})
	err = db.Change(ctx, func(tx sqldb.Tx) error {
		w := Work{Tx: tx}
		rows, err := w.lockTaken(ctx, takes)
		if err != nil {
			return err
		}
		moved = nil
		var empty []chat.Talk
		still := slices.DeleteFunc(slices.Clone(takes), func(t Take) bool {
			rev := uint32(0)
			if row := rows[t.Talk]; row != nil {
				rev = row.Rev
			}
			switch {
			case rev != t.Rev:
				moved = append(moved, t.Talk)
			case rev == 0:
				empty = append(empty, t.Talk)
			}
			return rev != t.Rev
		})
		if err := w.Adopt(ctx, empty, now, rows); err != nil {
			return err
		}
		changed, err = w.takeOverAll(ctx, still, rows)
		return err
	})
	return changed, moved, err
}

// lockTaken locks the talks of takes, which are sorted, and makes rows for those that have none.
func (w Work) lockTaken(ctx context.Context, takes []Take) (rows map[chat.Talk]*Row, err error) {
	var talks, missing []chat.Talk
	for _, t := range takes {
		talks = append(talks, t.Talk)
	}
	lock := func() error {
		rows, missing = make(map[chat.Talk]*Row, len(talks)), nil
		err := sqldb.FetchAll(ctx, w.Session, w.LockAll(talks, rows))
		for _, talk := range talks {
			if rows[talk] == nil {
				missing = append(missing, talk)
			}
		}
		return err
	}
	if err = lock(); err == nil && len(missing) > 0 && w.ManyWriters() {
		if err = w.ClaimAnew(ctx, missing); err == nil {
			err = lock()
		}
	}
	return rows, err
}

// takeLast brings the last ids and created times of locked talks up to what is stored, as originals
// may have sent last, and the ids up to what is to be taken over.
func (w Work) takeLast(ctx context.Context, takes []Take, rows map[chat.Talk]*Row) error {
	talks := make([]chat.Talk, len(takes))
	for i, t := range takes {
		talks[i] = t.Talk
	}
	if err := w.LastStored(ctx, talks, rows); err != nil {
		return err
	}
	for _, t := range takes {
		row := rows[t.Talk]
		row.LastID, row.Dirty = max(row.LastID, t.LastID), true
	}
	return nil
}

// takeOverAll changes the rows of talks that are locked.
func (w Work) takeOverAll(
	ctx context.Context, takes []Take, rows map[chat.Talk]*Row,
) (changed []chat.Change, err error) {
	if err := w.takeLast(ctx, takes, rows); err != nil {
		return nil, err
	}
	var talks []chat.Talk
	var levels, mutes []any
	for _, t := range takes {
		row := rows[t.Talk]
		talks = append(talks, t.Talk)
		for _, m := range t.Mutes {
			mutes = append(mutes, t.Talk.A, m.User, m.Value)
		}
		if len(t.Unread) == 0 && t.Count == 0 {
			continue
		}
		row.SentA = max(row.SentA, t.Count)
		row.Rev, row.Dirty = row.Rev+1, true
		c := chat.Change{Talk: t.Talk, Relation: row.Relation, Rev: row.Rev}
		for user, unread := range t.Unread {
			if t.Talk.Kind == chat.Group {
				unread = min(unread, row.SentA)
				levels = append(levels, user, t.Talk.A, row.SentA-unread)
			} else {
				row.setUnread(t.Talk, user, unread)
			}
			c.Users = append(c.Users, chat.Moved{User: user, Clear: true, Unread: unread})
		}
		if t.Talk.Kind == chat.Group {
			c.Count = row.SentA
		}
		changed = append(changed, c)
	}
	if err := w.Save(ctx, talks, rows); err != nil {
		return nil, err
	}
	if err := SaveLevels(ctx, w.Session, levels); err != nil {
		return nil, err
	}
	return changed, SaveMutes(ctx, w.Session, mutes)
}

// setUnread has a user of a pair have so many unread messages.
func (t *Row) setUnread(talk chat.Talk, user, unread uint32) {
	sent, read := &t.SentB, &t.ReadA
	if user == talk.B {
		sent, read = &t.SentA, &t.ReadB
	}
	*sent = max(*sent, unread)
	*read = *sent - unread
}

// Users returns the next users after one, at most max.
func Users(ctx context.Context, db *sqldb.DB, after uint32, max int) (ids []uint32, err error) {
	return idsAfter(ctx, db, "SELECT id FROM IMUser WHERE id>? ORDER BY id LIMIT ?", after, max)
}

func idsAfter(
	ctx context.Context, db *sqldb.DB, query string, after uint32, max int,
) (ids []uint32, err error) {
	return ids, db.Query(ctx, "ids", query, []any{after, max},
		sqldb.Onto(&ids, func(id *uint32) []any { return []any{id} }))
}

// GroupRow is how the records have a group.
type GroupRow struct {
	chat.Change                   // as of Groups
	Levels      map[uint32]uint32 // how many messages members have seen; 0 of those who are missing
	Stored      uint32            // the last id that is stored
}

// fewMembers are the first ones of groups that together have at most so many rows of members, or
// the first one.
func fewMembers(ctx context.Context, db *sqldb.DB, groups []uint32, members int) ([]uint32, error) {
	rows := make(map[uint32]int, len(groups))
	const query = "SELECT groupId,COUNT(*) FROM IMGroupMember WHERE status=0" +
		" AND groupId IN (%s) GROUP BY groupId"
	err := sqldb.QueryIn(ctx, db.Pool, "members", query, groups, sqldb.Into(rows))
	for i, group := range groups {
		if members -= rows[group]; members < 0 && i > 0 {
			return groups[:i], err
		}
	}
	return groups, err
}

// GroupRows returns the next groups after one, at most max, with at most so many members together;
// but at least one.
func GroupRows(
	ctx context.Context, db *sqldb.DB, after uint32, max, members int,
) (rows []GroupRow, err error) {
	ids, err := idsAfter(ctx, db, "SELECT id FROM IMGroup WHERE id>? ORDER BY id LIMIT ?", after,
		max)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	if ids, err = fewMembers(ctx, db, ids, members); err != nil {
		return nil, err
	}
	groups, levels := NoGroups(ids), make(map[uint32]map[uint32]uint32, len(ids))
	for _, part := range groups.Parts(ids) {
		if err := db.Query(ctx, part.Table, part.Text, part.Args, part.Row); err != nil {
			return nil, err
		}
	}
	const query = "SELECT m.groupId,m.userId,l.level" +
		" FROM (SELECT DISTINCT groupId,userId FROM IMGroupMember" +
		" WHERE status=0 AND groupId IN (%s)) m JOIN IMProxyLevel l" +
		" ON l.userId=m.userId AND l.groupId=m.groupId"
	err = sqldb.QueryIn(ctx, db.Pool, "levels", query, ids, func(scan sqldb.Scanner) error {
		var group, user, level uint32
		err := scan(&group, &user, &level)
		if levels[group] == nil {
			levels[group] = make(map[uint32]uint32)
		}
		levels[group][user] = level
		return err
	})
	if err != nil {
		return nil, err
	}
	stored := make(map[tables.Owner]*Row)
	for _, id := range ids {
		stored[tables.Owner{Kind: chat.Group, ID: id}] = new(Row)
	}
	if err := storedOf(ctx, db, stored); err != nil {
		return nil, err
	}
	for _, id := range ids {
		last := stored[tables.Owner{Kind: chat.Group, ID: id}].LastID
		rows = append(rows, GroupRow{*groups[id], levels[id], last})
	}
	return rows, nil
}

// storedOf is LastStored outside of a transaction.
func storedOf(ctx context.Context, db *sqldb.DB, owners map[tables.Owner]*Row) error {
	ctx, cancel := db.Bounded(ctx)
	defer cancel()
	err := LastStored(ctx, db.Session, owners)
	if db.LacksKey(err) {
		err = LastStored(ctx, db.Session, owners)
	}
	return db.Fail("reading the last messages", err)
}

// PairRow is a relation, with how the records have its pair.
type PairRow struct {
	Talk     chat.Talk
	Relation uint32
	Used     uint32 // the relation that the records count the pair under; 0: they do not
	Rev      uint32 // of its row; 0 likewise
	LastID   uint32 // the id that the records gave out last; 0 where they do not count
	Stored   uint32 // the last id that is stored under the relation
}

// PairRows returns the next relations after one, at most max.
func PairRows(
	ctx context.Context, db *sqldb.DB, after uint32, max int,
) (pairs []PairRow, err error) {
	const query = "SELECT r.id,r.smallId,r.bigId,COALESCE(t.relateId,0),COALESCE(t.rev,0)," +
		"COALESCE(t.lastId,0)" +
		" FROM IMRelationShip r LEFT JOIN IMProxyTalk t" +
		" ON t.kind=1 AND t.a=r.smallId AND t.b=r.bigId AND t.rev>0" +
		" WHERE r.id>? ORDER BY r.id LIMIT ?"
	err = db.Query(ctx, "relations", query, []any{after, max},
		sqldb.Onto(&pairs, func(p *PairRow) []any {
			p.Talk.Kind = chat.Pair
			return []any{&p.Relation, &p.Talk.A, &p.Talk.B, &p.Used, &p.Rev, &p.LastID}
		}))
	if err != nil {
		return nil, err
	}
	stored := make(map[tables.Owner]*Row, len(pairs))
	for _, p := range pairs {
		stored[tables.Owner{Kind: chat.Pair, ID: p.Relation}] = new(Row)
	}
	err = storedOf(ctx, db, stored)
	for i := range pairs {
		p := &pairs[i]
		p.Stored = stored[tables.Owner{Kind: chat.Pair, ID: p.Relation}].LastID
	}
	return pairs, err
}
