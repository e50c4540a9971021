package chat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestSessionsAreListedLatestFirstAndOnlyThoseChangedAfterATime(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(1, 2, "a")
		w.advance(seconds(10))
		w.saysIn(g, 1, "b")
		w.advance(seconds(10))
		w.says(3, 1, "c")
		group := fmt.Sprint("g", g)
		for since, want := range map[uint32]string{
			0:             "3 " + group + " 2",
			w.later(-21):  "3 " + group + " 2",
			w.later(-20):  "3 " + group,
			w.later(-10):  "3",
			w.now():       "",
			w.later(1000): "",
			4294967295:    "",
		} {
			wantSame(w, fmt.Sprint("since ", int(since)-int(w.now())), w.recent(1, since), want)
		}
		w.advance(seconds(1))
		w.says(1, 2, "d")
		wantSame(w, "after one more word", w.recent(1, 0), "2 3 "+group)
	})
}

func TestASessionShowsItsTalksLastMessage(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(2, 1, "a")
		w.says(1, 2, "my own")
		w.advance(seconds(10))
		w.saysIn(g, 1, "b")
		w.saysIn(g, 2, "c")
		sessions, err := w.sessions(1, 0)
		w.must(err)
		wantSame(w, "sessions of 1", sessions, []chat.RecentSession{
			{Session: chat.Session{Talk: chat.GroupTalk(g), Updated: w.now()},
				Last: chat.Message{ID: 2, From: 2, Type: chat.GroupText, Created: w.now(),
					Data: "c"}},
			{Session: chat.Session{Talk: chat.PairTalk(1, 2), Updated: w.later(-10)},
				Last: chat.Message{ID: 2, From: 1, Type: chat.PairText, Created: w.later(-10),
					Data: "my own"}},
		})
	})
}

func TestSessionsOfManyUsersAreListedTogether(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "a")
		w.advance(seconds(10))
		w.says(1, 3, "b")
		asked := []chat.SessionsAsked{{User: 1}, {User: 7}, {User: 3},
			{User: 1, Since: w.later(-10)}, {User: 2}, {User: 2, Since: w.now()}}
		var lists []string
		for i, r := range w.svc.RecentSessions(w.ctx, asked) {
			w.must(r.Err)
			list := fmt.Sprint(asked[i].User, ":")
			for _, se := range r.Value {
				list += fmt.Sprintf(" %d %s", se.Talk.Peer(asked[i].User), se.Last.Data)
			}
			lists = append(lists, list)
		}
		wantSame(w, "lists", lists,
			[]string{"1: 3 b 2 a", "7:", "3: 1 b", "1: 3 b", "2: 1 a", "2:"})
	})
}

func TestAtMost100SessionsAreListed(t *testing.T) {
	rule(t, func(w *world) {
		for peer := range uint32(120) {
			w.submit(w.pairText(1, 1000+peer, "x"))
		}
		w.says(1, 999, "after these")
		w.advance(seconds(10))
		w.says(1, 1005, "x")
		list := strings.Fields(w.recent(1, 0))
		wantSame(w, "sessions", len(list), 100)
		wantSame(w, "the first", list[0], "1005")
	})
}

func TestSessionsWithoutAMessageAreLeftOut(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(1, 2, "a")
		w.says(1, 3, "b")
		w.oldSession(50, 1, 4, 1, 0, int(w.later(100)))
		w.oldSession(51, 1, int(g), 2, 0, int(w.later(100)))
		w.oldSession(52, 1, 77, 2, 0, int(w.later(100)))
		w.raw.Run("UPDATE IMMessage_1 SET status=1") // of 1 and 2
		wantSame(w, "sessions of 1", w.recent(1, 0), "3")
	})
}

func TestDuplicateSessionsAreListedOnce(t *testing.T) {
	rule(t, func(w *world) {
		w.oldRelation(1, 1, 2, 0, 1)
		w.oldMessage(oldMessage{relation: 1, from: 1, to: 2, id: 1, created: 1, content: "x"})
		w.oldSession(1, 1, 2, 1, 0, 100)
		w.oldSession(2, 1, 2, 1, 0, 100)
		w.oldSession(3, 1, 2, 1, 1, 200)
		w.oldSession(4, 1, 2, 2, 0, 100) // of group 2, another talk
		wantSame(w, "sessions of 1", w.recent(1, 0), "2")
		w.says(2, 1, "y")
		wantSame(w, "after a word", w.recent(1, 0), "2")
		w.must(w.svc.RemoveSession(w.ctx, 1, chat.PairTalk(1, 2)))
		wantSame(w, "after removing it", w.recent(1, 0), "")
		wantKind(w, w.svc.RemoveSession(w.ctx, 1, chat.PairTalk(1, 2)), chat.NotFound)
	})
}

func TestARemovedSessionIsGoneForItsUserOnly(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "a")
		w.says(1, 3, "b")
		w.advance(seconds(10))
		w.must(w.svc.RemoveSession(w.ctx, 1, chat.PairTalk(1, 2)))
		w.raw.Want("SELECT userId,peerId,status,updated FROM IMRecentSession ORDER BY id",
			fmt.Sprintf("1 2 1 %d", w.now()), fmt.Sprintf("2 1 0 %d", w.later(-10)),
			fmt.Sprintf("1 3 0 %d", w.later(-10)), fmt.Sprintf("3 1 0 %d", w.later(-10)))
		wantSame(w, "sessions of 1", w.recent(1, 0), "3")
		wantSame(w, "sessions of 2", w.recent(2, 0), "1")
	})
}

func TestASessionIsRemovedOnce(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(1, 2, "a")
		w.saysIn(g, 1, "b")
		for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(g)} {
			w.must(w.svc.RemoveSession(w.ctx, 1, talk))
			w.leavesNoTrace(func() {
				wantKind(w, w.svc.RemoveSession(w.ctx, 1, talk), chat.NotFound)
			})
		}
	})
}

func TestRemovingASessionThatNeverWasChangesNothing(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(1, 2, "a")
		w.saysIn(g, 1, "b")
		w.leavesNoTrace(func() {
			for user, talk := range map[uint32]chat.Talk{
				7: chat.PairTalk(7, 8),
				1: chat.GroupTalk(2), // there is a session with user 2
				3: chat.PairTalk(1, 3),
				2: chat.GroupTalk(g), // nobody has synced it yet
			} {
				wantKind(w, w.svc.RemoveSession(w.ctx, user, talk), chat.NotFound)
			}
		})
		wantSame(w, "unread of 2", w.unread(2), fmt.Sprintf("1=1 g%d=1", g))
	})
}
