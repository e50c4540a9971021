package records

import (
	"context"
	"database/sql"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// The state of talks and devices, as a copy of it elsewhere must have it. Where the records count nothing of a talk, its
// change has Rev 0 and no counts: then only LastID and Members are known.

// PairStates returns the next pairs that have messages or a row of ours: their relations, last ids, and how much each of
// the two has not read.
func (c *Examination) PairStates(ctx context.Context, after Cursor) (states []chat.Change, look Look, err error) {
	look, err = c.chunk(ctx, "IMRelationShip", after, lookRows)
	if err != nil || look.Rows == 0 {
		return nil, look, err
	}
	talk, join := "0,0,0,0,0,0", ""
	if c.tables["IMProxyTalk"] != nil {
		talk = "COALESCE(t.sentA,0),COALESCE(t.sentB,0),COALESCE(t.readA,0),COALESCE(t.readB,0),COALESCE(t.rev,0),COALESCE(t.lastId,0)"
		join = " LEFT JOIN IMProxyTalk t ON t.kind=1 AND t.a=r.smallId AND t.b=r.bigId AND t.relateId=r.id"
	}
	owners := make(map[owner]*talkRow)
	var order []uint32
	of := make(map[uint32]chat.Talk)
	err = c.query(ctx, "relations", "SELECT r.id,r.smallId,r.bigId,"+talk+" FROM IMRelationShip r"+join+" WHERE r.id>? AND r.id<=? ORDER BY r.id",
		[]any{after.a, look.Next.a}, func(scan scanner) error {
			p, t := chat.Talk{Kind: chat.Pair}, new(talkRow)
			err := scan(&t.relation, &p.A, &p.B, &t.sentA, &t.sentB, &t.readA, &t.readB, &t.rev, &t.lastID)
			owners[ownerOf(p, t)], of[t.relation] = t, p
			order = append(order, t.relation)
			return err
		})
	if err != nil {
		return nil, look, err
	}
	if err := c.lastStored(ctx, c.s.read, owners); err != nil {
		return nil, look, err
	}
	for _, relation := range order {
		p, t := of[relation], owners[owner{chat.Pair, relation}]
		if t.lastID == 0 && t.rev == 0 {
			continue
		}
		s := chat.Change{Talk: p, Relation: relation, Rev: t.rev, LastID: t.lastID}
		if t.rev > 0 {
			s.Users = []chat.Moved{{User: p.A, Unread: t.unread(p, p.A)}, {User: p.B, Unread: t.unread(p, p.B)}}
		}
		states = append(states, s)
	}
	return states, look, nil
}

// lastStored is lastStored for many.
func (c *Examination) lastStored(ctx context.Context, q querier, owners map[owner]*talkRow) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return c.s.failed("looking at the last messages", lastStored(ctx, q, c.s.dialect, owners))
}

// GroupStates returns the next groups: their members, last ids, counts, levels and mutes.
func (c *Examination) GroupStates(ctx context.Context, after Cursor) (states []chat.Change, look Look, err error) {
	look, err = c.chunk(ctx, "IMGroup", after, lookGroups)
	if err != nil || look.Rows == 0 {
		return nil, look, err
	}
	var groups []uint32
	err = c.query(ctx, "groups", "SELECT id FROM IMGroup WHERE id>? AND id<=? ORDER BY id", []any{after.a, look.Next.a}, func(scan scanner) error {
		var id uint32
		err := scan(&id)
		groups = append(groups, id)
		return err
	})
	if err != nil || len(groups) == 0 {
		return nil, look, err
	}
	byID, err := c.groupStates(ctx, c.s.read, groups)
	for _, group := range groups {
		states = append(states, *byID[group])
	}
	return states, look, err
}

// groupStates reads all that is known of a few groups.
func (c *Examination) groupStates(ctx context.Context, q querier, groups []uint32) (map[uint32]*chat.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	byID := make(map[uint32]*chat.Change)
	owners := make(map[owner]*talkRow)
	talks := make(map[uint32]*talkRow)
	for _, group := range groups {
		byID[group] = &chat.Change{Talk: chat.GroupTalk(group)}
		talks[group] = new(talkRow)
		owners[owner{chat.Group, group}] = talks[group]
	}
	in := "IN (" + marks(len(groups)) + ")"
	type part struct {
		table, query string
		row          func(scanner) error
	}
	parts := []part{{"IMGroupMember", "SELECT groupId,userId,MIN(updated) FROM IMGroupMember WHERE status=0 AND groupId " + in +
		" GROUP BY groupId,userId ORDER BY groupId,userId", func(scan scanner) error {
		var group uint32
		var m chat.Member
		err := scan(&group, &m.User, &m.Joined)
		byID[group].Members = append(byID[group].Members, m)
		return err
	}}, {"IMProxyTalk", "SELECT a,sentA,rev,lastId FROM IMProxyTalk WHERE kind=2 AND b=0 AND a " + in, func(scan scanner) error {
		var group uint32
		t := new(talkRow)
		err := scan(&group, &t.sentA, &t.rev, &t.lastID)
		*talks[group] = *t
		return err
	}}, {"IMProxyMute", "SELECT groupId,userId,value FROM IMProxyMute WHERE groupId " + in + " ORDER BY groupId,userId", func(scan scanner) error {
		var group uint32
		var m chat.Mute
		err := scan(&group, &m.User, &m.Value)
		byID[group].Mutes = append(byID[group].Mutes, m)
		return err
	}}, {"IMProxyLevel", "SELECT m.groupId,m.userId,l.level FROM (SELECT DISTINCT groupId,userId FROM IMGroupMember WHERE status=0 AND groupId " + in +
		") m JOIN IMProxyLevel l ON l.userId=m.userId AND l.groupId=m.groupId ORDER BY m.groupId,m.userId", func(scan scanner) error {
		var group uint32
		var m chat.Moved
		var level uint32
		err := scan(&group, &m.User, &level)
		m.Unread = talks[group].sentA - min(level, talks[group].sentA)
		byID[group].Users = append(byID[group].Users, m)
		return err
	}}}
	for _, p := range parts {
		if c.tables[p.table] == nil {
			continue
		}
		if err := each(ctx, q, p.query, args(groups), p.row); err != nil {
			return nil, c.s.failed("looking at "+p.table, err)
		}
	}
	if err := c.lastStored(ctx, q, owners); err != nil {
		return nil, err
	}
	for group, t := range talks {
		s := byID[group]
		s.Rev, s.LastID, s.Count = t.rev, t.lastID, t.sentA
	}
	return byID, nil
}

// HoldGroup calls work with the state of a group, which stays as it is until work returns. work must end soon, and may be
// called again when the database undid the transaction.
func (c *Examination) HoldGroup(ctx context.Context, group uint32, work func(state chat.Change) error) error {
	return c.holding(ctx, chat.GroupTalk(group), func(tx *sql.Tx, _ held) error {
		states, err := c.groupStates(ctx, tx, []uint32{group})
		if err != nil {
			return err
		}
		return work(*states[group])
	})
}

// Devices returns the next users who have set a push token.
func (c *Examination) Devices(ctx context.Context, after Cursor) (devices []chat.Device, look Look, err error) {
	if c.tables["IMProxyDevice"] == nil {
		return nil, Look{Done: true, Share: 1}, nil
	}
	if err := c.top(ctx, "IMProxyDevice", "SELECT COALESCE(MAX(userId),0) FROM IMProxyDevice"); err != nil {
		return nil, look, err
	}
	err = c.query(ctx, "push tokens", "SELECT userId,device,rev FROM IMProxyDevice WHERE userId>? ORDER BY userId LIMIT ?",
		[]any{after.a, lookRows}, func(scan scanner) error {
			var d chat.Device
			err := scan(&d.User, &d.Device, &d.Rev)
			devices = append(devices, d)
			look.Rows, look.Next = look.Rows+1, Cursor{a: int64(d.User)}
			return err
		})
	look.Done = look.Rows < lookRows
	look.Share = share(look, c.tops["IMProxyDevice"])
	return devices, look, err
}

// Known returns which of some talks exist: pairs that have a relation, groups that have a row.
func (c *Examination) Known(ctx context.Context, talks []chat.Talk) (map[chat.Talk]bool, error) {
	known := make(map[chat.Talk]bool)
	var pairs []chat.Talk
	var groups []uint32
	for _, t := range talks {
		if t.Kind == chat.Pair {
			pairs = append(pairs, t)
		} else {
			groups = append(groups, t.A)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	relations, err := findRelations(ctx, c.s.read, c.s.dialect, "", pairs)
	if err != nil {
		return nil, c.s.failed("looking at relations", err)
	}
	for t := range relations {
		known[t] = true
	}
	err = chunked(groups, func(ids []uint32) error {
		return c.query(ctx, "groups", "SELECT id FROM IMGroup WHERE id IN ("+marks(len(ids))+")", args(ids), func(scan scanner) error {
			var id uint32
			err := scan(&id)
			known[chat.GroupTalk(id)] = true
			return err
		})
	})
	return known, err
}

// KnownUsers returns which of some users there are.
func (c *Examination) KnownUsers(ctx context.Context, users []uint32) (map[uint32]bool, error) {
	known := make(map[uint32]bool)
	err := chunked(users, func(ids []uint32) error {
		return c.query(ctx, "users", "SELECT id FROM IMUser WHERE id IN ("+marks(len(ids))+")", args(ids), func(scan scanner) error {
			var id uint32
			err := scan(&id)
			known[id] = true
			return err
		})
	})
	return known, err
}

// Commits returns up to max commits recorded more than three minutes ago whose counts have not been applied elsewhere; all counts
// how many there are.
func (c *Examination) Commits(ctx context.Context, max int) (commits []chat.Commit, all int, err error) {
	if c.tables["IMProxyCommit"] == nil {
		return nil, 0, nil
	}
	err = c.query(ctx, "commit records", "SELECT COUNT(*) FROM IMProxyCommit WHERE created<? AND changes<>'{}'",
		[]any{c.s.unix() - commitGrace}, func(scan scanner) error { return scan(&all) })
	if err != nil || all == 0 {
		return nil, all, err
	}
	found, err := c.s.Unapplied(ctx, commitGrace*time.Second, max)
	return found, all, err
}

// commitGrace is after how many seconds a commit must have been applied.
const commitGrace = 180

// SweptCommits says that commits have been applied: see chat.Ledger.
func (c *Examination) SweptCommits(ctx context.Context, commits []chat.Commit) error {
	ids := make([]chat.CommitID, len(commits))
	for i, commit := range commits {
		ids[i] = commit.ID
	}
	return c.s.Swept(ctx, ids)
}
