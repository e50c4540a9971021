package chat_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// forks has a pair of 1 and 2, relation 1, and a group 4 of them, in which another server has
// stored messages: their types, from id 1 on, sent by 1, with "m" and the id as content.
func (w *world) forks(types ...int) {
	w.Helper()
	w.oldRelation(1, 1, 2, 0, 1)
	w.oldGroup(4, 1, 1, 1, 2)
	w.oldSession(1, 2, 1, 1, 0, 5)
	w.oldSession(2, 2, 4, 2, 0, 6)
	w.forksAdd(1, types...)
}

// forksAdd adds messages from an id on.
func (w *world) forksAdd(from int, types ...int) {
	w.Helper()
	for i, typ := range types {
		id := from + i
		row := map[string]any{"msgId": id, "content": fmt.Sprint("m", id), "type": typ, "status": 0,
			"created": 10 + id, "updated": 10 + id}
		row["relateId"], row["fromId"], row["toId"] = 1, 1, 2
		w.insert("IMMessage_1", row)
		delete(row, "relateId")
		delete(row, "fromId")
		delete(row, "toId")
		row["groupId"], row["userId"] = 4, 1
		w.insert("IMGroupMessage_4", row)
	}
}

// both are the pair and the group of forks.
var both = []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(4)}

func TestMessagesOfOtherTypesAreLeftOutAndCounted(t *testing.T) {
	rule(t, func(w *world) {
		w.forks(1, 3, 17, 4, 5, 18, 6, 7, 8, 2, 19, 0, 255)
		for _, talk := range both {
			six, ten := "6:"+voiceData(0, ""), "10:"+voiceData(0, "") // they name no sound
			wantSame(w, "all", brief(w.all(2, talk)), ten+" "+six+" 3:m3 1:m1")
			wantSame(w, "a page as long as asked for", brief(w.page(2, talk, 9, 2)), six+" 3:m3")
			wantSame(w, "a page up to one of them", brief(w.page(2, talk, 5, 1)), "3:m3")
			wantSame(w, "a page before them", brief(w.page(2, talk, 2, 10)), "1:m1")
			byID, err := w.byID(w.ctx, 2, talk, []uint32{1, 2, 3, 4, 5, 11, 12, 13})
			w.must(err)
			wantSame(w, "by id", brief(byID), "3:m3 1:m1")
			id, err := w.latestID(w.ctx, talk)
			w.must(err)
			wantSame(w, "the latest id", id, 13)
		}
		want := "group 4 10 2 " + voiceLabel + ", pair 1-2 10 2 " + voiceLabel
		wantSame(w, "sessions", w.shown(2), want)
		w.says(2, 1, "x")
		w.saysIn(4, 2, "x")
		for _, talk := range both {
			wantSame(w, "the page after a message", brief(w.page(1, talk, 0, 1)), "14:x")
		}
	})
}

// shown says what the sessions of user show: the talk, the id, type and data of its last message.
func (w *world) shown(user uint32) (text string) {
	w.Helper()
	sessions, err := w.sessions(user, 0)
	w.must(err)
	for i, s := range sessions {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %d %d %s", s.Talk, s.Last.ID, s.Last.Type, s.Last.Data)
	}
	return text
}

func TestUnreadCountsMessagesOfOtherTypes(t *testing.T) {
	rule(t, func(w *world) {
		w.forks()
		w.says(1, 2, "a", "b")
		w.saysIn(4, 1, "a", "b")
		w.says(3, 2, "c")
		w.raw.Run("UPDATE IMMessage_1 SET type=3 WHERE content='b'")
		w.raw.Run("UPDATE IMGroupMessage_4 SET type=19 WHERE content='b'")
		w.raw.Run("UPDATE IMMessage_2 SET type=8 WHERE content='c'") // all there is between 3 and 2
		w.raw.Run("UPDATE IMMessage_3 SET type=8 WHERE content='c'")
		u, err := w.unreadOf(w.ctx, 2)
		w.must(err)
		var shown []string
		for _, u := range u.Talks {
			last := fmt.Sprintf("%s %d: %d %s", u.Talk, u.Unread, u.Last.ID, u.Last.Data)
			shown = append(shown, last)
		}
		wantSame(w, "unread", shown, []string{"pair 1-2 2: 1 a", "group 4 2: 1 a"})
		wantSame(w, "the total", u.Total, 5)
		totals, err := w.store.Counters.UnreadTotals(w.ctx, []uint32{2})
		w.must(err)
		wantSame(w, "the total for a push", totals[2], 5)
		id, err := w.latestID(w.ctx, chat.PairTalk(2, 3))
		w.must(err)
		wantSame(w, "the latest id of what cannot be shown", id, 1)
		w.reads(2, chat.PairTalk(1, 2))
		w.reads(2, chat.GroupTalk(4))
		w.reads(2, chat.PairTalk(2, 3))
		u, err = w.unreadOf(w.ctx, 2)
		w.must(err)
		wantSame(w, "the total after reading", u.Total, 0)
	})
}

func TestAPageLooksBehindManyMessagesOfOtherTypes(t *testing.T) {
	rule(t, func(w *world) {
		w.forks(slices.Concat([]int{1, 17}, slices.Repeat([]int{19}, 150))...)
		for _, talk := range both {
			wantSame(w, "a page", brief(w.page(2, talk, 0, 5)), "2:m2 1:m1")
			ids := make([]uint32, 152)
			for i := range ids {
				ids[i] = uint32(i + 1)
			}
			byID, err := w.byID(w.ctx, 2, talk, ids)
			w.must(err)
			wantSame(w, "by id", brief(byID), "2:m2 1:m1")
		}
		wantSame(w, "sessions", w.shown(2), "group 4 2 17 m2, pair 1-2 2 17 m2")
	})
}

func TestATalkOfOtherTypesAloneShowsNothing(t *testing.T) {
	rule(t, func(w *world) {
		w.forks(3, 19)
		for _, talk := range both {
			wantSame(w, "a page", brief(w.all(2, talk)), "")
			id, err := w.latestID(w.ctx, talk)
			w.must(err)
			wantSame(w, "the latest id", id, 2)
		}
		wantSame(w, "sessions", w.shown(2), "")
	})
}

func TestOtherTypesAreLoggedOncePerType(t *testing.T) {
	rule(t, func(w *world) {
		w.forks(1, 3, 19, 3)
		w.raw.Run("UPDATE IMGroup SET type=7")
		for range 3 {
			for _, talk := range both {
				w.all(2, talk)
				_, err := w.latestID(w.ctx, talk)
				w.must(err)
			}
			w.newer(chat.GroupVersion{ID: 4})
		}
		for text, want := range map[string]int{
			"messages of a type": 2, "type=3 ": 1, "type=19 ": 1,
			"groups of a type": 1, "type=7 ": 1,
		} {
			if lines := w.log.Lines(text); len(lines) != want {
				w.Errorf("%d lines of the log have %q, want %d: %q", len(lines), text, want, lines)
			}
		}
	})
}

func TestTypesThatMayPassAreShown(t *testing.T) {
	rule(t, func(w *world) {
		w.forks(1, 3, 19)
		w.oldGroup(5, 1, 1, 1, 2)
		w.raw.Run("UPDATE IMGroup SET type=7 WHERE id=4")
		w.raw.Run("UPDATE IMGroup SET type=8 WHERE id=5")
		w.more.MessageTypes, w.more.GroupTypes = []uint8{19}, []uint8{7}
		w.restart()
		for _, talk := range both {
			wantSame(w, "the page", brief(w.all(2, talk)), "3:m3 1:m1")
		}
		wantSame(w, "sessions", w.shown(2), "group 4 3 19 m3, pair 1-2 3 19 m3")
		groups := w.newer(chat.GroupVersion{ID: 4}, chat.GroupVersion{ID: 5})
		if len(groups) != 1 || groups[0].ID != 4 || groups[0].Type != 7 {
			w.Errorf("groups %+v", groups)
		}
	})
}

func TestGroupsOfOtherTypesAreLeftOutOfTheirList(t *testing.T) {
	rule(t, func(w *world) {
		var asked []chat.GroupVersion
		for i, typ := range []int{1, 2, 3, 0, 8, 19, 255} {
			w.oldGroup(i+1, 100-i, 1, 1, 2)
			w.raw.Run("UPDATE IMGroup SET type=? WHERE id=?", typ, i+1)
			asked = append(asked, chat.GroupVersion{ID: uint32(i + 1)})
		}
		var shown []string
		for _, g := range w.newer(asked...) {
			shown = append(shown, fmt.Sprintf("%d of type %d: %v", g.ID, g.Type, g.Members))
		}
		wantSame(w, "groups", shown, []string{"1 of type 1: [1 2]", "2 of type 2: [1 2]"})
		normal, err := w.svc.NormalGroups(w.ctx, 1)
		w.must(err)
		wantSame(w, "normal groups", normal, []chat.GroupVersion{{ID: 1, Version: 1}})
		w.saysIn(3, 1, "x") // talk goes on in them
		wantSame(w, "a group's page", brief(w.all(2, chat.GroupTalk(3))), "1:x")
		wantSame(w, "unread", w.unread(2), "g3=1")
	})
}
