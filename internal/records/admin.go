package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// What the commands of an administrator need. They work on the store directly, beside a running proxy: nothing of
// IMUser and IMDepart outlives a request there.

// AddUser makes a user and returns its id; kind NotAllowed when somebody who can log in has that name already, kind
// NotFound when the department does not exist (0 means none).
func (s *Store) AddUser(ctx context.Context, u chat.User) (id uint32, err error) {
	if err := chat.CheckUser(u); err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		taken, err := count(ctx, tx, "SELECT COUNT(*) FROM IMUser WHERE name=? AND COALESCE(status,0)=0", u.Name)
		if err != nil {
			return err
		}
		if taken > 0 {
			return chat.Errorf(chat.NotAllowed, "there is a user named %q already", u.Name)
		}
		if err := departmentExists(ctx, tx, u.Department); err != nil {
			return err
		}
		now := s.unix()
		res, err := tx.ExecContext(ctx, "INSERT INTO IMUser (sex,name,domain,nick,password,salt,phone,email,avatar,departId,status,"+
			"created,updated,push_shield_status,sign_info) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,0,?)", u.Sex, u.Name, u.Domain, u.Nick,
			u.Password, u.Salt, u.Phone, u.Email, u.Avatar, u.Department, u.Status, now, now, u.Signature)
		if err != nil {
			return err
		}
		last, err := res.LastInsertId()
		id = uint32(last)
		return err
	})
	return id, err
}

// AddDepartment makes a department and returns its id; kind NotFound when its parent does not exist (0 means none).
func (s *Store) AddDepartment(ctx context.Context, d chat.Department) (id uint32, err error) {
	if err := chat.CheckDepartment(d); err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		if err := departmentExists(ctx, tx, d.Parent); err != nil {
			return err
		}
		now := s.unix()
		res, err := tx.ExecContext(ctx, "INSERT INTO IMDepart (departName,priority,parentId,status,created,updated) VALUES (?,?,?,0,?,?)",
			d.Name, d.Priority, d.Parent, now, now)
		if err != nil {
			return err
		}
		last, err := res.LastInsertId()
		id = uint32(last)
		return err
	})
	return id, err
}

func departmentExists(ctx context.Context, q querier, id uint32) error {
	if id == 0 {
		return nil
	}
	n, err := count(ctx, q, "SELECT COUNT(*) FROM IMDepart WHERE id=?", id)
	if err == nil && n == 0 {
		err = chat.Errorf(chat.NotFound, "there is no department %d", id)
	}
	return err
}

func count(ctx context.Context, q querier, query string, args ...any) (n int, err error) {
	err = each(ctx, q, query, args, func(scan scanner) error { return scan(&n) })
	return n, err
}

// AllUsers calls f for every user of any status, ascending by id.
func (s *Store) AllUsers(ctx context.Context, f func(chat.User) error) error {
	return s.failed("reading users", each(ctx, s.read, "SELECT "+userColumns+" FROM IMUser ORDER BY id", nil, func(scan scanner) error {
		u, err := scanUser(scan)
		if err != nil {
			return err
		}
		return f(u)
	}))
}
