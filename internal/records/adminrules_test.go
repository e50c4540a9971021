package records_test

import (
	"errors"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestNamesOfThoseWhoCanLogInAreUnique(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		add := func(name string, status uint32) error {
			_, err := s.AddUser(t.Context(), chat.User{Name: name, Status: status})
			return err
		}
		for _, u := range []struct {
			name   string
			status uint32
		}{{"bob", 3}, {"bob", 0}, {"Bob", 0}} {
			if err := add(u.name, u.status); err != nil {
				t.Errorf("%q of status %d: %v", u.name, u.status, err)
			}
		}
		wantKind(t, add("bob", 0), chat.NotAllowed)
		wantKind(t, add("", 0), chat.Invalid)
		wantKind(t, add("bob ", 0), chat.Invalid)
		wantKind(t, add("a\xff", 0), chat.Invalid)
	})
}

func TestUsersAndDepartmentsBelongToDepartmentsThatExist(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		top, err := s.AddDepartment(t.Context(), chat.Department{Name: "top"}, true)
		if err != nil {
			t.Fatal(err)
		}
		sub, err := s.AddDepartment(t.Context(), chat.Department{Name: "sub", Parent: top}, true)
		if err != nil {
			t.Fatal(err)
		}
		id, err := s.AddUser(t.Context(), chat.User{Name: "bob", Department: sub})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.AddUser(t.Context(), chat.User{Name: "carol", Department: 77})
		wantKind(t, err, chat.NotFound)
		_, err = s.AddDepartment(t.Context(), chat.Department{Name: "x", Parent: 77}, true)
		wantKind(t, err, chat.NotFound)
		_, err = s.AddDepartment(t.Context(), chat.Department{Name: ""}, true)
		wantKind(t, err, chat.Invalid)
		users, err := s.UsersByID(t.Context(), []uint32{id})
		if err != nil || len(users) != 1 || users[id].Department != sub {
			t.Errorf("%+v, %v", users, err)
		}
	})
}

func TestAllUsersComeOneByOneUntilTheCallerHasEnough(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		for _, name := range []string{"a", "b", "c"} {
			if _, err := s.AddUser(t.Context(), chat.User{Name: name, Status: 3}); err != nil {
				t.Fatal(err)
			}
		}
		all := ""
		if err := s.AllUsers(t.Context(), func(
			u chat.User) error {
			all += u.Name
			return nil
		}); err != nil || all != "abc" {
			t.Errorf("%q, %v", all, err)
		}
		enough := errors.New("enough")
		all = ""
		err := s.AllUsers(t.Context(), func(u chat.User) error { all += u.Name; return enough })
		if !errors.Is(err, enough) || all != "a" {
			t.Errorf("%q, %v", all, err)
		}
	})
}
