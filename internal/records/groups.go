package records

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Create implements chat.Groups.
func (s *Store) Create(ctx context.Context, g chat.NewGroup, now uint32) (id uint32, err error) {
	err = s.changeFollowed(ctx, now, func(tx *sql.Tx, c *chat.Commit) error {
		res, err := tx.ExecContext(ctx,
			"INSERT INTO IMGroup (name,avatar,creator,type,userCnt,status,version,lastChated,updated,created) VALUES (?,?,?,?,?,0,1,0,?,?)",
			g.Name, g.Avatar, g.Creator, uint32(g.Type), len(g.Members), now, now)
		if err != nil {
			return err
		}
		last, err := res.LastInsertId()
		if id, err = madeID("IMGroup", last, err); err != nil {
			return err
		}
		rows := make([]any, 0, 5*len(g.Members))
		for _, user := range g.Members {
			rows = append(rows, id, user, 0, now, now)
		}
		if err := insert(ctx, tx, s.dialect, "IMGroupMember", memberColumns, rows, ""); err != nil {
			return err
		}
		talk := chat.GroupTalk(id)
		c.Changes = []chat.Change{{Talk: talk, Rev: 1, New: true, Members: joined(g.Members, now)}}
		return insert(ctx, tx, s.dialect, "IMProxyTalk", talkColumns, (&talkRow{rev: 1}).values(talk), "")
	})
	return id, s.wrote(err, append(aboutEach(g.Members, aboutUser), aboutGroup(id))...)
}

const groupColumns = "g.id,g.name,g.avatar,g.creator,g.type,g.version"

// scanGroup reads groupColumns and more. A type out of a byte's range is 0.
func scanGroup(scan scanner, more ...any) (g chat.GroupInfo, err error) {
	err = scan(append([]any{&g.ID, &g.Name, &g.Avatar, &g.Creator, &g.Type, &g.Version}, more...)...)
	return g, err
}

// Find implements chat.Groups.
func (s *Store) Find(ctx context.Context, id uint32) (chat.GroupInfo, error) {
	return readSurely(ctx, s, func(ctx context.Context, r reader) (chat.GroupInfo, error) {
		return r.find(ctx, id)
	}, aboutGroup(id))
}

func (r reader) find(ctx context.Context, id uint32) (chat.GroupInfo, error) {
	found, err := r.groups.get(ctx, []uint32{id})
	if g := found[id]; err != nil || g.exists {
		return g.GroupInfo, err
	}
	return chat.GroupInfo{}, chat.ErrNoGroup
}

// foundGroup is a group without its members.
type foundGroup struct {
	chat.GroupInfo
	typ     int64 // as it stands in the table
	updated uint32
	exists  bool // somebody is in it
}

func (r reader) findGroups(ctx context.Context, ids []uint32) (map[uint32]foundGroup, error) {
	groups := make(map[uint32]foundGroup, len(ids))
	err := chunked(ids, func(ids []uint32) error {
		query := "SELECT " + groupColumns + ",g.type,g.updated," +
			"EXISTS (SELECT 1 FROM IMGroupMember m WHERE m.groupId=g.id AND m.status=0)" +
			" FROM IMGroup g WHERE g.id IN (" + marks(len(ids)) + ")"
		return r.query(ctx, "groups", query, args(ids), func(scan scanner) (err error) {
			var g foundGroup
			g.GroupInfo, err = scanGroup(scan, &g.typ, &g.updated, &g.exists)
			groups[g.ID] = g
			return err
		})
	})
	return groups, err
}

// findMembers returns the members of groups as far as they fit, and adds them to size.
func (r reader) findMembers(ctx context.Context, groups []uint32, size *chat.Measure) (map[uint32][]uint32, error) {
	members := make(map[uint32][]uint32, len(groups))
	err := chunked(groups, func(ids []uint32) error {
		query := "SELECT DISTINCT groupId,userId FROM IMGroupMember WHERE status=0 AND groupId IN (" + marks(len(ids)) + ")"
		return r.query(ctx, "members of groups", query, args(ids), func(scan scanner) error {
			var m member
			err := scan(&m.group, &m.user)
			if size.Add(6) {
				members[m.group] = append(members[m.group], m.user)
			} else {
				clear(members)
			}
			return err
		})
	})
	return members, err
}

// NewerThan implements chat.Groups.
func (s *Store) NewerThan(ctx context.Context, known map[uint32]uint32) ([]chat.GroupInfo, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.GroupInfo, error) {
		return r.newerThan(ctx, known)
	}, aboutEach(keysOf(known), aboutGroup)...)
}

func (r reader) newerThan(ctx context.Context, known map[uint32]uint32) (groups []chat.GroupInfo, err error) {
	found, err := r.groups.get(ctx, sortedKeys(known))
	if err != nil {
		return nil, err
	}
	var newer []foundGroup
	var ids []uint32
	for id, version := range known {
		if g := found[id]; g.exists && g.Version > version && r.groupTypes.pass(g.typ) != 0 {
			newer = append(newer, g)
			ids = append(ids, id)
		}
	}
	slices.SortFunc(newer, func(a, b foundGroup) int {
		return cmp.Or(cmp.Compare(b.updated, a.updated), cmp.Compare(b.ID, a.ID))
	})
	size := chat.NewMeasure(ctx, "groups")
	for _, g := range newer {
		size.Add(len(g.Name) + len(g.Avatar) + 40)
	}
	members, err := r.findMembers(ctx, ids, size)
	if err := cmp.Or(err, size.Err()); err != nil {
		return nil, err
	}
	for _, g := range newer {
		if g.Members = members[g.ID]; len(g.Members) > 0 { // or the last has just left: it does not exist any more
			groups = append(groups, g.GroupInfo)
		}
	}
	return groups, nil
}

// NormalOf implements chat.Groups.
func (s *Store) NormalOf(ctx context.Context, user uint32) ([]chat.GroupVersion, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.GroupVersion, error) {
		return r.normalOf(ctx, user)
	}, aboutUser(user))
}

func (r reader) normalOf(ctx context.Context, user uint32) (groups []chat.GroupVersion, err error) {
	size := chat.NewMeasure(ctx, "groups of a user")
	err = r.query(ctx, "groups of a user", "SELECT g.id,g.version FROM IMGroup g WHERE g.type=1 AND g.id IN"+
		" (SELECT groupId FROM IMGroupMember WHERE userId=? AND status=0) ORDER BY g.updated DESC, g.id DESC",
		[]any{user}, func(scan scanner) error {
			var g chat.GroupVersion
			err := scan(&g.ID, &g.Version)
			if size.Add(16) {
				groups = append(groups, g)
			}
			return err
		})
	return groups, cmp.Or(err, size.Err())
}

// Joined implements chat.Archive.
func (s *Store) Joined(ctx context.Context, group, user uint32) (at uint32, ok bool, err error) {
	_, err = read(ctx, s, func(ctx context.Context, r reader) (struct{}, error) {
		at, ok, err = r.joined(ctx, group, user)
		return struct{}{}, err
	}, aboutGroup(group))
	return at, ok, err
}

func (r reader) joined(ctx context.Context, group, user uint32) (at uint32, ok bool, err error) {
	m := member{group, user}
	found, err := r.joins.get(ctx, []member{m})
	at, ok = found[m]
	return at, ok, err
}

// findJoins returns when members joined; of several rows the earliest counts.
func (r reader) findJoins(ctx context.Context, asked []member) (map[member]uint32, error) {
	joins := make(map[member]uint32, len(asked))
	err := chunked(asked, func(asked []member) error {
		query := r.dialect.lookup("groupId,userId,updated", "IMGroupMember", []string{"groupId", "userId"}, len(asked)) + " WHERE status=0"
		return r.query(ctx, "members", query, memberArgs(asked), func(scan scanner) error {
			var m member
			var at uint32
			err := scan(&m.group, &m.user, &at)
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
	now := s.unix()
	err := s.changeFollowed(ctx, now, func(tx *sql.Tx, c *chat.Commit) error {
		t, rows, err := s.lockGroup(ctx, tx, group, now)
		if err != nil {
			return err
		}
		if !rows[user].in {
			return chat.Errorf(chat.NotAllowed, "user %d is no member of group %d", user, group)
		}
		talk := chat.GroupTalk(group)
		if err := s.bump(ctx, tx, talk, t); err != nil {
			return err
		}
		moved := t.change(talk, nil, nil)
		moved.Mutes = []chat.Mute{{User: user, Value: value}}
		c.Changes = append(c.Changes, moved)
		return saveMutes(ctx, tx, s.dialect, []any{group, user, value})
	})
	return s.wrote(err, aboutGroup(group))
}

// saveMutes stores mute values: rows of group, user, value.
func saveMutes(ctx context.Context, q querier, d dialect, rows []any) error {
	return insert(ctx, q, d, "IMProxyMute", "groupId,userId,value", rows, d.upsert([]string{"groupId", "userId"}, []string{"value"}))
}

// Mutes implements chat.Mutes.
func (s *Store) Mutes(ctx context.Context, group uint32, users []uint32) (map[uint32]uint32, error) {
	return readSurely(ctx, s, func(ctx context.Context, r reader) (map[uint32]uint32, error) {
		return r.mutes(ctx, group, users)
	}, aboutGroup(group))
}

func (r reader) mutes(ctx context.Context, group uint32, users []uint32) (map[uint32]uint32, error) {
	if _, err := r.find(ctx, group); err != nil {
		return nil, err
	}
	values := make(map[uint32]uint32)
	err := chunked(users, func(users []uint32) error {
		return r.query(ctx, "mutes", "SELECT userId,value FROM IMProxyMute WHERE groupId=? AND userId IN ("+marks(len(users))+")",
			append([]any{group}, args(users)...), func(scan scanner) error {
				var user, value uint32
				err := scan(&user, &value)
				values[user] = value
				return err
			})
	})
	return values, err
}
