package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

const userColumns = "id,name,nick,sex,domain,phone,email,COALESCE(avatar,''),departId,COALESCE(status,0),sign_info,updated"

func scanUser(scan scanner, more ...any) (u chat.User, err error) {
	dest := []any{&u.ID, &u.Name, &u.Nick, &u.Sex, &u.Domain, &u.Phone, &u.Email, &u.Avatar, &u.Department, &u.Status, &u.Signature, &u.Updated}
	err = scan(append(dest, more...)...)
	return u, err
}

// listUsers runs a query for users and stops where they would not fit an answer.
func (r reader) listUsers(ctx context.Context, query string, params []any, size int) (users []chat.User, _ int, err error) {
	err = r.query(ctx, "users", query, params, func(scan scanner) error {
		u, err := scanUser(scan)
		if size += u.Size(); size > chat.MaxAnswer {
			r.cut("users", len(users))
			return errEnough
		}
		users = append(users, u)
		return err
	})
	return users, size, err
}

// UserByName implements chat.Directory. Some engines ignore trailing spaces: that is why names are compared here, too.
func (s *Store) UserByName(ctx context.Context, name string) (chat.User, error) {
	var from reader
	u, err := read(ctx, s, func(ctx context.Context, r reader) (chat.User, error) {
		from = r
		return r.userByName(ctx, name)
	})
	if from != s.master() && (chat.KindOf(err) == chat.NotFound || err == nil && !s.replica.has([]subject{aboutUser(u.ID)})) {
		return s.master().userByName(ctx, name) // who has this name may have been written just now
	}
	return u, err
}

func (r reader) userByName(ctx context.Context, name string) (chat.User, error) {
	found, err := r.names.get(ctx, []string{name})
	if err != nil {
		return chat.User{}, err
	}
	u, ok := found[name]
	if !ok {
		return u, chat.Errorf(chat.NotFound, "no user of that name")
	}
	return u, nil
}

// findNames returns the users of status 0 with exactly these names, the one with the largest id when several have it.
func (r reader) findNames(ctx context.Context, names []string) (map[string]chat.User, error) {
	found := make(map[string]chat.User, len(names))
	err := byText(r.dialect, names, func(names []string) error {
		query := "SELECT " + userColumns + ",password,salt FROM IMUser WHERE name IN (" + marks(len(names)) + ") AND COALESCE(status,0)=0 ORDER BY id"
		return r.query(ctx, "users by name", query, textArgs(names), func(scan scanner) error {
			var password, salt string
			u, err := scanUser(scan, &password, &salt)
			u.Password, u.Salt = password, salt
			found[u.Name] = u
			return err
		})
	})
	return found, err
}

// UsersByID implements chat.Directory.
func (s *Store) UsersByID(ctx context.Context, ids []uint32) ([]chat.User, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.User, error) {
		return r.usersByID(ctx, ids)
	}, aboutEach(ids, aboutUser)...)
}

func (r reader) usersByID(ctx context.Context, ids []uint32) (users []chat.User, err error) {
	if len(ids) > batchSmall {
		return r.usersIn(ctx, ids)
	}
	found, err := r.users.get(ctx, ids)
	for _, id := range ids {
		if u, ok := found[id]; ok {
			users = append(users, u)
		}
	}
	return users, err
}

func (r reader) findUsers(ctx context.Context, ids []uint32) (map[uint32]chat.User, error) {
	users, err := r.usersIn(ctx, ids)
	found := make(map[uint32]chat.User, len(users))
	for _, u := range users {
		found[u.ID] = u
	}
	return found, err
}

func (r reader) usersIn(ctx context.Context, ids []uint32) (users []chat.User, err error) {
	size := 0
	err = chunked(ids, func(ids []uint32) error {
		if size > chat.MaxAnswer {
			return nil
		}
		var some []chat.User
		some, size, err = r.listUsers(ctx, "SELECT "+userColumns+" FROM IMUser WHERE id IN ("+marks(len(ids))+") ORDER BY id", args(ids), size)
		users = append(users, some...)
		return err
	})
	return users, err
}

// UsersChanged implements chat.Directory.
func (s *Store) UsersChanged(ctx context.Context, since uint32) (users []chat.User, all bool, err error) {
	_, err = read(ctx, s, func(ctx context.Context, r reader) (struct{}, error) {
		users, all, err = r.usersChanged(ctx, since)
		return struct{}{}, err
	}, subject{kind: everyUser})
	return users, all, err
}

func (r reader) usersChanged(ctx context.Context, since uint32) (users []chat.User, all bool, err error) {
	where, params := "updated>=?", []any{since}
	if since == 0 {
		where, params = "COALESCE(status,0)<>3", nil
	}
	users, size, err := r.listUsers(ctx, "SELECT "+userColumns+" FROM IMUser WHERE "+where+" ORDER BY id", params, 0)
	return users, size <= chat.MaxAnswer, err
}

// DepartmentsChanged implements chat.Directory.
func (s *Store) DepartmentsChanged(ctx context.Context, since uint32) ([]chat.Department, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.Department, error) {
		return r.departmentsChanged(ctx, since)
	}, subject{kind: allDepartments})
}

func (r reader) departmentsChanged(ctx context.Context, since uint32) (departments []chat.Department, err error) {
	size := 0
	err = r.query(ctx, "departments", "SELECT id,departName,parentId,priority,status,updated FROM IMDepart WHERE updated>? ORDER BY id",
		[]any{since}, func(scan scanner) error {
			d, err := scanDepartment(scan)
			if size += len(d.Name) + 32; size > chat.MaxAnswer {
				r.cut("departments", len(departments))
				return errEnough
			}
			departments = append(departments, d)
			return err
		})
	return departments, err
}

// PushShields implements chat.Directory.
func (s *Store) PushShields(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[uint32]uint32, error) {
		return r.pushShields(ctx, users)
	}, aboutEach(users, aboutUser)...)
}

func (r reader) pushShields(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	shields := make(map[uint32]uint32, len(users))
	err := chunked(users, func(users []uint32) error {
		return r.query(ctx, "push shields", "SELECT id,push_shield_status FROM IMUser WHERE id IN ("+marks(len(users))+")", args(users),
			func(scan scanner) error {
				var id, shield uint32
				err := scan(&id, &shield)
				shields[id] = shield
				return err
			})
	})
	return shields, err
}

// SetSignature implements chat.Profiles.
func (s *Store) SetSignature(ctx context.Context, user uint32, text string, now uint32) error {
	return s.setProfile(ctx, "sign_info", user, text, now)
}

// SetAvatar implements chat.Profiles.
func (s *Store) SetAvatar(ctx context.Context, user uint32, url string, now uint32) error {
	return s.setProfile(ctx, "avatar", user, url, now)
}

// SetPushShield implements chat.Profiles.
func (s *Store) SetPushShield(ctx context.Context, user uint32, shield uint8, now uint32) error {
	return s.setProfile(ctx, "push_shield_status", user, uint32(shield), now)
}

// setProfile sets one column of a user; column is a constant of ours.
func (s *Store) setProfile(ctx context.Context, column string, user uint32, value any, now uint32) error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "UPDATE IMUser SET "+column+"=?, updated=? WHERE id=?", value, now, user)
		if err == nil && n == 0 {
			err = chat.Errorf(chat.NotFound, "no user %d", user)
		}
		return err
	})
	return s.wrote(err, aboutUser(user), subject{kind: everyUser})
}
