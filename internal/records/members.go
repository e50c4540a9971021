package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// membersAmong fetches which of them are members.
func membersAmong(d dialect, asked []member, found map[member]bool) []fetch {
	return fetches(asked, func(asked []member) fetch {
		query := d.lookup("groupId,userId", "IMGroupMember", []string{"groupId", "userId"}, len(asked)) + " WHERE status=0"
		return fetch{query, memberArgs(asked), func(scan scanner) error {
			var m member
			err := scan(&m.group, &m.user)
			found[m] = true
			return err
		}}
	})
}

func memberArgs(members []member) []any {
	args := make([]any, 0, 2*len(members))
	for _, m := range members {
		args = append(args, m.group, m.user)
	}
	return args
}

// latestJoins fetches when somebody last joined each group. The subquery reads one entry of an index; MAX would read all.
func latestJoins(groups []uint32, found map[uint32]uint32) []fetch {
	return fetches(groups, func(groups []uint32) fetch {
		query := "SELECT g.id,COALESCE((SELECT m.updated FROM IMGroupMember m WHERE m.groupId=g.id ORDER BY m.updated DESC LIMIT 1),0)" +
			" FROM IMGroup g WHERE g.id IN (" + marks(len(groups)) + ")"
		return fetch{query, args(groups), func(scan scanner) error {
			var id, at uint32
			err := scan(&id, &at)
			found[id] = at
			return err
		}}
	})
}

// memberRow is what IMGroupMember knows of one user in one group.
type memberRow struct {
	id uint32
	in bool
}

// memberRows reads everybody who is or was in a group: of several rows of a user one that says "in", else the latest.
func memberRows(ctx context.Context, q querier, group uint32) (map[uint32]memberRow, error) {
	rows := make(map[uint32]memberRow)
	asked := membersOf(group, rows)
	return rows, each(ctx, q, asked.text, asked.args, asked.row)
}

// membersOf fetches what memberRows reads.
func membersOf(group uint32, found map[uint32]memberRow) fetch {
	query := "SELECT id,userId,status FROM IMGroupMember WHERE groupId=? ORDER BY CASE WHEN status=0 THEN 1 ELSE 0 END, id"
	return fetch{query, []any{group}, func(scan scanner) error {
		var user, status uint32
		var m memberRow
		err := scan(&m.id, &user, &status)
		m.in = status == 0
		found[user] = m
		return err
	}}
}

// current returns who is in.
func current(rows map[uint32]memberRow) (users []uint32) {
	for user, m := range rows {
		if m.in {
			users = append(users, user)
		}
	}
	return users
}

// AddMembers implements chat.Groups.
func (s *Store) AddMembers(ctx context.Context, group uint32, users []uint32, now uint32) (added, members []uint32, err error) {
	err = s.changeMembers(ctx, group, now, func(tx *sql.Tx, rows map[uint32]memberRow) (changed []chat.Member, err error) {
		added = nil
		var back []uint32 // rows of those who come back
		var fresh []any
		for _, user := range users {
			m, known := rows[user]
			if m.in {
				continue
			}
			added = append(added, user)
			if known {
				back = append(back, m.id)
			} else {
				fresh = append(fresh, group, user, 0, now, now)
			}
			rows[user] = memberRow{id: m.id, in: true}
		}
		members = current(rows)
		if len(added) == 0 {
			return nil, errNothing
		}
		err = chunked(back, func(ids []uint32) error {
			_, err := exec(ctx, tx, "UPDATE IMGroupMember SET status=0, updated=? WHERE id IN ("+marks(len(ids))+")", append([]any{now}, args(ids)...)...)
			return err
		})
		if err != nil {
			return nil, err
		}
		return joined(added, now), insert(ctx, tx, s.dialect, "IMGroupMember", memberColumns, fresh, "")
	})
	return added, members, err
}

// RemoveMembers implements chat.Groups.
func (s *Store) RemoveMembers(ctx context.Context, group uint32, users []uint32, now uint32) (members []uint32, err error) {
	err = s.changeMembers(ctx, group, now, func(tx *sql.Tx, rows map[uint32]memberRow) (changed []chat.Member, err error) {
		for _, user := range users {
			delete(rows, user)
		}
		members = current(rows)
		return joined(users, 0), chunked(users, func(users []uint32) error {
			in := " IN (" + marks(len(users)) + ")"
			if _, err := exec(ctx, tx, "UPDATE IMGroupMember SET status=1 WHERE groupId=? AND status=0 AND userId"+in,
				append([]any{group}, args(users)...)...); err != nil {
				return err
			}
			_, err := exec(ctx, tx, "UPDATE IMRecentSession SET status=1, updated=? WHERE peerId=? AND type=2 AND COALESCE(status,0)=0 AND userId"+in,
				append([]any{now, group}, args(users)...)...)
			return err
		})
	})
	return members, err
}

const memberColumns = "groupId,userId,status,created,updated"

// errNothing says that there is nothing to change; it stays within this file.
var errNothing = chat.Errorf(chat.Invalid, "nothing to change")

// joined are users who joined at a time, or left when it is 0.
func joined(users []uint32, at uint32) []chat.Member {
	members := make([]chat.Member, len(users))
	for i, user := range users {
		members[i] = chat.Member{User: user, Joined: at}
	}
	return members
}

// lockGroup locks the talk of a group that exists, and reads who is or was in it.
func (s *Store) lockGroup(ctx context.Context, tx *sql.Tx, group, now uint32) (*talkRow, map[uint32]memberRow, error) {
	rows, err := memberRows(ctx, tx, group)
	if err == nil && len(current(rows)) == 0 {
		err = chat.ErrNoGroup
	}
	if err != nil {
		return nil, nil, err
	}
	t, err := s.talking(tx).lockOne(ctx, chat.GroupTalk(group), now)
	if err == nil && s.dialect.shared() {
		rows, err = memberRows(ctx, tx, group) // as they are now that nobody else can change them
	}
	return t, rows, err
}

// changeMembers holds the talk of a group while change does its work on the rows of its members, which it updates, then
// raises the version and sets the levels of all whom change names, so that who comes back starts with nothing unread.
func (s *Store) changeMembers(ctx context.Context, group, now uint32, change func(tx *sql.Tx, rows map[uint32]memberRow) ([]chat.Member, error)) error {
	var touched []uint32 // whose lists of groups change
	err := s.changeFollowed(ctx, now, func(tx *sql.Tx, c *chat.Commit) error {
		t, rows, err := s.lockGroup(ctx, tx, group, now)
		if err != nil {
			return err
		}
		changed, err := change(tx, rows)
		if err != nil {
			return err
		}
		users := make([]uint32, len(changed))
		for i, m := range changed {
			users[i] = m.User
		}
		touched = append(current(rows), users...)
		moved, err := s.readGroup(ctx, tx, group, users, t)
		if err != nil {
			return err
		}
		moved.Members = changed
		c.Changes = append(c.Changes, moved)
		_, err = exec(ctx, tx, "UPDATE IMGroup SET version=version+1, userCnt=? WHERE id=?", len(current(rows)), group)
		return err
	})
	if err == errNothing {
		return nil
	}
	return s.wrote(err, append(aboutEach(touched, aboutUser), aboutGroup(group))...)
}

// readGroup notes that users have seen all there is of a group whose talk is locked. Nothing is written while there is
// nothing.
func (s *Store) readGroup(ctx context.Context, tx *sql.Tx, group uint32, users []uint32, t *talkRow) (chat.Change, error) {
	talk := chat.GroupTalk(group)
	levels := make(map[member]uint32, len(users))
	var rows []any
	for _, user := range users {
		levels[member{group, user}] = t.sentA
		if t.sentA > 0 {
			rows = append(rows, user, group, t.sentA)
		}
	}
	if err := saveLevels(ctx, tx, s.dialect, rows); err != nil {
		return chat.Change{}, err
	}
	err := s.bump(ctx, tx, talk, t)
	return t.change(talk, users, levels), err
}

// saveLevels stores how much of groups users have seen: rows of user, group, level.
func saveLevels(ctx context.Context, q querier, d dialect, rows []any) error {
	return insert(ctx, q, d, "IMProxyLevel", "userId,groupId,level", rows, d.upsert([]string{"userId", "groupId"}, []string{"level"}))
}
