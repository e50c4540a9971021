package records

import (
	"context"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// What a follower asks for to give back what its copy has lost: how things stand, told as changes.

// PairsNow returns all pairs of these users that are counted. The Users of each pair are those of
// its two who were asked for.
func (s *Store) PairsNow(ctx context.Context, users []uint32) (pairs []chat.Change, err error) {
	asked := make(map[uint32]bool, len(users))
	for _, user := range users {
		asked[user] = true
	}
	const columns = "SELECT a,b,relateId,lastId,sentA,sentB,readA,readB,rev FROM IMProxyTalk" +
		" WHERE rev>0 AND "
	seen := make(map[chat.Talk]bool)
	err = sqldb.Chunked(users, func(users []uint32) error {
		in := " IN (" + sqldb.Params(len(users)) + ")"
		query := columns + "kind=1 AND a" + in +
			" UNION ALL " + columns + "+kind=1 AND b" + in // +kind: see Store.unread
		params := slices.Repeat(sqldb.Args(users), 2)
		return s.db.Query(ctx, "counters", query, params, func(scan sqldb.Scanner) error {
			p, t := chat.Talk{Kind: chat.Pair}, talk.Row{}
			err := scan(&p.A, &p.B, &t.Relation, &t.LastID, &t.SentA, &t.SentB,
				&t.ReadA, &t.ReadB, &t.Rev)
			if err != nil || seen[p] {
				return err
			}
			seen[p] = true
			c := chat.Change{Talk: p, Relation: t.Relation, Rev: t.Rev, LastID: t.LastID}
			for _, user := range []uint32{p.A, p.B} {
				if asked[user] {
					c.Users = append(c.Users, chat.Moved{User: user, Unread: t.Unread(p, user)})
				}
			}
			pairs = append(pairs, c)
			return nil
		})
	})
	return pairs, err
}

// InGroups returns the groups that each user is in, the latest joined first, without what is
// counted.
func (s *Store) InGroups(
	ctx context.Context, users []uint32,
) (map[uint32][]chat.UserGroup, error) {
	const query = "SELECT userId,groupId FROM IMGroupMember WHERE status=0 AND userId IN (%s)" +
		" ORDER BY userId, updated DESC, id DESC"
	return s.inGroups(ctx, query, users,
		func(user *uint32, g *chat.UserGroup) []any { return []any{user, &g.Group} })
}

// InGroupsNow is InGroups with what is counted. Rev is 0 where nothing is counted yet.
func (s *Store) InGroupsNow(
	ctx context.Context, users []uint32,
) (map[uint32][]chat.UserGroup, error) {
	const query = `SELECT m.userId,m.groupId,COALESCE(t.sentA,0),COALESCE(l.level,0),COALESCE(t.rev,0)
 FROM IMGroupMember m LEFT JOIN IMProxyTalk t ON t.kind=2 AND t.a=m.groupId AND t.b=0
 LEFT JOIN IMProxyLevel l ON l.userId=m.userId AND l.groupId=m.groupId
 WHERE m.status=0 AND m.userId IN (%s) ORDER BY m.userId, m.updated DESC, m.id DESC`
	return s.inGroups(ctx, query, users, func(user *uint32, g *chat.UserGroup) []any {
		return []any{user, &g.Group, &g.Count, &g.Level, &g.Rev}
	})
}

// inGroups reads the groups of users in the order of a query; columns says where the columns of a
// row belong. Of several rows for one membership the first one counts.
func (s *Store) inGroups(
	ctx context.Context, query string, users []uint32,
	columns func(user *uint32, g *chat.UserGroup) []any,
) (map[uint32][]chat.UserGroup, error) {
	in := make(map[uint32][]chat.UserGroup, len(users))
	seen := make(map[uint32]uint32) // by group, the last user of whom it was found
	var user uint32
	var g chat.UserGroup
	row := columns(&user, &g)
	err := sqldb.QueryIn(ctx, s.db.Pool, "groups of users", query, users,
		func(scan sqldb.Scanner) error {
			err := scan(row...)
			if last, ok := seen[g.Group]; !ok || last != user {
				seen[g.Group] = user
				g.Level = min(g.Level, g.Count)
				in[user] = append(in[user], g)
			}
			return err
		})
	return in, err
}

// GroupsNow returns the members and mutes of groups. They are read after Rev, so they may be newer
// than it, but are not older.
func (s *Store) GroupsNow(ctx context.Context, groups []uint32) ([]chat.Change, error) {
	now := talk.NoGroups(groups)
	err := sqldb.Chunked(groups, func(groups []uint32) error {
		for _, part := range now.Parts(groups) {
			if err := s.db.Query(ctx, part.Table, part.Text, part.Args, part.Row); err != nil {
				return err
			}
		}
		return nil
	})
	changes := make([]chat.Change, 0, len(now))
	for _, group := range slices.Sorted(maps.Keys(now)) {
		changes = append(changes, *now[group])
	}
	return changes, err
}

// DevicesNow returns the push tokens that users have set. Token is empty where it belongs to
// another user by now.
func (s *Store) DevicesNow(
	ctx context.Context, users []uint32,
) (devices []chat.Device, err error) {
	err = sqldb.Chunked(users, func(users []uint32) error {
		some, tokens, err := s.devicesOf(ctx, users)
		if err != nil {
			return err
		}
		owners := make(map[string]uint32)
		if len(tokens) > 0 {
			query := "SELECT digest,userId FROM IMProxyToken WHERE digest IN (" +
				sqldb.Params(len(tokens)) + ")"
			err = s.db.Query(ctx, "owners of push tokens", query, tokens, sqldb.Into(owners))
		}
		for _, d := range some {
			if owners[tables.TokenDigest(d.Token)] != d.User {
				d.Token = ""
			}
			devices = append(devices, d)
		}
		return err
	})
	return devices, err
}

// devicesOf returns the devices of some users, whoever has their tokens by now, and the digests of
// these tokens.
func (s *Store) devicesOf(
	ctx context.Context, users []uint32,
) (devices []chat.Device, tokens []any, err error) {
	seen := make(map[uint32]bool)
	query := "SELECT userId,device,rev FROM IMProxyDevice WHERE userId IN (" +
		sqldb.Params(len(users)) + ")"
	err = s.db.Query(ctx, "push tokens", query, sqldb.Args(users), func(scan sqldb.Scanner) error {
		var d chat.Device
		if err := scan(&d.User, &d.Device, &d.Rev); err != nil || seen[d.User] {
			return err
		}
		seen[d.User] = true
		var ok bool
		if _, d.Token, ok = chat.SplitDevice(d.Device); !ok {
			d.Token = d.Device
		}
		if d.Token != "" {
			tokens = append(tokens, tables.TokenDigest(d.Token))
		}
		devices = append(devices, d)
		return nil
	})
	return devices, tokens, err
}
