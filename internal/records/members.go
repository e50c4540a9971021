package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// latestJoins fetches when somebody last joined each group, in Unix seconds. The subquery reads one
// entry of an index; MAX would read all of them.
func latestJoins(d sqldb.Dialect, groups []uint32, found map[uint32]uint32) []sqldb.Fetch {
	const query = "SELECT g.id,COALESCE((SELECT m.updated FROM IMGroupMember m" +
		" WHERE m.groupId=g.id ORDER BY m.updated DESC LIMIT 1),0)" +
		" FROM IMGroup g WHERE g.id IN (%s)"
	return sqldb.Fetches(d, groups, func(groups []uint32) sqldb.Fetch {
		text := sqldb.WithParams(query, len(groups))
		return sqldb.Fetch{Text: text, Args: sqldb.Args(groups), Row: sqldb.Into(found)}
	})
}

// AddMembers implements chat.Groups.
func (s *Store) AddMembers(
	ctx context.Context, group uint32, users []uint32, now uint32,
) (added, members []uint32, err error) {
	err = s.changeMembers(ctx, group, now, func(tx sqldb.Tx, rows memberRows) (changed, error) {
		added = nil
		var back []uint32 // rows of those who come back
		var fresh []any
		for _, user := range users {
			m, known := rows[user]
			if m.In {
				continue
			}
			added = append(added, user)
			if known {
				back = append(back, m.ID)
			} else {
				fresh = append(fresh, group, user, 0, now, now)
			}
			rows[user] = talk.MemberRow{ID: m.ID, In: true}
		}
		members = talk.Current(rows)
		if len(added) == 0 {
			return nil, errNothing
		}
		err := sqldb.ExecIn(ctx, tx.Session,
			"UPDATE IMGroupMember SET status=0, updated=? WHERE id IN (%s)", back, now)
		if err != nil {
			return nil, err
		}
		return joined(added, now), sqldb.Insert(ctx, tx.Session, "IMGroupMember", memberColumns,
			fresh, "")
	})
	return added, members, err
}

// RemoveMembers implements chat.Groups.
func (s *Store) RemoveMembers(
	ctx context.Context, group uint32, users []uint32, now uint32,
) (members []uint32, err error) {
	err = s.changeMembers(ctx, group, now, func(tx sqldb.Tx, rows memberRows) (changed, error) {
		for _, user := range users {
			delete(rows, user)
		}
		members = talk.Current(rows)
		err := sqldb.ExecIn(ctx, tx.Session,
			"UPDATE IMGroupMember SET status=1 WHERE groupId=? AND status=0 AND userId IN (%s)",
			users, group)
		if err != nil {
			return nil, err
		}
		return joined(users, 0), sqldb.ExecIn(ctx, tx.Session,
			"UPDATE IMRecentSession SET status=1, updated=? WHERE peerId=? AND type=2"+
				" AND COALESCE(status,0)=0 AND userId IN (%s)", users, now, group)
	})
	return members, err
}

const memberColumns = "groupId,userId,status,created,updated"

type (
	memberRows = map[uint32]talk.MemberRow // of a group, by user
	changed    = []chat.Member             // who joined or left a group
)

// errNothing says that there is nothing to change. It stays within this file.
var errNothing = chat.Errorf(chat.Invalid, "nothing to change")

// joined are users who joined at a time, in Unix seconds; 0 means that they left.
func joined(users []uint32, at uint32) []chat.Member {
	members := make([]chat.Member, len(users))
	for i, user := range users {
		members[i] = chat.Member{User: user, Joined: at}
	}
	return members
}

// lockGroup locks the talk of a group that exists, and reads who is or was in the group.
func (s *Store) lockGroup(
	ctx context.Context, tx sqldb.Tx, group, now uint32,
) (*talk.Row, memberRows, error) {
	rows, err := talk.Members(ctx, tx, group)
	if err == nil && len(talk.Current(rows)) == 0 {
		err = chat.ErrNoGroup
	}
	if err != nil {
		return nil, nil, err
	}
	t, err := s.Talking(tx).LockOne(ctx, chat.GroupTalk(group), now)
	if err == nil && s.db.ManyWriters() {
		rows, err = talk.Members(ctx, tx, group) // as they are now that nobody else can change them
	}
	return t, rows, err
}

// changeMembers holds the talk of a group while change does its work on the rows of its members,
// which change also keeps up to date. Then it raises the group's version. It also sets the levels
// of all whom change names, so that who comes back has nothing unread at first.
func (s *Store) changeMembers(
	ctx context.Context, group, now uint32,
	change func(tx sqldb.Tx, rows memberRows) (changed, error),
) error {
	var touched []uint32 // whose lists of groups change
	err := s.changeFollowed(ctx, now, func(tx sqldb.Tx, c *chat.Commit) error {
		t, rows, err := s.lockGroup(ctx, tx, group, now)
		if err != nil {
			return err
		}
		who, err := change(tx, rows)
		if err != nil {
			return err
		}
		users := make([]uint32, len(who))
		for i, m := range who {
			users[i] = m.User
		}
		touched = append(talk.Current(rows), users...)
		moved, err := s.readGroup(ctx, tx, group, users, t)
		if err != nil {
			return err
		}
		moved.Members = who
		c.Changes = append(c.Changes, moved)
		_, err = sqldb.Exec(ctx, tx, "UPDATE IMGroup SET version=version+1, userCnt=? WHERE id=?",
			len(talk.Current(rows)), group)
		return err
	})
	if err == errNothing {
		return nil
	}
	about := append(replica.AboutEach(touched, replica.AboutUser), replica.AboutGroup(group))
	return s.wrote(err, about...)
}

// readGroup notes that users have seen all there is of a group whose talk is locked. Nothing is
// written while there is nothing.
func (s *Store) readGroup(
	ctx context.Context, tx sqldb.Tx, group uint32, users []uint32, t *talk.Row,
) (chat.Change, error) {
	levels := make(map[talk.Member]uint32, len(users))
	var rows []any
	for _, user := range users {
		levels[talk.Member{Group: group, User: user}] = t.SentA
		if t.SentA > 0 {
			rows = append(rows, user, group, t.SentA)
		}
	}
	if err := talk.SaveLevels(ctx, tx.Session, rows); err != nil {
		return chat.Change{}, err
	}
	of := chat.GroupTalk(group)
	err := s.Talking(tx).Bump(ctx, of, t)
	return t.Change(of, users, levels), err
}
