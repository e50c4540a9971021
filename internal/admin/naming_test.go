package admin_test

import (
	"context"
	"slices"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// people is a store of users alone, and of one department.
type people struct {
	admin.Store
	users []chat.User
}

func (p *people) Accounts(
	_ context.Context, ids []uint32, names []string,
) (found []chat.User, err error) {
	for _, u := range p.users {
		if slices.Contains(ids, u.ID) || slices.Contains(names, u.Name) {
			found = append(found, u)
		}
	}
	return found, nil
}

func (p *people) AllDepartments(context.Context) ([]chat.Department, error) {
	return []chat.Department{{ID: 1, Name: "Engineering"}, {ID: 2, Name: "Sales", Status: 1},
		{ID: 3, Name: "Sales"}, {ID: 4, Name: "5"}}, nil
}

func TestFindUser(t *testing.T) {
	store := &people{users: []chat.User{
		{ID: 1, Name: "ann", Status: chat.Left},
		{ID: 2, Name: "ann"},
		{ID: 3, Name: "bob", Status: chat.Left},
		{ID: 4, Name: "bob", Status: 1},
		{ID: 5, Name: "1"},
		{ID: 6, Name: "13800000001"},
		{ID: 7, Name: "7"},
		{ID: 8, Name: "id:2"},
	}}
	for arg, want := range map[string]uint32{
		"ann": 2, "1": 0, "id:1": 1, "2": 2, "id:3": 3, "bob": 0, "5": 5, "13800000001": 6, "7": 7,
		"id:2": 0,
		"":     0, "0": 0, "Ann": 0, "ann ": 0, "id:": 0, "-1": 0, "99999999999": 0,
		"4294967296": 0,
	} {
		u, err := admin.FindUser(t.Context(), store, arg)
		if u.ID != want || (err == nil) != (want != 0) {
			t.Errorf("%q is user %d (%v), want %d", arg, u.ID, err, want)
		}
	}
	for arg, want := range map[string]string{
		"bob": `2 people have the login name "bob": say id:3 or id:4`,
		"1":   `1 is the id of user "ann" and the login name of user 5: say id:1 or id:5`,
		"cy": `there is no user with the id or login name "cy"; ` +
			`"dbproxy user list" lists them all`,
	} {
		if _, err := admin.FindUser(t.Context(), store, arg); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", arg, err, want)
		}
	}
}

func TestFindUsersNamesAllThatAreNotThere(t *testing.T) {
	store := &people{users: []chat.User{{ID: 1, Name: "ann"}}}
	users, err := admin.FindUsers(t.Context(), store, []string{"ann", "9"}, 9)
	if err != nil || len(users) != 2 || users[1].ID != 9 {
		t.Errorf("a known id of nobody: %v, %v", users, err)
	}
	_, err = admin.FindUsers(t.Context(), store, []string{"x", "ann", "9"})
	want := `there is no user with the id or login name "x"; ` +
		`there is no user with the id or login name "9"; "dbproxy user list" lists them all`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestFindDepartment(t *testing.T) {
	for arg, want := range map[string]uint32{"Engineering": 1, "Sales": 3, "2": 2, "5": 4, "6": 0} {
		d, err := admin.FindDepartment(t.Context(), &people{}, arg)
		if d.ID != want || (err == nil) != (want != 0) {
			t.Errorf("%q is department %d (%v), want %d", arg, d.ID, err, want)
		}
	}
}
