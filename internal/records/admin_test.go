package records_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// clock is a clock that tests set.
type clock struct{ unix int64 }

func (c *clock) now() time.Time { return time.Unix(c.unix, 0) }

// addPeople makes users with the names given, and ids from 1.
func addPeople(t *testing.T, store *records.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := store.AddUser(t.Context(), chat.User{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

func wantRefusal(t *testing.T, err error, kind chat.Kind, text string) {
	t.Helper()
	if chat.KindOf(err) != kind || err.Error() != text {
		t.Errorf("error %v (%v), want %s (%v)", err, chat.KindOf(err), text, kind)
	}
}

func userNames(t *testing.T, store *records.Store) (names []string) {
	t.Helper()
	err := store.AllUsers(t.Context(), func(u chat.User) error {
		names = append(names, u.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAddUsersMakesAllOrNone(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		store := p.open(records.Options{Now: (&clock{1000}).now})
		addPeople(t, store, "ann")
		ctx := t.Context()
		wantRefusal(t, store.AddUsers(ctx, []chat.User{{Name: "bob"}, {Name: "ann"}}),
			chat.NotAllowed, `there is a user named "ann" already`)
		wantRefusal(t, store.AddUsers(ctx, []chat.User{{Name: "bob"}, {Name: "bob"}}),
			chat.NotAllowed, `there is a user named "bob" already`)
		wantRefusal(t, store.AddUsers(ctx, []chat.User{{Name: "bob"}, {Name: "cy", Department: 4}}),
			chat.NotFound, "there is no department 4")
		wantRefusal(t, store.AddUsers(ctx, []chat.User{{Name: "bob"}, {}}), chat.Invalid,
			"the name is empty")
		if diff := cmp.Diff([]string{"ann"}, userNames(t, store)); diff != "" {
			t.Error("after what was refused:", diff)
		}
		var many []chat.User
		for i := range 700 {
			many = append(many, chat.User{Name: fmt.Sprint("user", i), Nick: "N", Password: "p",
				Salt: "s", Email: "e", Sex: 2})
		}
		if err := store.AddUsers(ctx, many); err != nil {
			t.Fatal(err)
		}
		found, err := store.Accounts(ctx, []uint32{1},
			[]string{"user699", "nobody", "user0", "ANN"})
		if err != nil {
			t.Fatal(err)
		}
		want := []chat.User{
			{ID: 1, Name: "ann", Created: 1000, Updated: 1000},
			{ID: 2, Name: "user0", Nick: "N", Password: "p", Salt: "s", Email: "e", Sex: 2,
				Created: 1000, Updated: 1000},
			{ID: 701, Name: "user699", Nick: "N", Password: "p", Salt: "s", Email: "e", Sex: 2,
				Created: 1000, Updated: 1000},
		}
		if diff := cmp.Diff(want, found); diff != "" {
			t.Error(diff)
		}
	})
}

func TestChangeUsers(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		c := &clock{1000}
		store := p.open(records.Options{Now: c.now})
		addPeople(t, store, "ann", "bob", "cy")
		c.unix = 2000
		changed, err := store.ChangeUsers(t.Context(), []uint32{2, 1}, func(u *chat.User) error {
			if u.ID == 1 {
				u.Nick = "Annie"
			}
			return nil
		})
		if changed != 1 || err != nil {
			t.Errorf("changed %d users (%v), want 1", changed, err)
		}
		news, err := store.UsersChanged(t.Context(), 2000)
		if err != nil {
			t.Fatal(err)
		}
		if len(news) != 1 || news[0].Nick != "Annie" || news[0].Updated != 2000 {
			t.Errorf("clients that ask what changed get %+v, want Annie alone", news)
		}

		set := func(id uint32, change func(*chat.User)) error {
			_, err := store.ChangeUsers(t.Context(), []uint32{id}, func(u *chat.User) error {
				change(u)
				return nil
			})
			return err
		}
		wantRefusal(t, set(9, func(*chat.User) {}), chat.NotFound, "there is no user 9")
		wantRefusal(t, set(1, func(u *chat.User) { u.Name = "bob" }), chat.NotAllowed,
			`there is a user named "bob" already`)
		wantRefusal(t, set(1, func(u *chat.User) { u.Department = 3 }), chat.NotFound,
			"there is no department 3")
		wantRefusal(t, set(1, func(u *chat.User) { u.Phone = "123456789012" }), chat.Invalid,
			"phone is longer than 11 characters")
		leave := func(u *chat.User) { u.Status = chat.Left }
		for _, step := range []error{set(2, leave), set(1, func(u *chat.User) { u.Name = "bob" }),
			set(2, func(u *chat.User) { u.Nick = "old" })} {
			if step != nil {
				t.Error("after bob left his name is free:", step)
			}
		}
		wantRefusal(t, set(2, func(u *chat.User) { u.Status = chat.InService }), chat.NotAllowed,
			`there is a user named "bob" already`)
	})
}

func TestDepartmentChangesInOneSecondAreAllSeen(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		store := p.open(records.Options{Now: (&clock{1000}).now})
		ctx := t.Context()
		latest := uint32(0)
		sees := func(what string, id uint32) {
			t.Helper()
			news, err := store.DepartmentsChanged(ctx, latest)
			if err != nil || len(news) != 1 || news[0].ID != id {
				t.Fatalf("after %s a client that knows all before gets %+v (%v), "+
					"want department %d", what, news, err, id)
			}
			latest = news[0].Updated
		}
		for id := uint32(1); id <= 3; id++ {
			if _, err := store.AddDepartment(ctx, chat.Department{Name: "d", Parent: id - 1},
				true); err != nil {
				t.Fatal(err)
			}
			sees("adding", id)
		}
		changed, err := store.ChangeDepartment(ctx, 1, true,
			func(d *chat.Department) error { d.Status = 1; return nil })
		if !changed || err != nil {
			t.Error("closing:", changed, err)
		}
		sees("closing", 1)
		changed, err = store.ChangeDepartment(ctx, 1, true,
			func(*chat.Department) error { return nil })
		if changed || err != nil {
			t.Error("changing nothing:", changed, err)
		}

		under := func(parent uint32) error {
			_, err := store.ChangeDepartment(ctx, 1, true,
				func(d *chat.Department) error { d.Parent = parent; return nil })
			return err
		}
		wantRefusal(t, under(1), chat.Invalid,
			"department 1 would stand above itself: 1 is at or below it")
		wantRefusal(t, under(3), chat.Invalid,
			"department 1 would stand above itself: 3 is at or below it")
		wantRefusal(t, under(4), chat.NotFound, "there is no department 4")
		_, err = store.ChangeDepartment(ctx, 4, true, func(*chat.Department) error { return nil })
		wantRefusal(t, err, chat.NotFound, "there is no department 4")
	})
}

func TestAClosedDepartmentIsNoSecondOneOfItsName(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		store := p.open(records.Options{})
		ctx := t.Context()
		status := func(to uint32, sameName bool) error {
			_, err := store.ChangeDepartment(ctx, 1, sameName, func(d *chat.Department) error {
				d.Status = to
				return nil
			})
			return err
		}
		add := func() error {
			_, err := store.AddDepartment(ctx, chat.Department{Name: "d"}, false)
			return err
		}
		const taken = `there is a department named "d" already, with the id `
		if err := add(); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, add(), chat.NotAllowed, taken+"1")
		if err := errors.Join(status(1, false), add()); err != nil {
			t.Error("closed:", err)
		}
		wantRefusal(t, status(0, false), chat.NotAllowed, taken+"2")
		if err := status(0, true); err != nil {
			t.Error("open again:", err)
		}
	})
}

// TestGroupsAsAnAdministratorSeesThem changes groups as user 0, by the rules of the protocol.
func TestGroupsAsAnAdministratorSeesThem(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		c := &clock{1000}
		store := p.open(records.Options{Now: c.now})
		ctx := t.Context()
		svc, err := chat.New(chat.Store{Groups: store},
			chat.Options{VoiceKey: chat.DefaultVoiceKey, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := svc.CreateGroup(ctx, chat.NewGroup{Name: "Lunch", Creator: 7,
			Type: chat.NormalGroup, Members: []uint32{2, 1, 2}}); err != nil {
			t.Fatal(err)
		}
		c.unix = 2000
		batch := chat.Batch{ID: chat.NewCommitID(), Now: 2000, Drafts: []chat.Draft{
			{Talk: chat.GroupTalk(1), From: 1, Type: chat.GroupText, Content: "soup?", Time: 2000},
		}}
		if _, err := store.Append(ctx, batch, counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		c.unix = 3000
		if _, _, err := svc.ChangeMembers(ctx,
			chat.MemberChange{Group: 1, Users: []uint32{3}}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := svc.ChangeMembers(ctx,
			chat.MemberChange{Group: 1, Users: []uint32{2}, Remove: true}); err != nil {
			t.Fatal(err)
		}
		want := []chat.GroupSummary{{
			GroupInfo: chat.GroupInfo{ID: 1, Name: "Lunch", Creator: 7, Type: chat.NormalGroup,
				Version: 3},
			Size: 2, Messages: 1, Counted: true, Created: 1000, LastTalk: 2000,
		}}
		groups, err := store.AllGroups(ctx)
		if diff := cmp.Diff(want, groups); diff != "" || err != nil {
			t.Error(err, diff)
		}
		members, err := store.Memberships(ctx, 1)
		if diff := cmp.Diff([]chat.Membership{{User: 1, Joined: 1000}, {User: 3, Joined: 3000}},
			members); diff != "" || err != nil {
			t.Error(err, diff)
		}
		for user, in := range map[uint32]int{1: 1, 2: 0, 3: 1} {
			if groups, err := store.GroupsOf(ctx, user); len(groups) != in || err != nil {
				t.Errorf("user %d is in %d groups (%v), want %d", user, len(groups), err, in)
			}
			if unread, err := store.Unread(ctx, []uint32{user}); user != 1 &&
				(len(unread) != 0 || err != nil) {
				t.Errorf("user %d has %v unread (%v), want none", user, unread, err)
			}
		}
		if _, _, err := svc.ChangeMembers(ctx,
			chat.MemberChange{Group: 1, Users: []uint32{1, 3}, Remove: true}); err != nil {
			t.Fatal(err)
		}
		if groups, err := store.AllGroups(ctx); len(groups) != 0 || err != nil {
			t.Errorf("a group without members is listed: %+v, %v", groups, err)
		}
	})
}

func TestWhatOthersWroteBeforeRefusesNoChange(t *testing.T) {
	old := chat.User{ID: 1, Name: "a\tb", Nick: "two\nlines", Phone: "much too long a number",
		Status: 1}
	left := old
	left.Status = chat.Left
	if err := chat.CheckUserChange(old, left); err != nil {
		t.Error(err)
	}
	left.Nick = "two\nothers"
	wantRefusal(t, chat.CheckUserChange(old, left), chat.Invalid, "nick has a control character")
	left.Nick, left.Name = "", ""
	wantRefusal(t, chat.CheckUserChange(old, left), chat.Invalid, "the name is empty")
	department := chat.Department{ID: 1, Name: "a\tb", Priority: 1<<32 - 1}
	closed := department
	closed.Status = 1
	if err := chat.CheckDepartmentChange(department, closed); err != nil {
		t.Error(err)
	}
	closed.Name = ""
	wantRefusal(t, chat.CheckDepartmentChange(department, closed), chat.Invalid,
		"the name is empty")
}
