package chat_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func userIDs(users []chat.User) (ids []uint32) {
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids
}

func TestUsersComeByIDAscendingOnceEachOfAnyStatus(t *testing.T) {
	rule(t, func(w *world) {
		for status, id := range []int{30, 4, 5, 100, 2} {
			w.user(id, map[string]any{"status": status})
		}
		for _, test := range []struct{ ask, want []uint32 }{
			{[]uint32{100, 2, 30, 4, 5}, []uint32{2, 4, 5, 30, 100}},
			{[]uint32{5, 5, 2, 5, 2}, []uint32{2, 5}},
			{[]uint32{0, 1, 4294967295, 4}, []uint32{4}},
			{nil, nil},
		} {
			users, err := w.usersByID(w.ctx, test.ask)
			w.must(err)
			wantSame(w, fmt.Sprint(test.ask), userIDs(users), test.want)
		}
	})
}

// usersByID asks for users, with the limit of ctx.
func (w *world) usersByID(ctx context.Context, ids []uint32) ([]chat.User, error) {
	asked := chat.UsersAsked{IDs: ids, Limit: chat.LimitOf(ctx)}
	return only(w.svc.Users(w.ctx, []chat.UsersAsked{asked}))
}

func TestManyUsersComeByIDAscending(t *testing.T) {
	rule(t, func(w *world) {
		var ask []uint32
		for i := range 1300 {
			ask = append(ask, uint32(1300-i))
			if i%100 == 0 {
				w.user(i+1, nil)
			}
		}
		users, err := w.usersByID(w.ctx, ask)
		w.must(err)
		wantSame(w, "users", userIDs(users),
			[]uint32{1, 101, 201, 301, 401, 501, 601, 701, 801, 901, 1001, 1101, 1201})
	})
}

func TestAllUsersAreThoseChangedSinceOrAllWhoHaveNotLeft(t *testing.T) {
	rule(t, func(w *world) {
		w.user(3, map[string]any{"updated": 100, "status": 1})
		w.user(1, map[string]any{"updated": 300, "status": 3})
		w.user(2, map[string]any{"updated": 200, "status": nil})
		w.user(4, map[string]any{"updated": 200, "status": 4})
		for _, test := range []struct {
			since  uint32
			want   []uint32
			latest uint32
		}{
			{0, []uint32{2, 3, 4}, 200}, // the largest seen: 1 has left
			{1, []uint32{1, 2, 3, 4}, 300},
			{100, []uint32{1, 2, 3, 4}, 300},
			{101, []uint32{1, 2, 4}, 300},
			{300, []uint32{1}, 300},
			{301, nil, 301},
			{4294967295, nil, 4294967295},
		} {
			users, latest, err := w.svc.UsersSince(w.ctx, test.since)
			w.must(err)
			wantSame(w, fmt.Sprint("since ", test.since), userIDs(users), test.want)
			wantSame(w, fmt.Sprint("latest since ", test.since), latest, test.latest)
		}
	})
}

func TestNobodyAtAllGivesTheTimeBack(t *testing.T) {
	rule(t, func(w *world) {
		users, latest, err := w.svc.UsersSince(w.ctx, 0)
		w.must(err)
		wantSame(w, "users", len(users), 0)
		wantSame(w, "latest", latest, 0)
		departments, latest, err := w.svc.DepartmentsSince(w.ctx, 7)
		w.must(err)
		wantSame(w, "departments", len(departments), 0)
		wantSame(w, "latest", latest, 7)
	})
}

func TestDepartmentsAreThoseChangedAfterATimeOpenOrClosed(t *testing.T) {
	rule(t, func(w *world) {
		for id, row := range map[int][2]int{4: {0, 100}, 2: {1, 200}, 3: {0, 300}, 1: {0, 100},
			5: {2, 250}} {
			w.insert("IMDepart", map[string]any{"id": id, "departName": fmt.Sprint("d", id),
				"priority": id, "parentId": 0, "status": row[0],
				"created": 1, "updated": row[1]})
		}
		for _, test := range []struct {
			since  uint32
			want   []uint32
			latest uint32
		}{
			{0, []uint32{1, 2, 3, 4}, 300},
			{99, []uint32{1, 2, 3, 4}, 300},
			{100, []uint32{2, 3}, 300},
			{200, []uint32{3}, 300},
			{300, nil, 300},
			{1000, nil, 1000},
		} {
			departments, latest, err := w.svc.DepartmentsSince(w.ctx, test.since)
			w.must(err)
			var ids []uint32
			for _, d := range departments {
				ids = append(ids, d.ID)
			}
			wantSame(w, fmt.Sprint("after ", test.since), ids, test.want)
			wantSame(w, fmt.Sprint("latest after ", test.since), latest, test.latest)
		}
	})
}

// profile is what users may change of user 1.
func (w *world) profile() string {
	w.Helper()
	return w.raw.Rows("SELECT sign_info,avatar,push_shield_status,updated FROM IMUser " +
		"WHERE id=1")[0]
}

// change is what a user changes of their own.
type change func(w *world) error

func signs(user uint32, text string) change {
	return func(w *world) error { return w.svc.SetSignature(w.ctx, user, text) }
}

func pictures(user uint32, url string) change {
	return func(w *world) error { return w.svc.SetAvatar(w.ctx, user, url) }
}

func shields(user, value uint32) change {
	return func(w *world) error { return w.svc.SetPushShield(w.ctx, user, value) }
}

func TestUsersChangeWhatIsTheirs(t *testing.T) {
	long, wide := repeat("x", 128), repeat("语", 42) // 126 bytes
	faces := repeat("😀", 255)
	for name, test := range map[string]struct {
		change change
		want   string // the profile's
	}{
		"signature":                    {signs(1, "it's"), "it's a.png 0"},
		"signature of 128 bytes":       {signs(1, long), long + " a.png 0"},
		"signature of wide characters": {signs(1, wide), wide + " a.png 0"},
		"no signature":                 {signs(1, ""), " a.png 0"},
		"the same signature":           {signs(1, "hi"), "hi a.png 0"},
		"avatar":                       {pictures(1, "http://b"), "hi http://b 0"},
		"avatar of 255 characters":     {pictures(1, faces), "hi " + faces + " 0"},
		"no avatar":                    {pictures(1, ""), "hi  0"},
		"the same avatar":              {pictures(1, "a.png"), "hi a.png 0"},
		"shield":                       {shields(1, 1), "hi a.png 1"},
		"the largest shield":           {shields(1, 255), "hi a.png 255"},
		"the same shield":              {shields(1, 0), "hi a.png 0"},
		"the same again in one second": {func(w *world) error {
			w.must(w.svc.SetSignature(w.ctx, 1, "x"))
			return w.svc.SetSignature(w.ctx, 1, "x")
		}, "x a.png 0"},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				w.user(1, map[string]any{"sign_info": "hi", "avatar": "a.png"})
				w.user(2, nil)
				others := w.raw.Rows("SELECT * FROM IMUser WHERE id=2")
				w.must(test.change(w))
				wantSame(w, "the profile", w.profile(), fmt.Sprint(test.want, " ", w.now()))
				wantSame(w, "others", w.raw.Rows("SELECT * FROM IMUser WHERE id=2"), others)
			})
		})
	}
}

func TestProfilesThatCannotBeKeptAreRefused(t *testing.T) {
	rule(t, func(w *world) {
		w.user(1, nil)
		for name, test := range map[string]struct {
			change change
			kind   chat.Kind
		}{
			"signature of 129 bytes":      {signs(1, repeat("x", 129)), chat.Invalid},
			"signature of 129 wide bytes": {signs(1, repeat("语", 43)), chat.Invalid},
			"signature with a NUL":        {signs(1, "a\x00"), chat.Invalid},
			"signature not UTF-8":         {signs(1, "\xff"), chat.Invalid},
			"signature of nobody":         {signs(9, "x"), chat.NotFound},
			"avatar of 256 characters":    {pictures(1, repeat("x", 256)), chat.Invalid},
			"avatar of 256 wide ones":     {pictures(1, repeat("语", 256)), chat.Invalid},
			"avatar not UTF-8":            {pictures(1, "a\xe8"), chat.Invalid},
			"avatar of nobody":            {pictures(9, "x"), chat.NotFound},
			"shield 256":                  {shields(1, 256), chat.Invalid},
			"shield 4294967295":           {shields(1, 4294967295), chat.Invalid},
			"shield of nobody":            {shields(9, 1), chat.NotFound},
		} {
			w.leavesNoTrace(func() {
				if wantKind(w, test.change(w), test.kind); w.Failed() {
					w.Fatal(name)
				}
			})
		}
	})
}

func TestThePushShieldIsAnswered(t *testing.T) {
	rule(t, func(w *world) {
		w.user(1, map[string]any{"push_shield_status": 7})
		shield, err := w.svc.PushShield(w.ctx, 1)
		w.must(err)
		wantSame(w, "shield", shield, 7)
		_, err = w.svc.PushShield(w.ctx, 2)
		wantKind(w, err, chat.NotFound)
	})
}

func TestListsOfPeopleAreWholeOrRefused(t *testing.T) {
	rule(t, func(w *world) {
		// about 1200 bytes
		w.user(1, map[string]any{"avatar": repeat("😀", 255), "sign_info": repeat("x", 128)})
		for n := 1; n < 4096; n *= 2 {
			w.raw.Run("INSERT INTO IMUser "+
				"(id,sex,name,domain,nick,password,salt,phone,email,avatar,"+
				"departId,status,created,updated,push_shield_status,sign_info)"+
				" SELECT "+
				"id+?,sex,name,domain,nick,password,salt,phone,email,avatar,"+
				"departId,status,created,updated,push_shield_status,sign_info FROM IMUser", n)
		}
		var ids []uint32
		for i := range uint32(4096) {
			ids = append(ids, i+1)
		}
		w.raw.Run("UPDATE IMUser SET updated=77 WHERE id=4096")
		byID := func(ctx context.Context) ([]chat.User, error) { return w.usersByID(ctx, ids) }
		everybody := func(ctx context.Context) ([]chat.User, error) {
			users, latest, err := w.svc.UsersSince(ctx, 0)
			if err == nil {
				wantSame(w, "the latest change", latest, 77)
			}
			return users, err
		}
		whole(w, 1148, func(u chat.User) uint32 { return u.ID }, ids, byID)
		whole(w, 1148, func(u chat.User) uint32 { return u.ID }, ids, everybody)
	})
}
