package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// ChangedGroups returns the groups in use with talk at or after since (Unix seconds), ascending by id.
//
// IMGroup has no index of lastChated, so all of it is read: of 100,000 groups that takes 25 ms (MariaDB 10.11), and one
// proxy does it every few seconds. With an index it would take nothing, but each message to a group would move an entry.
func (s *Store) ChangedGroups(ctx context.Context, since uint32) (groups []chat.GroupNews, err error) {
	err = s.latest(ctx, "groups with news", "SELECT id,lastChated,version FROM IMGroup WHERE status=0 AND lastChated>=? AND lastChated>0 ORDER BY id",
		[]any{since}, func(scan scanner) error {
			var g chat.GroupNews
			err := scan(&g.Group, &g.At, &g.Version)
			groups = append(groups, g)
			return err
		})
	return groups, err
}

// Members returns the members of a group, in any order.
func (s *Store) Members(ctx context.Context, group uint32) (users []uint32, err error) {
	err = s.query(ctx, "members", "SELECT DISTINCT userId FROM IMGroupMember WHERE groupId=? AND status=0", []any{group}, func(scan scanner) error {
		var user uint32
		err := scan(&user)
		users = append(users, user)
		return err
	})
	return users, err
}

// Behind returns, in any order, those members of a group for whom SyncSessions has something to do.
func (s *Store) Behind(ctx context.Context, group, at uint32) (users []uint32, err error) {
	sessions := make(map[uint32]memberSession)
	err = s.latest(ctx, "sessions of members", memberSessions, []any{at, group}, addMemberSession(sessions))
	for user, se := range sessions {
		if se.missing() || se.moves() {
			users = append(users, user)
		}
	}
	return users, err
}

// SyncSessions brings the sessions of some members of a group up to at (Unix seconds): those in the list move to it,
// who has none gets one, and one that was removed stays removed. New ones are made in the order of users. Those who are
// no members any more are left alone.
//
// It holds the talk's lock, as everybody does who makes sessions of a group or changes its members. So what is found
// here stays true until the commit, and many may do this at the same time: each sees what the one before has made.
func (s *Store) SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		if _, err := s.talking(tx).lockOne(ctx, chat.GroupTalk(group), at); err != nil {
			return err
		}
		sessions := make(map[uint32]memberSession, len(users))
		err := chunked(users, func(users []uint32) error {
			query := memberSessions + " AND m.userId IN (" + marks(len(users)) + ")"
			return each(ctx, tx, query, append([]any{at, group}, args(users)...), addMemberSession(sessions))
		})
		if err != nil {
			return err
		}
		var fresh []any
		var ids []uint32
		for _, user := range users {
			switch se, in := sessions[user]; {
			case in && se.missing():
				fresh = append(fresh, user, group, uint32(chat.Group), 0, at, at)
			case in && se.moves():
				ids = append(ids, se.id)
			}
			delete(sessions, user) // once is enough
		}
		if err := insert(ctx, tx, s.dialect, "IMRecentSession", sessionColumns, fresh, ""); err != nil {
			return err
		}
		return chunked(ids, func(ids []uint32) error { // original servers beside us hold no lock
			_, err := exec(ctx, tx, "UPDATE IMRecentSession SET updated=? WHERE COALESCE(status,0)=0 AND updated<? AND id IN ("+marks(len(ids))+")",
				append([]any{at, at}, args(ids)...)...)
			return err
		})
	})
	return s.wrote(err, aboutEach(users, aboutUser)...)
}

// memberSession is a member's session with the group: of several the one in use.
type memberSession struct {
	id    uint32 // 0: there is none
	live  bool   // in the member's list
	older bool   // than the talk
}

func (m memberSession) missing() bool { return m.id == 0 }
func (m memberSession) moves() bool   { return m.live && m.older }

// memberSessions asks for a time and a group.
const memberSessions = `SELECT m.userId,COALESCE(s.id,0),CASE WHEN COALESCE(s.status,0)=0 THEN 1 ELSE 0 END,CASE WHEN s.updated<? THEN 1 ELSE 0 END
 FROM IMGroupMember m LEFT JOIN IMRecentSession s ON s.userId=m.userId AND s.peerId=m.groupId AND s.type=2
 WHERE m.groupId=? AND m.status=0`

// addMemberSession puts what memberSessions finds into sessions: of several of one user the one of status 0, then the one
// of the greatest id, as sessionsOf does.
func addMemberSession(sessions map[uint32]memberSession) func(scanner) error {
	return func(scan scanner) error {
		var user uint32
		var se memberSession
		if err := scan(&user, &se.id, &se.live, &se.older); err != nil {
			return err
		}
		known, there := sessions[user]
		if !there || se.live && !known.live || se.live == known.live && se.id > known.id {
			sessions[user] = se
		}
		return nil
	}
}

// latest is query where nothing may be missing that was committed before: it never asks a replica.
func (s *Store) latest(ctx context.Context, what, query string, args []any, row func(scanner) error) error {
	db := s.read
	if s.dialect.shared() {
		db = s.write
	}
	ctx, cancel := context.WithTimeout(ctx, s.statement)
	defer cancel()
	return s.failed("reading "+what, each(ctx, db, query, args, row))
}

// Mark returns a stored value by its name; ok is false when it was never set.
func (s *Store) Mark(ctx context.Context, name string) (value uint32, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.statement)
	defer cancel()
	value, ok, err = readMark(ctx, s.read, name)
	return value, ok, s.failed("reading a mark", err)
}

func readMark(ctx context.Context, q querier, name string) (value uint32, ok bool, err error) {
	err = each(ctx, q, "SELECT value FROM IMProxyMark WHERE name=?", []any{name}, func(scan scanner) error {
		ok = true
		return scan(&value)
	})
	return value, ok, err
}

// SetMark stores a value under a name.
func (s *Store) SetMark(ctx context.Context, name string, value uint32) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		return insert(ctx, tx, s.dialect, "IMProxyMark", "name,value", []any{name, value}, s.dialect.upsert([]string{"name"}, []string{"value"}))
	})
}

// Marks returns those of the named marks that were ever set.
func (s *Store) Marks(ctx context.Context, names []string) (map[string]uint32, error) {
	found := make(map[string]uint32, len(names))
	err := chunked(names, func(names []string) error {
		return s.query(ctx, "marks", "SELECT name,value FROM IMProxyMark WHERE name IN ("+marks(len(names))+")", anys(names), func(scan scanner) error {
			var name string
			var value uint32
			err := scan(&name, &value)
			found[name] = value
			return err
		})
	})
	return found, err
}

// SwapMark sets a mark to value if it is old, or was never set and old is 0, and says whether it did.
func (s *Store) SwapMark(ctx context.Context, name string, old, value uint32) (swapped bool, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		if old != 0 {
			n, err := exec(ctx, tx, "UPDATE IMProxyMark SET value=? WHERE name=? AND value=?", value, name, old)
			swapped = n == 1
			return err
		}
		_, err := exec(ctx, tx, "INSERT INTO IMProxyMark (name,value) VALUES (?,?)", name, value)
		if swapped = err == nil; err != nil && s.dialect.duplicate(err) {
			return nil
		}
		return err
	})
	return swapped && err == nil, err
}

// RaiseMarks sets those marks that are below these values. It makes none.
func (s *Store) RaiseMarks(ctx context.Context, values map[string]uint32) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		for _, name := range sortedKeys(values) {
			if _, err := exec(ctx, tx, "UPDATE IMProxyMark SET value=? WHERE name=? AND value<?", values[name], name, values[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

func anys(names []string) []any {
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = name
	}
	return out
}
