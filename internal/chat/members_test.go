package chat_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// change says what a change of members gives: "changed -> members", "refused" or "no group".
func (w *world) change(c chat.MemberChange) string {
	w.Helper()
	changed, members, err := w.svc.ChangeMembers(w.ctx, c)
	switch {
	case errors.Is(err, chat.ErrNoGroup):
		return "no group"
	case chat.KindOf(err) == chat.NotAllowed:
		return "refused"
	}
	w.must(err)
	return fmt.Sprintf("%v -> %v", changed, members)
}

// version is a group's, and userCnt.
func (w *world) version(group uint32) string {
	w.Helper()
	return w.raw.Rows("SELECT version,userCnt FROM IMGroup WHERE id=?", group)[0]
}

func TestWhoMayChangeTheMembersOfAGroup(t *testing.T) {
	const creator, member, stranger, server = 1, 2, 9, 0
	for _, test := range []struct {
		group  chat.GroupType
		by     uint32
		remove bool
		want   bool
	}{
		{chat.NormalGroup, creator, false, true},
		{chat.NormalGroup, creator, true, true},
		{chat.NormalGroup, member, false, false},
		{chat.NormalGroup, member, true, false},
		{chat.NormalGroup, stranger, false, false},
		{chat.NormalGroup, server, false, true},
		{chat.NormalGroup, server, true, true},
		{chat.TemporaryGroup, creator, false, true},
		{chat.TemporaryGroup, creator, true, true},
		{chat.TemporaryGroup, member, false, true},
		{chat.TemporaryGroup, member, true, false},
		{chat.TemporaryGroup, stranger, false, true},
		{chat.TemporaryGroup, stranger, true, false},
		{chat.TemporaryGroup, server, true, true},
	} {
		t.Run(fmt.Sprintf("type %d by %d remove %t", test.group, test.by, test.remove),
			func(t *testing.T) {
				rule(t, func(w *world) {
					// The creator is no member: it is not that which gives the right.
					g := w.made(chat.NewGroup{Creator: creator, Type: test.group, Name: "x",
						Members: []uint32{2, 3}})
					c := chat.MemberChange{By: test.by, Group: g, Remove: test.remove,
						Users: []uint32{5}}
					want := "[5] -> [2 3 5]"
					if test.remove {
						want = "[5] -> [2 3]"
					}
					if test.want {
						wantSame(w, "the change", w.change(c), want)
						return
					}
					w.leavesNoTrace(func() { wantSame(w, "the change", w.change(c), "refused") })
				})
			})
	}
}

func TestAddingIgnoresThoseWhoAreMembers(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.advance(seconds(10))
		wantSame(w, "adding", w.change(chat.MemberChange{By: 1, Group: g,
			Users: []uint32{100, 2, 10, 100, 1, 9}}), "[9 10 100] -> [1 10 100 2 9]")
		wantSame(w, "version and userCnt", w.version(g), "2 5")
		w.raw.Want("SELECT userId,status,created,updated FROM IMGroupMember WHERE userId IN "+
			"(2,9) ORDER BY userId",
			fmt.Sprintf("2 0 %d %d", w.later(-10), w.later(-10)),
			fmt.Sprintf("9 0 %d %d", w.now(), w.now()))
		w.raw.Want("SELECT updated FROM IMGroup", fmt.Sprint(w.later(-10)))
		wantSame(w, "sessions", w.raw.Count("SELECT COUNT(*) FROM IMRecentSession"), 0)
	})
}

func TestAddingNobodyNewChangesNothing(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.saysIn(g, 1, "x")
		w.leavesNoTrace(func() {
			for _, users := range [][]uint32{{2, 1}, {2, 2}, {}, nil} {
				wantSame(w, fmt.Sprint("adding ", users),
					w.change(chat.MemberChange{By: 1, Group: g, Users: users}), "refused")
			}
		})
	})
}

func TestWhoComesBackHasTheOldRow(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.advance(seconds(10))
		w.leaves(g, 2)
		w.raw.Want("SELECT id,userId,status,created,updated FROM IMGroupMember WHERE userId=2",
			fmt.Sprintf("2 2 1 %d %d", w.later(-10), w.later(-10)))
		w.advance(seconds(10))
		w.joins(g, 2)
		w.raw.Want("SELECT id,userId,status,created,updated FROM IMGroupMember WHERE userId=2",
			fmt.Sprintf("2 2 0 %d %d", w.later(-20), w.now()))
		wantSame(w, "version and userCnt", w.version(g), "3 2")
	})
}

func TestRemovingAnswersAllWhoWereNamed(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3, 10)
		w.advance(seconds(10))
		wantSame(w, "removing", w.change(chat.MemberChange{By: 1, Group: g, Remove: true,
			Users: []uint32{77, 3, 3, 2}}), "[2 3 77] -> [1 10]")
		wantSame(w, "version and userCnt", w.version(g), "2 2")
		then := w.later(-10)
		w.raw.Want("SELECT userId,status,created,updated FROM IMGroupMember ORDER BY userId",
			fmt.Sprintf("1 0 %d %d", then, then), fmt.Sprintf("2 1 %d %d", then, then),
			fmt.Sprintf("3 1 %d %d", then, then), fmt.Sprintf("10 0 %d %d", then, then))
		wantSame(w, "removing again",
			w.change(chat.MemberChange{By: 1, Group: g, Remove: true, Users: []uint32{2}}),
			"[2] -> [1 10]")
		wantSame(w, "version and userCnt", w.version(g), "3 2")
	})
}

func TestRemovingNobodyRaisesTheVersion(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		wantSame(w, "removing", w.change(chat.MemberChange{By: 1, Group: g, Remove: true}),
			"[] -> []")
		wantSame(w, "version and userCnt", w.version(g), "2 2")
		wantSame(w, "by somebody else", w.change(chat.MemberChange{By: 2, Group: g, Remove: true}),
			"refused")
	})
}

func TestAddingAndRemovingSetTheLevelToTheCount(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		levels := func() []string {
			return w.raw.Rows("SELECT userId,level FROM IMProxyLevel ORDER BY userId")
		}
		w.joins(g, 4)
		w.leaves(g, 3)
		wantSame(w, "without a count", levels(), nil)
		w.saysIn(g, 1, "a", "b")
		w.leaves(g, 2, 77)
		wantSame(w, "after a removal", levels(), []string{"1 2", "2 2", "77 2"})
		w.saysIn(g, 1, "c")
		w.joins(g, 3, 4, 2) // 4 is in already
		wantSame(w, "after they came", levels(), []string{"1 3", "2 3", "3 3", "77 2"})
	})
}

func TestRemovingTakesTheGroupOffTheirLists(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.says(2, 1, "a pair's session stays")
		w.saysIn(g, 1, "x")
		w.saysIn(g, 2, "x")
		w.saysIn(g, 3, "x")
		w.must(w.svc.RemoveSession(w.ctx, 3, chat.GroupTalk(g)))
		sent := w.now()
		w.advance(seconds(10))
		w.leaves(g, 2, 3)
		w.raw.Want("SELECT userId,type,status,updated FROM IMRecentSession ORDER BY userId,type",
			fmt.Sprintf("1 1 0 %d", sent),
			fmt.Sprintf("1 2 0 %d", sent), fmt.Sprintf("2 1 0 %d", sent),
			fmt.Sprintf("2 2 1 %d", w.now()), fmt.Sprintf("3 2 1 %d", sent))
		wantSame(w, "sessions of 2", w.recent(2, 0), "1")
	})
}

func TestAGroupIsUnknownAfterItsLastMemberLeft(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.saysIn(g, 1, "x")
		wantSame(w, "all leave", w.change(chat.MemberChange{Group: g, Remove: true,
			Users: []uint32{1, 2}}), "[1 2] -> []")
		wantSame(w, "version and userCnt", w.version(g), "2 0")
		w.leavesNoTrace(func() {
			wantSame(w, "adding", w.change(chat.MemberChange{Group: g, Users: []uint32{3}}),
				"no group")
			wantSame(w, "removing", w.change(chat.MemberChange{Group: g, Remove: true,
				Users: []uint32{1}}), "no group")
			wantSame(w, "info", w.infos(chat.GroupVersion{ID: g}), nil)
			wantSame(w, "mutes", w.mutes(g, 1), "no group")
			_, err := w.send(w.groupText(1, g, "x"))
			wantKind(w, err, chat.NotAllowed)
		})
	})
}

func TestAnUnknownGroupHasNoMembersToChange(t *testing.T) {
	rule(t, func(w *world) {
		w.leavesNoTrace(func() {
			for _, by := range []uint32{0, 1} {
				for _, remove := range []bool{true, false} {
					wantSame(w, "the change", w.change(chat.MemberChange{By: by, Group: 7,
						Remove: remove, Users: []uint32{1}}), "no group")
				}
			}
		})
	})
}

func TestManyMembersAreAddedAndRemovedAtOnce(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1)
		var users []uint32
		for i := range uint32(1100) {
			users = append(users, 1100-i+1)
		}
		w.joins(g, users...)
		wantSame(w, "version and userCnt", w.version(g), "2 1101")
		w.saysIn(g, 700, "x")
		w.leaves(g, users[100:]...)
		wantSame(w, "version and userCnt", w.version(g), "3 101")
		w.joins(g, users...)
		wantSame(w, "version and userCnt", w.version(g), "4 1101")
		wantSame(w, "rows", w.raw.Count("SELECT COUNT(*) FROM IMGroupMember"), 1101)
		wantSame(w, "of one who came back", w.unread(500), "")
		wantSame(w, "of one who stayed", w.unread(1101), fmt.Sprintf("g%d=1", g))
	})
}

func TestDuplicateMemberRowsAreOneMember(t *testing.T) {
	rule(t, func(w *world) {
		w.oldGroup(5, 1, 1, 1, 2, 2)
		w.insert("IMGroupMember", map[string]any{"groupId": 5, "userId": 3, "status": 1,
			"created": 1, "updated": 1})
		w.insert("IMGroupMember", map[string]any{"groupId": 5, "userId": 3, "status": 0,
			"created": 1, "updated": 2})
		w.insert("IMGroupMember", map[string]any{"groupId": 5, "userId": 4, "status": 0,
			"created": 1, "updated": 2})
		w.insert("IMGroupMember", map[string]any{"groupId": 5, "userId": 4, "status": 1,
			"created": 1, "updated": 1})
		wantSame(w, "info", w.infos(chat.GroupVersion{ID: 5}), []string{"5 v1: [1 2 3 4]"})
		w.saysIn(5, 4, "x")
		wantSame(w, "of 2", w.unread(2), "g5=1")
		wantSame(w, "adding", w.change(chat.MemberChange{By: 1, Group: 5,
			Users: []uint32{2, 3, 4}}), "refused")
		wantSame(w, "removing", w.change(chat.MemberChange{By: 1, Group: 5, Remove: true,
			Users: []uint32{2, 3}}), "[2 3] -> [1 4]")
		wantSame(w, "info", w.infos(chat.GroupVersion{ID: 5}), []string{"5 v2: [1 4]"})
		w.leaves(5, 4)
		w.joins(5, 4)
		wantSame(w, "info", w.infos(chat.GroupVersion{ID: 5}), []string{"5 v4: [1 4]"})
	})
}
