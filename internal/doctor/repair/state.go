package repair

import (
	"context"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// The state of talks and devices, as a copy of it elsewhere must have it. Where the records count
// nothing of a talk, its change has Rev 0 and no counts: then only LastID and Members are known.

// PairStates returns the next pairs that have messages or a row of ours: their relations, last ids,
// and how much each of the two has not read.
func (c *Examination) PairStates(
	ctx context.Context, after Cursor,
) (states []chat.Change, found Found, err error) {
	found, err = c.chunk(ctx, "IMRelationShip", after, scanRows)
	if err != nil || found.Rows == 0 {
		return nil, found, err
	}
	counts, join := "0,0,0,0,0,0", ""
	if c.there("IMProxyTalk") {
		counts = "COALESCE(t.sentA,0),COALESCE(t.sentB,0),COALESCE(t.readA,0)," +
			"COALESCE(t.readB,0),COALESCE(t.rev,0),COALESCE(t.lastId,0)"
		join = " LEFT JOIN IMProxyTalk t ON t.kind=1 AND t.a=r.smallId AND t.b=r.bigId" +
			" AND t.relateId=r.id"
	}
	type pair struct {
		talk chat.Talk
		row  *talk.Row
	}
	var pairs []pair
	owners := make(map[tables.Owner]*talk.Row)
	query := "SELECT r.id,r.smallId,r.bigId," + counts + " FROM IMRelationShip r" + join +
		" WHERE r.id>? AND r.id<=? ORDER BY r.id"
	args := []any{after.a, found.Next.a}
	err = c.query(ctx, "relations", query, args, func(scan sqldb.Scanner) error {
		p, t := chat.Talk{Kind: chat.Pair}, new(talk.Row)
		err := scan(&t.Relation, &p.A, &p.B, &t.SentA, &t.SentB, &t.ReadA, &t.ReadB, &t.Rev,
			&t.LastID)
		owners[t.Owner(p)] = t
		pairs = append(pairs, pair{p, t})
		return err
	})
	if err == nil {
		err = c.lastStored(ctx, c.db.Session, owners)
	}
	if err != nil {
		return nil, found, err
	}
	for _, pair := range pairs {
		p, t := pair.talk, pair.row
		if t.LastID == 0 && t.Rev == 0 {
			continue
		}
		s := chat.Change{Talk: p, Relation: t.Relation, Rev: t.Rev, LastID: t.LastID}
		if t.Rev > 0 {
			s.Users = []chat.Moved{
				{User: p.A, Unread: t.Unread(p, p.A)}, {User: p.B, Unread: t.Unread(p, p.B)},
			}
		}
		states = append(states, s)
	}
	return states, found, nil
}

// lastStored is talk.LastStored, bounded in time, on the master or in a transaction.
func (c *Examination) lastStored(
	ctx context.Context, s sqldb.Session, owners map[tables.Owner]*talk.Row,
) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	err := talk.LastStored(ctx, s, owners)
	if c.db.LacksKey(err) {
		err = talk.LastStored(ctx, s, owners)
	}
	return c.db.Fail("looking at the last messages", err)
}

// GroupStates returns the next groups: their members, last ids, counts, levels and mutes.
func (c *Examination) GroupStates(
	ctx context.Context, after Cursor,
) (states []chat.Change, found Found, err error) {
	found, err = c.chunk(ctx, "IMGroup", after, scanGroups)
	if err != nil || found.Rows == 0 {
		return nil, found, err
	}
	var groups []uint32
	const query = "SELECT id FROM IMGroup WHERE id>? AND id<=? ORDER BY id"
	args := []any{after.a, found.Next.a}
	err = c.query(ctx, "groups", query, args, onto(&groups))
	if err != nil || len(groups) == 0 {
		return nil, found, err
	}
	byID, err := c.groupStates(ctx, c.db.Session, groups)
	if err != nil {
		return nil, found, err
	}
	for _, group := range groups {
		states = append(states, *byID[group])
	}
	return states, found, nil
}

// groupStates reads all that is known of a few groups.
func (c *Examination) groupStates(
	ctx context.Context, s sqldb.Session, ids []uint32,
) (talk.Groups, error) {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	groups := talk.NoGroups(ids)
	levels := "SELECT m.groupId,m.userId,l.level" +
		" FROM (SELECT DISTINCT groupId,userId FROM IMGroupMember" +
		" WHERE status=0 AND groupId IN (" + sqldb.Params(len(ids)) + ")) m JOIN IMProxyLevel l" +
		" ON l.userId=m.userId AND l.groupId=m.groupId ORDER BY m.groupId,m.userId"
	parts := append(groups.Parts(ids), talk.Part{Table: "IMProxyLevel", Fetch: sqldb.Fetch{
		Text: levels, Args: sqldb.Args(ids), Row: func(scan sqldb.Scanner) error {
			var group, level uint32
			var m chat.Moved
			err := scan(&group, &m.User, &level)
			g := groups[group]
			m.Unread = g.Count - min(level, g.Count)
			g.Users = append(g.Users, m)
			return err
		},
	}})
	for _, p := range parts {
		if !c.there(p.Table) {
			continue
		}
		if err := sqldb.Each(ctx, s, p.Text, p.Args, p.Row); err != nil {
			return nil, c.db.Fail("looking at "+p.Table, err)
		}
	}
	owners := make(map[tables.Owner]*talk.Row, len(groups))
	for id, g := range groups {
		owners[tables.Owner{Kind: chat.Group, ID: id}] = &talk.Row{LastID: g.LastID}
	}
	if err := c.lastStored(ctx, s, owners); err != nil {
		return nil, err
	}
	for owner, t := range owners {
		groups[owner.ID].LastID = t.LastID
	}
	return groups, nil
}

// HoldGroup calls work with the state of a group, which stays as it is until work returns. work
// must end soon. It is called again when the database undid the transaction.
func (c *Examination) HoldGroup(
	ctx context.Context, group uint32, work func(state chat.Change) error,
) error {
	return c.holding(ctx, chat.GroupTalk(group), func(h held) error {
		states, err := c.groupStates(ctx, h.tx.Session, []uint32{group})
		if err != nil {
			return err
		}
		return work(*states[group])
	})
}

// Devices returns the next users who have set a push token.
func (c *Examination) Devices(
	ctx context.Context, after Cursor,
) (devices []chat.Device, found Found, err error) {
	const table = "IMProxyDevice"
	if !c.there(table) {
		return nil, Found{Done: true, Share: 1}, nil
	}
	err = c.top(ctx, table, "SELECT COALESCE(MAX(userId),0) FROM IMProxyDevice")
	if err != nil {
		return nil, found, err
	}
	const query = "SELECT userId,device,rev FROM IMProxyDevice WHERE userId>? ORDER BY userId " +
		"LIMIT ?"
	args := []any{after.a, scanRows}
	err = c.query(ctx, "push tokens", query, args, sqldb.Onto(&devices,
		func(d *chat.Device) []any { return []any{&d.User, &d.Device, &d.Rev} }))
	if found.Rows = len(devices); found.Rows > 0 {
		found.Next.a = int64(devices[found.Rows-1].User)
	}
	return devices, c.measured(found, table, scanRows), err
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
	bounded, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	relations, err := talk.Relations(bounded, c.db.Session, false, pairs)
	if err != nil {
		return nil, c.db.Fail("looking at relations", err)
	}
	for t := range relations {
		known[t] = true
	}
	there, err := c.among(ctx, "groups", "SELECT id FROM IMGroup WHERE id IN (%s)", groups)
	for group := range there {
		known[chat.GroupTalk(group)] = true
	}
	return known, err
}

// KnownUsers returns which of some users there are.
func (c *Examination) KnownUsers(ctx context.Context, users []uint32) (map[uint32]bool, error) {
	return c.among(ctx, "users", "SELECT id FROM IMUser WHERE id IN (%s)", users)
}

// commitGrace is after how many seconds a commit must have been applied elsewhere.
const commitGrace = 180

// Commits returns up to max commits that were recorded more than three minutes ago, and whose
// counts have not been applied elsewhere. all is how many of them there are.
func (c *Examination) Commits(
	ctx context.Context, max int,
) (commits []chat.Commit, all int, err error) {
	if !c.there("IMProxyCommit") {
		return nil, 0, nil
	}
	const query = "SELECT COUNT(*) FROM IMProxyCommit WHERE created<? AND changes<>'{}'"
	n, err := c.number(ctx, "commit records", query, c.records.Unix()-commitGrace)
	if err != nil || n == 0 {
		return nil, int(n), err
	}
	commits, err = c.records.Unapplied(ctx, commitGrace*time.Second, max)
	return commits, int(n), err
}

// SweptCommits says that commits have been applied: see chat.Ledger.
func (c *Examination) SweptCommits(ctx context.Context, commits []chat.Commit) error {
	ids := make([]chat.CommitID, len(commits))
	for i, commit := range commits {
		ids[i] = commit.ID
	}
	return c.records.Swept(ctx, ids)
}
