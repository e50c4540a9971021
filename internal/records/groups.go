package records

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/people"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Create implements chat.Groups.
func (s *Store) Create(ctx context.Context, g chat.NewGroup, now uint32) (id uint32, err error) {
	err = s.changeFollowed(ctx, now, func(tx sqldb.Tx, c *chat.Commit) error {
		id, err = tx.InsertID(ctx, "IMGroup",
			"INSERT INTO IMGroup (name,avatar,creator,type,userCnt,status,version,lastChated,"+
				"updated,created) VALUES (?,?,?,?,?,0,1,0,?,?)",
			g.Name, g.Avatar, g.Creator, uint32(g.Type), len(g.Members), now, now)
		if err != nil {
			return err
		}
		row := func(user uint32) []any { return []any{id, user, 0, now, now} }
		rows := sqldb.ArgsOf(g.Members, row)
		err = sqldb.Insert(ctx, tx.Session, "IMGroupMember", memberColumns, rows, "")
		if err != nil {
			return err
		}
		c.Changes = []chat.Change{{
			Talk: chat.GroupTalk(id), Rev: 1, New: true, Members: joined(g.Members, now),
		}}
		return s.Talking(tx).SaveNewGroup(ctx, id)
	})
	about := append(replica.AboutEach(g.Members, replica.AboutUser), replica.AboutGroup(id))
	return id, s.wrote(err, about...)
}

// Find implements chat.Groups.
func (s *Store) Find(ctx context.Context, id uint32) (chat.GroupInfo, error) {
	return readSurely(ctx, s, func(ctx context.Context, r reader) (chat.GroupInfo, error) {
		return r.find(ctx, id)
	}, replica.AboutGroup(id))
}

func (r reader) find(ctx context.Context, id uint32) (g chat.GroupInfo, err error) {
	found := false
	const query = "SELECT " + people.GroupColumns + " FROM IMGroup g WHERE g.id=? AND EXISTS" +
		" (SELECT 1 FROM IMGroupMember m WHERE m.groupId=g.id AND m.status=0)"
	err = r.Query(ctx, "groups", query, []any{id}, func(scan sqldb.Scanner) (err error) {
		g, err = people.ScanGroup(scan)
		found = true
		return err
	})
	if err == nil && !found {
		err = chat.ErrNoGroup
	}
	return g, err
}

// foundGroup is a group without its members; perhaps it has none, and does not exist.
type foundGroup struct {
	chat.GroupInfo
	typ     int64  // the type as it stands in the table
	updated uint32 // Unix seconds
}

func (r reader) findGroups(ctx context.Context, ids []uint32) (map[uint32]foundGroup, error) {
	groups := make(map[uint32]foundGroup, len(ids))
	const query = "SELECT " + people.GroupColumns +
		",g.type,g.updated FROM IMGroup g WHERE g.id IN (%s)"
	row := func(scan sqldb.Scanner) (err error) {
		var g foundGroup
		g.GroupInfo, err = people.ScanGroup(scan, &g.typ, &g.updated)
		groups[g.ID] = g
		return err
	}
	return groups, sqldb.QueryIn(ctx, r.Pool, "groups", query, ids, row)
}

// NewerThan implements chat.Groups.
func (s *Store) NewerThan(
	ctx context.Context, known []chat.KnownGroups,
) []chat.Result[[]chat.GroupInfo] {
	about := func(k chat.KnownGroups) []replica.Subject {
		return replica.AboutEach(k.Versions, func(g chat.GroupVersion) replica.Subject {
			return replica.AboutGroup(g.ID)
		})
	}
	return readRequests(ctx, s, known, about, reader.newerThan)
}

// newGroups are the groups that are newer than those that a request knows, the latest updated
// first.
type newGroups struct {
	list []foundGroup
	size *chat.Measure
}

func (r reader) newerThan(
	ctx context.Context, known []chat.KnownGroups,
) ([]chat.Result[[]chat.GroupInfo], error) {
	ids := make(map[uint32]struct{})
	for _, k := range known {
		for _, g := range k.Versions {
			ids[g.ID] = struct{}{}
		}
	}
	found, err := r.findGroups(ctx, slices.Sorted(maps.Keys(ids)))
	if err != nil {
		return nil, err
	}
	newer := make([]newGroups, len(known))
	for i, k := range known {
		newer[i] = r.newer(ctx, k, found)
	}
	members, err := r.findMembers(ctx, newer)
	if err != nil {
		return nil, err
	}
	results := make([]chat.Result[[]chat.GroupInfo], len(known))
	for i, n := range newer {
		if results[i].Err = n.size.Err(); results[i].Err != nil {
			continue
		}
		for _, g := range n.list {
			// a group that nobody is in does not exist
			if g.Members = members[g.ID]; len(g.Members) > 0 {
				results[i].Value = append(results[i].Value, g.GroupInfo)
			}
		}
	}
	return results, nil
}

// newer picks the groups of one request.
func (r reader) newer(
	ctx context.Context, known chat.KnownGroups, found map[uint32]foundGroup,
) newGroups {
	n := newGroups{size: chat.NewMeasure(chat.WithLimit(ctx, known.Limit), "groups")}
	for _, k := range known.Versions {
		g, there := found[k.ID]
		if there && g.Version > k.Version && r.groupTypes.pass(g.typ) != 0 {
			n.list = append(n.list, g)
			n.size.Add(len(g.Name) + len(g.Avatar) + 40)
		}
	}
	slices.SortFunc(n.list, func(a, b foundGroup) int {
		return cmp.Or(cmp.Compare(b.updated, a.updated), cmp.Compare(b.ID, a.ID))
	})
	return n
}

// findMembers returns the members of groups, in order of their ids as text, and adds them to the
// sizes. Those that no list has within its limit are left out.
func (r reader) findMembers(
	ctx context.Context, newer []newGroups,
) (map[uint32][]uint32, error) {
	sizes := make(map[uint32][]*chat.Measure) // of the lists that a group is in
	for _, n := range newer {
		for _, g := range n.list {
			sizes[g.ID] = append(sizes[g.ID], n.size)
		}
	}
	members := make(map[uint32][]uint32, len(sizes))
	const query = "SELECT groupId,userId FROM IMGroupMember WHERE status=0 AND groupId IN (%s)"
	row := func(scan sqldb.Scanner) error {
		var m talk.Member
		err := scan(&m.Group, &m.User)
		kept := false
		for _, size := range sizes[m.Group] {
			kept = size.Add(6) || kept
		}
		if kept {
			members[m.Group] = append(members[m.Group], m.User)
		} else {
			delete(members, m.Group)
		}
		return err
	}
	groups := slices.Sorted(maps.Keys(sizes))
	err := sqldb.QueryIn(ctx, r.Pool, "members of groups", query, groups, row)
	for id, users := range members {
		slices.SortFunc(users, chat.CompareAsText)
		members[id] = slices.Compact(users) // originals may have added somebody twice
	}
	return members, err
}

// NormalOf implements chat.Groups.
func (s *Store) NormalOf(ctx context.Context, user uint32) ([]chat.GroupVersion, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (all []chat.GroupVersion, err error) {
		size := chat.NewMeasure(ctx, "groups of a user")
		const query = "SELECT g.id,g.version FROM IMGroup g WHERE g.type=1 AND g.id IN" +
			" (SELECT groupId FROM IMGroupMember WHERE userId=? AND status=0)" +
			" ORDER BY g.updated DESC, g.id DESC"
		err = r.Query(ctx, "groups of a user", query, []any{user}, func(scan sqldb.Scanner) error {
			var g chat.GroupVersion
			err := scan(&g.ID, &g.Version)
			keep(size, &all, g, 16)
			return err
		})
		return all, cmp.Or(err, size.Err())
	}, replica.AboutUser(user))
}

// Joined implements chat.Archive.
func (s *Store) Joined(
	ctx context.Context, asked []chat.UserInGroup,
) (map[chat.UserInGroup]uint32, error) {
	about := func(m chat.UserInGroup) replica.Subject { return replica.AboutGroup(m.Group) }
	return readEach(ctx, s, asked, about, reader.findJoins)
}

// findJoins returns when members joined, in Unix seconds. Of several rows the earliest counts.
func (r reader) findJoins(
	ctx context.Context, asked []talk.Member,
) (map[talk.Member]uint32, error) {
	joins := make(map[talk.Member]uint32, len(asked))
	err := sqldb.Chunked(asked, func(asked []talk.Member) error {
		query := r.Lookup("groupId,userId,updated", "IMGroupMember", []string{"groupId", "userId"},
			len(asked)) + " AND status=0"
		params := talk.MemberArgs(asked)
		return r.Query(ctx, "members", query, params, func(scan sqldb.Scanner) error {
			var m talk.Member
			var at uint32
			err := scan(&m.Group, &m.User, &at)
			if before, twice := joins[m]; !twice || at < before {
				joins[m] = at
			}
			return err
		})
	})
	return joins, err
}

// SetMute implements chat.Mutes.
func (s *Store) SetMute(ctx context.Context, group, user, value uint32) error {
	now := s.Unix()
	err := s.changeFollowed(ctx, now, func(tx sqldb.Tx, c *chat.Commit) error {
		t, rows, err := s.lockGroup(ctx, tx, group, now)
		if err != nil {
			return err
		}
		if !rows[user].In {
			return chat.Errorf(chat.NotAllowed, "user %d is no member of group %d", user, group)
		}
		of := chat.GroupTalk(group)
		if err := s.Talking(tx).Bump(ctx, of, t); err != nil {
			return err
		}
		moved := t.Change(of, nil, nil)
		moved.Mutes = []chat.Mute{{User: user, Value: value}}
		c.Changes = append(c.Changes, moved)
		return talk.SaveMutes(ctx, tx.Session, []any{group, user, value})
	})
	return s.wrote(err, replica.AboutGroup(group))
}

// Mutes implements chat.Mutes.
func (s *Store) Mutes(
	ctx context.Context, group uint32, users []uint32,
) (map[uint32]uint32, error) {
	return readSurely(ctx, s, func(ctx context.Context, r reader) (map[uint32]uint32, error) {
		if _, err := r.find(ctx, group); err != nil {
			return nil, err
		}
		values := make(map[uint32]uint32)
		const query = "SELECT userId,value FROM IMProxyMute WHERE groupId=? AND userId IN (%s)"
		return values, sqldb.QueryIn(ctx, r.Pool, "mutes", query, users, sqldb.Into(values), group)
	}, replica.AboutGroup(group))
}
