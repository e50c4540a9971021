package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// ChangedGroups returns the groups in use in which there was talk at or after since (Unix seconds), with the time of it.
func (s *Store) ChangedGroups(ctx context.Context, since uint32) (map[uint32]uint32, error) {
	groups := make(map[uint32]uint32)
	err := s.query(ctx, "groups with news", "SELECT id,lastChated FROM IMGroup WHERE status=0 AND lastChated>=? AND lastChated>0", []any{since},
		func(scan scanner) error {
			var id, at uint32
			err := scan(&id, &at)
			groups[id] = at
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

// SyncSessions brings the sessions of some members of a group up to at (Unix seconds): those in the list move to it,
// who has none gets one, and one that was removed stays removed. New ones are made in the order of users.
func (s *Store) SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if _, err := s.talking(tx).lockOne(ctx, chat.GroupTalk(group), at); err != nil {
			return err
		}
		asked := make([]member, len(users))
		keys := make(map[uint32]sessionKey, len(users))
		for i, u := range users {
			asked[i] = member{group, u}
			keys[u] = sessionKey{u, group, chat.Group}
		}
		still, err := membersAmong(ctx, tx, s.dialect, asked) // some may have left since they were listed
		if err != nil {
			return err
		}
		var wanted []sessionKey
		for _, u := range users {
			if still[member{group, u}] {
				wanted = append(wanted, keys[u])
			}
		}
		sessions, err := findOrMakeSessions(ctx, tx, s.dialect, wanted, at)
		if err != nil {
			return err
		}
		var ids []uint32
		for _, id := range sessions {
			ids = append(ids, id)
		}
		return chunked(ids, func(ids []uint32) error {
			_, err := exec(ctx, tx, "UPDATE IMRecentSession SET updated=? WHERE COALESCE(status,0)=0 AND updated<? AND id IN ("+marks(len(ids))+")",
				append([]any{at, at}, args(ids)...)...)
			return err
		})
	})
}

// Mark returns a stored value by its name; ok is false when it was never set.
func (s *Store) Mark(ctx context.Context, name string) (value uint32, ok bool, err error) {
	err = s.query(ctx, "a mark", "SELECT value FROM IMProxyMark WHERE name=?", []any{name}, func(scan scanner) error {
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

// RaiseMarks sets those of the named marks to value that are below it. It makes none.
func (s *Store) RaiseMarks(ctx context.Context, names []string, value uint32) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		return chunked(names, func(names []string) error {
			_, err := exec(ctx, tx, "UPDATE IMProxyMark SET value=? WHERE value<? AND name IN ("+marks(len(names))+")",
				append([]any{value, value}, anys(names)...)...)
			return err
		})
	})
}

func anys(names []string) []any {
	out := make([]any, len(names))
	for i, name := range names {
		out[i] = name
	}
	return out
}
