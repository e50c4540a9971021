package chat_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestAGroupIsMadeOfThoseListed(t *testing.T) {
	for name, test := range map[string]struct {
		members []uint32
		want    []uint32
	}{
		"the creator among them": {[]uint32{1, 2}, []uint32{1, 2}},
		"without the creator":    {[]uint32{3, 2}, []uint32{2, 3}},
		"repeats, in disorder":   {[]uint32{10, 2, 10, 1, 2}, []uint32{1, 2, 10}},
		"only one":               {[]uint32{7}, []uint32{7}},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				id, members, err := w.svc.CreateGroup(w.ctx,
					chat.NewGroup{Creator: 1, Type: chat.TemporaryGroup, Name: "名",
						Avatar: "a.png", Members: test.members})
				w.must(err)
				wantSame(w, "id", id, 1)
				wantSame(w, "members", members, test.want)
				now := w.now()
				w.raw.Want("SELECT "+
					"id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,"+
					"created FROM IMGroup",
					fmt.Sprintf("1 名 a.png 1 2 %d 0 1 0 %d %d", len(test.want), now, now))
				var rows []string
				for _, u := range test.want {
					rows = append(rows, fmt.Sprintf("1 %d 0 %d %d", u, now, now))
				}
				w.raw.Want("SELECT groupId,userId,status,created,updated FROM IMGroupMember "+
					"ORDER BY id", rows...)
				wantSame(w, "sessions", w.raw.Count("SELECT COUNT(*) FROM IMRecentSession"), 0)
			})
		})
	}
}

func TestGroupsAreNumberedWithoutGapsAndTheirTextsKept(t *testing.T) {
	rule(t, func(w *world) {
		for i, name := range []string{"x", repeat("😀", 256), "it's"} {
			if _, _, err := w.svc.CreateGroup(w.ctx,
				chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "",
					Members: []uint32{1}}); err == nil {
				w.Error("a group without a name was made")
			}
			id := w.made(chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: name,
				Avatar: repeat("语", 256), Members: []uint32{1}})
			wantSame(w, "id", id, uint32(i+1))
			w.raw.Want(fmt.Sprint("SELECT name,avatar FROM IMGroup WHERE id=", id), name+" "+
				repeat("语", 256))
		}
	})
}

func TestAGroupThatCannotBeMadeIsRefusedWithItsMembers(t *testing.T) {
	rule(t, func(w *world) {
		for name, g := range map[string]chat.NewGroup{
			"no name":                  {Members: []uint32{2, 1, 2}},
			"a name of 257 characters": {Name: repeat("x", 257), Members: []uint32{2, 1, 2}},
			"a wide name of 257":       {Name: repeat("语", 257), Members: []uint32{2, 1, 2}},
			"a name with a NUL":        {Name: "a\x00", Members: []uint32{2, 1, 2}},
			"a name not UTF-8":         {Name: "\xff", Members: []uint32{2, 1, 2}},
			"an avatar of 257 characters": {Name: "x", Avatar: repeat("x", 257),
				Members: []uint32{2, 1, 2}},
			"an avatar not UTF-8": {Name: "x", Avatar: "\xff", Members: []uint32{2, 1, 2}},
		} {
			w.leavesNoTrace(func() {
				g.Creator, g.Type = 1, chat.NormalGroup
				_, members, err := w.svc.CreateGroup(w.ctx, g)
				wantKind(w, err, chat.Invalid)
				wantSame(w, name, members, []uint32{1, 2})
			})
		}
		w.leavesNoTrace(func() {
			_, _, err := w.svc.CreateGroup(w.ctx,
				chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "nobody in it"})
			wantKind(w, err, chat.Invalid)
		})
	})
}

// newer returns the groups that are newer than the versions known.
func (w *world) newer(known ...chat.GroupVersion) []chat.GroupInfo {
	w.Helper()
	groups, err := only(w.svc.GroupsNewerThan(w.ctx, []chat.KnownGroups{{Versions: known}}))
	w.must(err)
	return groups
}

// infos says "id v version: members" of groups.
func (w *world) infos(known ...chat.GroupVersion) (texts []string) {
	w.Helper()
	for _, g := range w.newer(known...) {
		texts = append(texts, fmt.Sprintf("%d v%d: %v", g.ID, g.Version, g.Members))
	}
	return texts
}

func TestGroupsComeThatAreNewerThanTheVersionsKnown(t *testing.T) {
	rule(t, func(w *world) {
		a := w.group(1, 2)
		w.advance(seconds(1))
		b := w.group(10, 9, 1, 100)
		w.joins(b, 2)
		gone := w.group(5)
		w.leaves(gone, 5)
		// the latest updated first, members as text
		all := []string{"2 v2: [1 10 100 2 9]", "1 v1: [1 2]"}
		for name, test := range map[string]struct {
			known []chat.GroupVersion
			want  []string
		}{
			"version 0":         {[]chat.GroupVersion{{a, 0}, {b, 0}}, all},
			"older versions":    {[]chat.GroupVersion{{b, 1}, {a, 0}}, all},
			"the same versions": {[]chat.GroupVersion{{a, 1}, {b, 2}}, nil},
			"newer versions": {[]chat.GroupVersion{{a, 7}, {b, 4294967295}},
				nil},
			"unknown groups": {[]chat.GroupVersion{{77, 0}, {a, 0}, {0, 0}},
				all[1:]},
			"a group that nobody is in":         {[]chat.GroupVersion{{gone, 0}}, nil},
			"no groups":                         {nil, nil},
			"repeated, the last known is newer": {[]chat.GroupVersion{{a, 0}, {a, 1}}, nil},
			"repeated, the last known is older": {[]chat.GroupVersion{{a, 1}, {a, 0}}, all[1:]},
		} {
			wantSame(w, name, w.infos(test.known...), test.want)
		}
	})
}

func TestEachRequestForGroupsHasItsOwn(t *testing.T) {
	rule(t, func(w *world) {
		a, b := w.group(1, 2), w.group(1, 3)
		var large []uint32
		for id := range uint32(300) {
			large = append(large, 1000+id)
		}
		c := w.group(large...)
		var many []chat.GroupVersion // as many as are not served with others
		for id := range uint32(40) {
			many = append(many, chat.GroupVersion{ID: 100 + id})
		}
		many = append(many, chat.GroupVersion{ID: a}, chat.GroupVersion{ID: c})
		asked := []chat.KnownGroups{
			{Versions: []chat.GroupVersion{{ID: a}, {ID: b}}, Limit: 1000},
			{Versions: []chat.GroupVersion{{ID: a, Version: 1}, {ID: b}}},
			{},
			{Versions: []chat.GroupVersion{{ID: b}, {ID: c}}, Limit: 1000},
			{Versions: []chat.GroupVersion{{ID: c}, {ID: 99}}},
			{Versions: many, Limit: 1000},
			{Versions: many},
		}
		var got []string
		for _, r := range w.svc.GroupsNewerThan(w.ctx, asked) {
			text := ""
			for _, g := range r.Value {
				text += fmt.Sprintf("%d has %d ", g.ID, len(g.Members))
			}
			if long := (*chat.TooLongError)(nil); errors.As(r.Err, &long) {
				text += "too long"
			} else {
				w.must(r.Err)
			}
			got = append(got, text)
		}
		wantSame(w, "groups", got, []string{
			"2 has 2 1 has 2 ", "2 has 2 ", "", "too long", "3 has 300 ", "too long",
			"3 has 300 1 has 2 ",
		})
	})
}

func TestAGroupsInfoSaysWhatItIs(t *testing.T) {
	rule(t, func(w *world) {
		id := w.made(chat.NewGroup{Creator: 7, Type: chat.TemporaryGroup, Name: "名",
			Avatar: "a.png", Members: []uint32{1}})
		wantSame(w, "info", w.newer(chat.GroupVersion{ID: id}),
			[]chat.GroupInfo{{ID: id, Name: "名", Avatar: "a.png", Creator: 7,
				Type: chat.TemporaryGroup, Version: 1, Members: []uint32{1}}})
	})
}

func TestGroupsComeTheLatestUpdatedFirstHoweverMany(t *testing.T) {
	rule(t, func(w *world) {
		const n = 1200 // more than one statement asks for
		var known []chat.GroupVersion
		var want []string
		w.raw.Run("BEGIN")
		for i := range n {
			w.oldGroup(i+1, 1000+i, 1, 1)
			known = append(known, chat.GroupVersion{ID: uint32(i + 1)})
			want = append(want, fmt.Sprintf("%d v1: [1]", n-i))
		}
		w.raw.Run("COMMIT")
		got := w.infos(known...)
		wantSame(w, "groups", len(got), n)
		for i := range got {
			if got[i] != want[i] {
				w.Fatalf("group %d of the list is %s, want %s", i+1, got[i], want[i])
			}
		}
	})
}

func TestANormalListHasTheNormalGroupsAUserIsIn(t *testing.T) {
	rule(t, func(w *world) {
		first := w.group(1, 2)
		w.made(chat.NewGroup{Creator: 1, Type: chat.TemporaryGroup, Name: "x",
			Members: []uint32{1, 2}})
		w.advance(seconds(1))
		second := w.group(2, 3)
		w.group(1, 3)
		left := w.group(1, 2)
		w.leaves(left, 2)
		w.joins(first, 3) // raises the version, not updated
		groups, err := w.svc.NormalGroups(w.ctx, 2)
		w.must(err)
		wantSame(w, "of 2", groups, []chat.GroupVersion{{second, 1}, {first, 2}})
		groups, err = w.svc.NormalGroups(w.ctx, 77)
		w.must(err)
		wantSame(w, "of nobody", len(groups), 0)
	})
}

// mutes are the mute values of users, or the error's text.
func (w *world) mutes(group uint32, users ...uint32) string {
	w.Helper()
	values, err := w.svc.Mutes(w.ctx, group, users)
	if errors.Is(err, chat.ErrNoGroup) {
		return "no group"
	}
	w.must(err)
	return fmt.Sprint(values)
}

func TestMembersMuteAGroup(t *testing.T) {
	rule(t, func(w *world) {
		g, other := w.group(1, 2, 3), w.group(2)
		w.must(w.svc.MuteGroup(w.ctx, 2, g, 1))
		w.must(w.svc.MuteGroup(w.ctx, 3, g, 4294967295))
		wantSame(w, "every given user in the given order", w.mutes(g, 3, 2, 1, 2, 77, 0),
			"[4294967295 1 0 1 0 0]")
		wantSame(w, "nobody", w.mutes(g), "[]")
		wantSame(w, "the other group", w.mutes(other, 2), "[0]")
		w.must(w.svc.MuteGroup(w.ctx, 3, g, 0))
		w.must(w.svc.MuteGroup(w.ctx, 2, g, 1))
		wantSame(w, "changed, and the same again", w.mutes(g, 2, 3), "[1 0]")
	})
}

func TestWhoIsNotInAGroupMayNotMuteIt(t *testing.T) {
	rule(t, func(w *world) {
		g, empty := w.group(1, 2), w.group(1)
		w.leaves(g, 2)
		w.leaves(empty, 1)
		w.leavesNoTrace(func() {
			wantKind(w, w.svc.MuteGroup(w.ctx, 2, g, 1), chat.NotAllowed)
			wantKind(w, w.svc.MuteGroup(w.ctx, 3, g, 1), chat.NotAllowed)
			wantKind(w, w.svc.MuteGroup(w.ctx, 0, g, 1), chat.NotAllowed)
			for _, unknown := range []uint32{0, 77, empty} {
				if err := w.svc.MuteGroup(w.ctx, 1, unknown, 1); !errors.Is(err, chat.ErrNoGroup) {
					w.Errorf("group %d: %v", unknown, err)
				}
				wantSame(w, fmt.Sprint("mutes of group ", unknown), w.mutes(unknown, 1), "no group")
			}
		})
	})
}
