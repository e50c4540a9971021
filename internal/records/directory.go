package records

import (
	"cmp"
	"context"
	"maps"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/people"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// userRow returns a function that reads people.UserColumns of a row, and what stands behind them,
// and calls with. more are where a user has that; nil: there is nothing.
func userRow(with func(chat.User), more func(*chat.User) []any) func(sqldb.Scanner) error {
	var u chat.User // every row is read into it
	at := people.UserAt(&u)
	if more != nil {
		at = append(at, more(&u)...)
	}
	return func(scan sqldb.Scanner) error {
		err := scan(at...)
		with(u)
		return err
	}
}

// secrets are where a user has the columns password and salt.
func secrets(u *chat.User) []any { return []any{&u.Password, &u.Salt} }

// keep appends an item of so many bytes to a list that is still within its limit. A list that is
// beyond it is dropped, since nobody will see it.
func keep[V any](size *chat.Measure, list *[]V, item V, bytes int) {
	if size.Add(bytes) {
		*list = append(*list, item)
	} else {
		*list = nil
	}
}

// keepUsers returns a function that keeps users in a list, and the measure of the list.
func keepUsers(ctx context.Context, users *[]chat.User) (*chat.Measure, func(chat.User)) {
	size := chat.NewMeasure(ctx, "users")
	return size, func(u chat.User) { keep(size, users, u, u.Size()) }
}

// UsersByName implements chat.Directory.
func (s *Store) UsersByName(
	ctx context.Context, names []string,
) (map[string]chat.User, error) {
	var from reader
	found, err := read(ctx, s, func(ctx context.Context, r reader) (map[string]chat.User, error) {
		from = r
		return r.findNames(ctx, names)
	})
	if err != nil || from == s.reader {
		return found, err
	}
	var again []string // who has these names may have been written just now
	for _, name := range names {
		u, ok := found[name]
		if !ok || !s.replica.Has([]replica.Subject{replica.AboutUser(u.ID)}) {
			again = append(again, name)
			delete(found, name)
		}
	}
	written, err := s.reader.findNames(ctx, again)
	maps.Copy(found, written)
	return found, err
}

// findNames returns the users of status 0 with exactly these names, the one with the largest id
// when several have it. As some engines ignore trailing spaces, it may find others, too.
func (r reader) findNames(ctx context.Context, names []string) (map[string]chat.User, error) {
	found := make(map[string]chat.User, len(names))
	query := "SELECT " + people.UserColumns + ",password,salt FROM IMUser" +
		" WHERE name IN (%s) AND COALESCE(status,0)=0"
	row := userRow(func(u chat.User) {
		if u.ID >= found[u.Name].ID {
			found[u.Name] = u
		}
	}, secrets)
	err := sqldb.ByText(r, names, func(names []string) error {
		text := sqldb.WithParams(query, len(names))
		return r.Query(ctx, "users by name", text, sqldb.Args(names), row)
	})
	return found, err
}

// UsersByID implements chat.Directory.
func (s *Store) UsersByID(ctx context.Context, ids []uint32) (map[uint32]chat.User, error) {
	return readEach(ctx, s, ids, replica.AboutUser, reader.findUsers)
}

func (r reader) findUsers(ctx context.Context, ids []uint32) (map[uint32]chat.User, error) {
	found := make(map[uint32]chat.User, len(ids))
	size := chat.NewMeasure(ctx, "users")
	err := r.usersIn(ctx, ids, func(u chat.User) {
		if size.Add(u.Size()) {
			found[u.ID] = u
		} else {
			clear(found) // nobody will see them
		}
	})
	return found, cmp.Or(err, size.Err())
}

func (r reader) usersIn(ctx context.Context, ids []uint32, with func(chat.User)) error {
	query := "SELECT " + people.UserColumns + " FROM IMUser WHERE id IN (%s) ORDER BY id"
	return sqldb.QueryIn(ctx, r.Pool, "users", query, ids, userRow(with, nil))
}

// UsersChanged implements chat.Directory. The list of all people is shared with other callers, who
// must not change it.
func (s *Store) UsersChanged(ctx context.Context, since uint32) ([]chat.User, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (users []chat.User, err error) {
		if since == 0 {
			limit := chat.LimitOf(ctx)
			found, err := r.everybody.Get(ctx, []int{limit})
			return found[limit].users, cmp.Or(err, found[limit].err)
		}
		size, keep := keepUsers(ctx, &users)
		query := "SELECT " + people.UserColumns + " FROM IMUser WHERE updated>=? ORDER BY id"
		err = r.Query(ctx, "users", query, []any{since}, userRow(keep, nil))
		return users, cmp.Or(err, size.Err())
	}, replica.EveryUser)
}

// everybody is the list of all people, or why there is none. Callers share it; nobody changes it.
type everybody struct {
	users []chat.User
	err   error
}

// findEverybody lists all who have not left, for each limit of such a list, in bytes. When many
// clients come at once, they share few such queries.
func (r reader) findEverybody(ctx context.Context, limits []int) (map[int]everybody, error) {
	found := make(map[int]everybody)
	for _, limit := range limits {
		if _, twice := found[limit]; twice {
			continue
		}
		var all everybody
		size, keep := keepUsers(chat.WithLimit(ctx, limit), &all.users)
		query := "SELECT " + people.UserColumns +
			" FROM IMUser WHERE COALESCE(status,0)<>3 ORDER BY id"
		if err := r.Query(ctx, "users", query, nil, userRow(keep, nil)); err != nil {
			return nil, err
		}
		all.err = size.Err()
		found[limit] = all
	}
	return found, nil
}

// DepartmentsChanged implements chat.Directory.
func (s *Store) DepartmentsChanged(ctx context.Context, since uint32) ([]chat.Department, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (all []chat.Department, err error) {
		size := chat.NewMeasure(ctx, "departments")
		query := people.SelectDepartments + " WHERE updated>? ORDER BY id"
		err = r.Query(ctx, "departments", query, []any{since}, func(scan sqldb.Scanner) error {
			d, err := people.ScanDepartment(scan)
			keep(size, &all, d, len(d.Name)+32)
			return err
		})
		return all, cmp.Or(err, size.Err())
	}, replica.AllDepartments)
}

// PushShields implements chat.Directory.
func (s *Store) PushShields(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[uint32]uint32, error) {
		shields := make(map[uint32]uint32, len(users))
		const query = "SELECT id,push_shield_status FROM IMUser WHERE id IN (%s)"
		return shields, sqldb.QueryIn(ctx, r.Pool, "push shields", query, users,
			sqldb.Into(shields))
	}, replica.AboutEach(users, replica.AboutUser)...)
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

// setProfile sets one column of a user. The column is a constant of ours.
func (s *Store) setProfile(
	ctx context.Context, column string, user uint32, value any, now uint32,
) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		n, err := sqldb.Exec(ctx, tx, "UPDATE IMUser SET "+column+"=?, updated=? WHERE id=?", value,
			now, user)
		if err == nil && n == 0 {
			err = chat.Errorf(chat.NotFound, "no user %d", user)
		}
		return err
	})
	return s.wrote(err, replica.AboutUser(user), replica.EveryUser)
}
