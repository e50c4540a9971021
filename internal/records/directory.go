package records

import (
	"cmp"
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// listUsers runs a query for users, and calls with each.
func (r reader) listUsers(ctx context.Context, query string, params []any, with func(chat.User)) error {
	return r.Query(ctx, "users", query, params, func(scan sqldb.Scanner) error {
		u, err := scanUser(scan)
		with(u)
		return err
	})
}

// fittingUsers is a function that appends users to a list while they fit, and the measure of it.
func fittingUsers(ctx context.Context, users *[]chat.User) (*chat.Measure, func(chat.User)) {
	size := chat.NewMeasure(ctx, "users")
	return size, func(u chat.User) {
		if size.Add(u.Size()) {
			*users = append(*users, u)
		} else {
			*users = nil
		}
	}
}

// UserByName implements chat.Directory. Some engines ignore trailing spaces: that is why names are compared here, too.
func (s *Store) UserByName(ctx context.Context, name string) (chat.User, error) {
	var from reader
	u, err := read(ctx, s, func(ctx context.Context, r reader) (chat.User, error) {
		from = r
		return r.userByName(ctx, name)
	})
	if from != s.master() && (chat.KindOf(err) == chat.NotFound || err == nil && !s.replica.Has([]replica.Subject{replica.AboutUser(u.ID)})) {
		return s.master().userByName(ctx, name) // who has this name may have been written just now
	}
	return u, err
}

func (r reader) userByName(ctx context.Context, name string) (chat.User, error) {
	found, err := r.names.Get(ctx, []string{name})
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
	err := sqldb.ByText(r, names, func(names []string) error {
		query := "SELECT " + userColumns + ",password,salt FROM IMUser WHERE name IN (" + sqldb.Params(len(names)) + ") AND COALESCE(status,0)=0 ORDER BY id"
		return r.Query(ctx, "users by name", query, sqldb.Args(names), func(scan sqldb.Scanner) error {
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
	}, replica.AboutEach(ids, replica.AboutUser)...)
}

func (r reader) usersByID(ctx context.Context, ids []uint32) (users []chat.User, err error) {
	size, keep := fittingUsers(ctx, &users)
	if len(ids) > sqldb.FewKeys {
		err = r.usersIn(ctx, ids, keep)
		return users, cmp.Or(err, size.Err())
	}
	found, err := r.users.Get(ctx, ids)
	for _, id := range ids {
		if u, ok := found[id]; ok {
			keep(u)
		}
	}
	return users, cmp.Or(err, size.Err())
}

func (r reader) findUsers(ctx context.Context, ids []uint32) (map[uint32]chat.User, error) {
	found := make(map[uint32]chat.User, len(ids))
	return found, r.usersIn(ctx, ids, func(u chat.User) { found[u.ID] = u })
}

func (r reader) usersIn(ctx context.Context, ids []uint32, with func(chat.User)) error {
	return sqldb.Chunked(ids, func(ids []uint32) error {
		return r.listUsers(ctx, "SELECT "+userColumns+" FROM IMUser WHERE id IN ("+sqldb.Params(len(ids))+") ORDER BY id",
			sqldb.Args(ids), with)
	})
}

// UsersChanged implements chat.Directory. The list of all is shared with others: it is not to be
// changed.
func (s *Store) UsersChanged(ctx context.Context, since uint32) ([]chat.User, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.User, error) {
		return r.usersChanged(ctx, since)
	}, replica.EveryUser)
}

func (r reader) usersChanged(ctx context.Context, since uint32) (users []chat.User, err error) {
	if since == 0 {
		room := chat.LimitOf(ctx)
		found, err := r.all.Get(ctx, []int{room})
		return found[room].users, cmp.Or(err, found[room].err)
	}
	size, keep := fittingUsers(ctx, &users)
	err = r.listUsers(ctx, "SELECT "+userColumns+" FROM IMUser WHERE updated>=? ORDER BY id", []any{since}, keep)
	return users, cmp.Or(err, size.Err())
}

// findEverybody lists all who have not left, for each room: when many clients come at once, they
// share few such queries.
func (r reader) findEverybody(ctx context.Context, rooms []int) (map[int]everybody, error) {
	found := make(map[int]everybody)
	for _, room := range rooms {
		if _, twice := found[room]; twice {
			continue
		}
		var all everybody
		size, keep := fittingUsers(chat.WithLimit(ctx, room), &all.users)
		err := r.listUsers(ctx, "SELECT "+userColumns+" FROM IMUser WHERE COALESCE(status,0)<>3 ORDER BY id", nil, keep)
		if err != nil {
			return nil, err
		}
		all.err = size.Err()
		found[room] = all
	}
	return found, nil
}

// DepartmentsChanged implements chat.Directory.
func (s *Store) DepartmentsChanged(ctx context.Context, since uint32) ([]chat.Department, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.Department, error) {
		return r.departmentsChanged(ctx, since)
	}, replica.AllDepartments)
}

func (r reader) departmentsChanged(ctx context.Context, since uint32) (departments []chat.Department, err error) {
	size := chat.NewMeasure(ctx, "departments")
	err = r.Query(ctx, "departments", "SELECT id,departName,parentId,priority,status,updated FROM IMDepart WHERE updated>? ORDER BY id",
		[]any{since}, func(scan sqldb.Scanner) error {
			d, err := scanDepartment(scan)
			if size.Add(len(d.Name) + 32) {
				departments = append(departments, d)
			}
			return err
		})
	return departments, cmp.Or(err, size.Err())
}

// PushShields implements chat.Directory.
func (s *Store) PushShields(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[uint32]uint32, error) {
		return r.pushShields(ctx, users)
	}, replica.AboutEach(users, replica.AboutUser)...)
}

func (r reader) pushShields(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	shields := make(map[uint32]uint32, len(users))
	err := sqldb.Chunked(users, func(users []uint32) error {
		return r.Query(ctx, "push shields", "SELECT id,push_shield_status FROM IMUser WHERE id IN ("+sqldb.Params(len(users))+")", sqldb.Args(users),
			func(scan sqldb.Scanner) error {
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
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		n, err := sqldb.Exec(ctx, tx, "UPDATE IMUser SET "+column+"=?, updated=? WHERE id=?", value, now, user)
		if err == nil && n == 0 {
			err = chat.Errorf(chat.NotFound, "no user %d", user)
		}
		return err
	})
	return s.wrote(err, replica.AboutUser(user), replica.EveryUser)
}
