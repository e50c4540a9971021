package records

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// What the commands of an administrator need. They work on the store directly, beside a running
// proxy: nothing of IMUser and IMDepart outlives a request there. Here are people; departments and
// groups have files of their own.

// Marks that transactions write which rely on what they read of all people, or of all departments.
const (
	peopleMark     = "people"
	departmentMark = "departments"
)

// changeAlone is change for transactions of which one at a time is to be at work. They write a
// mark: a node of a cluster of which several are written to knows nothing of the locks at the
// others.
func (s *Store) changeAlone(ctx context.Context, mark string, work func(tx *sql.Tx) error) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if s.dialect.shared() {
			if _, err := exec(ctx, tx, raiseMark, mark); err != nil {
				return err
			}
		}
		return work(tx)
	})
}

// AddUser makes a user and returns its id; kind NotAllowed when somebody who can log in has that
// name already, kind NotFound when the department does not exist (0 means none).
func (s *Store) AddUser(ctx context.Context, u chat.User) (id uint32, err error) {
	err = s.changeAlone(ctx, peopleMark, func(tx *sql.Tx) error {
		if err := mayAdd(ctx, tx, s.dialect, []chat.User{u}); err != nil {
			return err
		}
		row := newUser(u, s.unix())
		res, err := tx.ExecContext(ctx, "INSERT INTO IMUser ("+newUserColumns+") VALUES "+
			tuples(1, len(row)), row...)
		if err != nil {
			return err
		}
		last, err := res.LastInsertId()
		id, err = madeID("IMUser", last, err)
		return err
	})
	return id, s.wroteAnything(err)
}

// AddUsers makes users, all of them or, with an error, none. Kinds as of AddUser; NotAllowed also
// when two of the users have the same name.
func (s *Store) AddUsers(ctx context.Context, users []chat.User) error {
	err := s.changeAlone(ctx, peopleMark, func(tx *sql.Tx) error {
		if err := mayAdd(ctx, tx, s.dialect, users); err != nil {
			return err
		}
		now := s.unix()
		var rows []any
		for _, u := range users {
			rows = append(rows, newUser(u, now)...)
		}
		return insert(ctx, tx, s.dialect, "IMUser", newUserColumns, rows, "")
	})
	return s.wroteAnything(err)
}

var newUserColumns = strings.Join(setColumns, ",") + ",created,push_shield_status"

func newUser(u chat.User, now uint32) []any { return append(setValues(&u, now), now, 0) }

// mayAdd refuses users that cannot be made.
func mayAdd(ctx context.Context, tx *sql.Tx, d dialect, users []chat.User) error {
	var c userChecks
	for _, u := range users {
		if err := c.note(chat.User{Status: chat.Left}, u); err != nil {
			return err
		}
	}
	return c.check(ctx, tx, d)
}

// userChecks gathers what is to be looked up before users are stored.
type userChecks struct {
	names       map[string]uint32 // that must be free, with the id of who is to have it
	departments map[uint32]bool   // that must exist
}

// note looks at a user to be stored in the place of old, who cannot log in when the user is new.
func (c *userChecks) note(old, u chat.User) error {
	check := chat.CheckUser
	if u.ID != 0 {
		check = func(u chat.User) error { return chat.CheckUserChange(old, u) }
	}
	if err := check(u); err != nil {
		return err
	}
	if c.names == nil {
		c.names, c.departments = make(map[string]uint32), make(map[uint32]bool)
	}
	if u.Status == chat.InService && (old.Status != u.Status || old.Name != u.Name) {
		if _, twice := c.names[u.Name]; twice {
			return nameTaken(u.Name)
		}
		c.names[u.Name] = u.ID
	}
	if u.Department != old.Department {
		c.departments[u.Department] = true
	}
	return nil
}

func (c *userChecks) check(ctx context.Context, q querier, d dialect) error {
	err := byText(d, sortedKeys(c.names), func(some []string) error {
		query := "SELECT id,name FROM IMUser WHERE COALESCE(status,0)=0 AND name IN (" +
			marks(len(some)) + ")"
		return each(ctx, q, query, textArgs(some), func(scan scanner) error {
			var id uint32
			var name string
			err := scan(&id, &name)
			// some engines ignore trailing spaces
			if wanted, asked := c.names[name]; err == nil && asked && wanted != id {
				err = nameTaken(name)
			}
			return err
		})
	})
	for _, id := range sortedKeys(c.departments) {
		if err == nil {
			err = departmentExists(ctx, q, id)
		}
	}
	return err
}

func nameTaken(name string) error {
	return chat.Errorf(chat.NotAllowed, "there is a user named %q already", name)
}

// ChangeUsers calls change for each of the users, of any status, ascending by id, and stores what
// it changed, with updated set to now: all of it or, with an error, nothing. change may be called
// again for the same user, when the transaction has to be repeated. It returns how many users are
// now different. Kind NotFound when a user or a department does not exist; NotAllowed when somebody
// else who can log in has the name already.
func (s *Store) ChangeUsers(
	ctx context.Context, ids []uint32, change func(*chat.User) error,
) (changed int, err error) {
	err = s.changeAlone(ctx, peopleMark, func(tx *sql.Tx) error {
		before, err := s.lockUsers(ctx, tx, ids)
		if err != nil {
			return err
		}
		var c userChecks
		var after []chat.User
		for _, old := range before {
			u := old
			if err := change(&u); err != nil {
				return err
			}
			if u == old {
				continue
			}
			if err := c.note(old, u); err != nil {
				return err
			}
			after = append(after, u)
		}
		if err := c.check(ctx, tx, s.dialect); err != nil {
			return err
		}
		changed = len(after)
		return s.updateUsers(ctx, tx, after)
	})
	return changed, s.wroteAnything(err)
}

// lockUsers reads users that all must exist, ascending by id, and keeps them as they are until the
// transaction ends.
func (s *Store) lockUsers(
	ctx context.Context, tx *sql.Tx, ids []uint32,
) (users []chat.User, err error) {
	ids = chat.SortedSet(ids)
	err = chunked(ids, func(ids []uint32) error {
		query := adminUsers + " WHERE id IN (" + marks(len(ids)) + ") ORDER BY id" +
			s.dialect.lock()
		return each(ctx, tx, query, args(ids), func(scan scanner) error {
			u, err := scanAdminUser(scan)
			users = append(users, u)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		if i >= len(users) || users[i].ID != id {
			return nil, chat.Errorf(chat.NotFound, "there is no user %d", id)
		}
	}
	return users, nil
}

var updateUser = "UPDATE IMUser SET " + strings.Join(setColumns, "=?,") + "=? WHERE id=?"

func (s *Store) updateUsers(ctx context.Context, tx *sql.Tx, users []chat.User) error {
	now := s.unix()
	for _, u := range users {
		if _, err := exec(ctx, tx, updateUser, append(setValues(&u, now), u.ID)...); err != nil {
			return err
		}
	}
	return nil
}

// Accounts returns the users with one of the ids or exactly one of the names, of any status,
// ascending by id, with what only administrators may know.
func (s *Store) Accounts(ctx context.Context, ids []uint32, names []string) ([]chat.User, error) {
	found := make(map[uint32]chat.User)
	read := func(where string, params []any, wanted func(chat.User) bool) error {
		return s.query(ctx, "users", adminUsers+" WHERE "+where, params, func(scan scanner) error {
			u, err := scanAdminUser(scan)
			if wanted(u) {
				found[u.ID] = u
			}
			return err
		})
	}
	err := chunked(ids, func(some []uint32) error {
		return read("id IN ("+marks(len(some))+")", args(some), func(chat.User) bool {
			return true
		})
	})
	if err != nil {
		return nil, err
	}
	err = byText(s.dialect, names, func(some []string) error {
		// some engines ignore trailing spaces
		exactly := func(u chat.User) bool { return slices.Contains(some, u.Name) }
		return read("name IN ("+marks(len(some))+")", textArgs(some), exactly)
	})
	return slices.SortedFunc(maps.Values(found), func(a, b chat.User) int {
		return cmp.Compare(a.ID, b.ID)
	}), err
}

// AllUsers calls f for every user of any status, ascending by id.
func (s *Store) AllUsers(ctx context.Context, f func(chat.User) error) error {
	return s.failed("reading users",
		each(ctx, s.read, adminUsers+" ORDER BY id", nil, func(scan scanner) error {
			u, err := scanAdminUser(scan)
			if err != nil {
				return err
			}
			return f(u)
		}))
}

var adminUsers = "SELECT " + userColumns + ",password,salt,created FROM IMUser"

func scanAdminUser(scan scanner) (chat.User, error) {
	var password, salt string
	var created uint32
	u, err := scanUser(scan, &password, &salt, &created)
	u.Password, u.Salt, u.Created = password, salt, created
	return u, err
}

// textArgs turns texts into arguments.
func textArgs(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}
