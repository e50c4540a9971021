// Package people is what the commands of an administrator need of the records: it lists and changes
// people and departments, and lists groups and who is in them. (Groups are changed by records
// itself, as talks are.) It also says which columns people, departments and groups are read from,
// for the reads of records.
//
// The commands work on the store directly, beside running proxies, which keep nothing of IMUser and
// IMDepart beyond a request. Everything is read from the master.
package people

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/marks"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Roster lists and changes people and departments, and lists groups. It is safe for concurrent use.
// Errors have the kinds that its methods say; where they say none, see sqldb.Pool.Fail.
type Roster struct {
	db      *sqldb.DB
	replica *replica.Replica // nil: none; it is told of all that is written
	now     func() uint32    // the clock, Unix seconds
}

// Of returns the Roster of a database. The replica, which may be nil, is told what is written; now
// is the clock, in Unix seconds.
func Of(db *sqldb.DB, r *replica.Replica, now func() uint32) Roster { return Roster{db, r, now} }

// wrote has the replica told, after a commit without an error, that anything may have been written
// of people. It returns err.
func (r Roster) wrote(err error) error {
	if err == nil {
		r.replica.WroteAnything()
	}
	return err
}

// The marks that are written by transactions which rely on what they read of all people, or of all
// departments.
const (
	peopleMark     = "people"
	departmentMark = "departments"
)

// changeAlone is sqldb.DB.Change for transactions that rely on all people, or on all departments,
// to stay as they were read. Each writes the same mark, so that of two at once one is undone or
// waits, also at two nodes of a cluster, where neither knows of the locks at the other.
func (r Roster) changeAlone(ctx context.Context, mark string, work func(tx sqldb.Tx) error) error {
	return r.db.Change(ctx, func(tx sqldb.Tx) error {
		if r.db.ManyWriters() {
			if _, err := sqldb.Exec(ctx, tx, marks.Raise, mark); err != nil {
				return err
			}
		}
		return work(tx)
	})
}

// AddUser makes a user and returns its id. The kind of the error is NotAllowed when somebody who
// can log in has that name already, and NotFound when the department does not exist (0 means none).
func (r Roster) AddUser(ctx context.Context, u chat.User) (id uint32, err error) {
	err = r.changeAlone(ctx, peopleMark, func(tx sqldb.Tx) error {
		if err := mayAdd(ctx, tx, []chat.User{u}); err != nil {
			return err
		}
		row := newUser(u, r.now())
		insert := "INSERT INTO IMUser (" + newUserColumns + ") VALUES (%s)"
		id, err = tx.InsertID(ctx, "IMUser", sqldb.WithParams(insert, len(row)), row...)
		return err
	})
	return id, r.wrote(err)
}

// NameIsFree returns the error that AddUser would return for a name now, if only the name keeps it
// from making a user.
func (r Roster) NameIsFree(ctx context.Context, name string) error {
	c := userChecks{names: map[string]uint32{name: 0}}
	ctx, cancel := r.db.Bounded(ctx)
	defer cancel()
	return r.db.Fail("looking for the name", c.run(ctx, r.db.Session))
}

// AddUsers makes users: all of them or, with an error, none. Errors have the kinds of AddUser's; it
// is NotAllowed also when two of the users have the same name.
func (r Roster) AddUsers(ctx context.Context, users []chat.User) error {
	err := r.changeAlone(ctx, peopleMark, func(tx sqldb.Tx) error {
		if err := mayAdd(ctx, tx, users); err != nil {
			return err
		}
		now := r.now()
		var rows []any
		for _, u := range users {
			rows = append(rows, newUser(u, now)...)
		}
		return sqldb.Insert(ctx, tx.Session, "IMUser", newUserColumns, rows, "")
	})
	return r.wrote(err)
}

var newUserColumns = strings.Join(setColumns, ",") + ",created,push_shield_status"

func newUser(u chat.User, now uint32) []any { return append(setValues(&u, now), now, 0) }

// mayAdd refuses users that cannot be made.
func mayAdd(ctx context.Context, tx sqldb.Tx, users []chat.User) error {
	var c userChecks
	for _, u := range users {
		if err := c.note(chat.User{Status: chat.Left}, u); err != nil {
			return err
		}
	}
	return c.run(ctx, tx.Session)
}

// userChecks gathers what is to be asked of the database before users are stored.
type userChecks struct {
	names       map[string]uint32 // that must be free, with the id of who is to have it
	departments map[uint32]bool   // that must exist
}

// note checks a user who is to be stored in place of old, and notes what the database is to be
// asked. A new user comes in place of one who cannot log in.
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

// run asks the database. Names are compared here, too, as some engines ignore trailing spaces.
func (c *userChecks) run(ctx context.Context, q sqldb.Session) error {
	const query = "SELECT id,name FROM IMUser WHERE COALESCE(status,0)=0 AND name IN (%s)"
	err := sqldb.ByText(q, slices.Sorted(maps.Keys(c.names)), func(some []string) error {
		query := sqldb.WithParams(query, len(some))
		return sqldb.Each(ctx, q, query, sqldb.Args(some), func(scan sqldb.Scanner) error {
			var id uint32
			var name string
			err := scan(&id, &name)
			if wanted, asked := c.names[name]; err == nil && asked && wanted != id {
				err = nameTaken(name)
			}
			return err
		})
	})
	for _, id := range slices.Sorted(maps.Keys(c.departments)) {
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
// now different. The kind of the error is NotFound when a user or a department does not exist, and
// NotAllowed when somebody else who can log in has the name already.
func (r Roster) ChangeUsers(
	ctx context.Context, ids []uint32, change func(*chat.User) error,
) (changed int, err error) {
	err = r.changeAlone(ctx, peopleMark, func(tx sqldb.Tx) error {
		before, err := r.lockUsers(ctx, tx, ids)
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
		if err := c.run(ctx, tx.Session); err != nil {
			return err
		}
		changed = len(after)
		return r.updateUsers(ctx, tx, after)
	})
	return changed, r.wrote(err)
}

// lockUsers reads users that all must exist, ascending by id, and keeps them as they are until the
// transaction ends.
func (r Roster) lockUsers(
	ctx context.Context, tx sqldb.Tx, ids []uint32,
) (users []chat.User, err error) {
	ids = chat.SortedSet(ids)
	err = sqldb.Chunked(ids, func(ids []uint32) error {
		query := sqldb.WithParams(adminUsers+" WHERE id IN (%s) ORDER BY id", len(ids))
		return sqldb.Each(ctx, tx, query+r.db.ForUpdate(), sqldb.Args(ids),
			func(scan sqldb.Scanner) error {
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

func (r Roster) updateUsers(ctx context.Context, tx sqldb.Tx, users []chat.User) error {
	now := r.now()
	for _, u := range users {
		_, err := sqldb.Exec(ctx, tx, updateUser, append(setValues(&u, now), u.ID)...)
		if err != nil {
			return err
		}
	}
	return nil
}

// Accounts returns the users with one of the ids or exactly one of the names, of any status,
// ascending by id, with what only administrators may know.
func (r Roster) Accounts(
	ctx context.Context, ids []uint32, names []string,
) ([]chat.User, error) {
	found := make(map[uint32]chat.User)
	row := func(wanted func(chat.User) bool) func(sqldb.Scanner) error {
		return func(scan sqldb.Scanner) error {
			u, err := scanAdminUser(scan)
			if wanted(u) {
				found[u.ID] = u
			}
			return err
		}
	}
	err := sqldb.QueryIn(ctx, r.db.Pool, "users", adminUsers+" WHERE id IN (%s)", ids,
		row(func(chat.User) bool { return true }))
	if err != nil {
		return nil, err
	}
	err = sqldb.ByText(r.db, names, func(some []string) error {
		// Some engines ignore trailing spaces.
		exactly := row(func(u chat.User) bool { return slices.Contains(some, u.Name) })
		query := sqldb.WithParams(adminUsers+" WHERE name IN (%s)", len(some))
		return r.db.Query(ctx, "users", query, sqldb.Args(some), exactly)
	})
	byID := func(a, b chat.User) int { return cmp.Compare(a.ID, b.ID) }
	return slices.SortedFunc(maps.Values(found), byID), err
}

// AllUsers calls f for every user of any status, ascending by id.
func (r Roster) AllUsers(ctx context.Context, f func(chat.User) error) error {
	err := sqldb.Each(ctx, r.db, adminUsers+" ORDER BY id", nil, func(scan sqldb.Scanner) error {
		u, err := scanAdminUser(scan)
		if err != nil {
			return err
		}
		return f(u)
	})
	return r.db.Fail("reading users", err)
}

var adminUsers = "SELECT " + UserColumns + ",password,salt,created FROM IMUser"

func scanAdminUser(scan sqldb.Scanner) (u chat.User, err error) {
	err = scan(append(UserAt(&u), &u.Password, &u.Salt, &u.Created)...)
	return u, err
}
