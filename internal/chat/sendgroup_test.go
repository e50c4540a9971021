package chat_test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestMessagesOfAGroupAreNumberedFromOne(t *testing.T) {
	rule(t, func(w *world) {
		g, other := w.group(1, 2, 3), w.group(1, 2)
		var ids []uint32
		for _, from := range []uint32{1, 3, 2, 1} {
			ids = append(ids, w.stored(w.groupText(from, g, "x")))
		}
		wantSame(w, "ids", ids, []uint32{1, 2, 3, 4})
		wantSame(w, "the first id of another group", w.stored(w.groupText(1, other, "x")), 1)
		w.raw.Want("SELECT groupId,userId,msgId,content,type,status FROM IMGroupMessage_1 ORDER "+
			"BY id",
			"1 1 1 x 17 0", "1 3 2 x 17 0", "1 2 3 x 17 0", "1 1 4 x 17 0")
	})
}

func TestAGroupAndAPairOfTheSameNumberAreTwoTalks(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.saysIn(g, 1, "in the group")
		w.says(2, g, "to user 1") // the group's number is 1 as well
		wantSame(w, "the group", brief(w.all(2, chat.GroupTalk(g))), "1:in the group")
		wantSame(w, "the pair", brief(w.all(2, chat.PairTalk(2, g))), "1:to user 1")
	})
}

func TestWhoIsNotInAGroupMayNotSendToIt(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.joins(g, 3)
		w.leaves(g, 3)
		left := w.group(1)
		w.leaves(left, 1)
		w.oldGroup(9, 1, 1)
		for name, m := range map[string]chat.NewMessage{
			"not a member":             w.groupText(4, g, "x"),
			"voice from no member":     w.groupVoice(4, g, 1, "sound"),
			"member no more":           w.groupText(3, g, "x"),
			"unknown group":            w.groupText(1, 77, "x"),
			"all members have left":    w.groupText(1, left, "x"),
			"a group without any rows": w.groupText(1, 9, "x"),
		} {
			w.leavesNoTrace(func() {
				id, err := w.send(m)
				if wantKind(w, err, chat.NotAllowed); id != 0 || w.Failed() {
					w.Errorf("%s: id %d, error %v", name, id, err)
				}
			})
		}
		wantSame(w, "the first id", w.stored(w.groupText(1, g, "x")), 1)
	})
}

func TestAGroupMessageTouchesTheSendersSessionOnly(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.oldSession(50, 3, int(g), 2, 0, 7)
		w.saysIn(g, 1, "x")
		first := w.now()
		w.advance(seconds(5))
		w.saysIn(g, 2, "x")
		w.raw.Want("SELECT userId,peerId,type,status,updated FROM IMRecentSession ORDER BY userId",
			fmt.Sprintf("1 %d 2 0 %d", g, first), fmt.Sprintf("2 %d 2 0 %d", g, w.now()),
			fmt.Sprintf("3 %d 2 0 7", g))
	})
}

func TestTheSendersSessionInAGroupComesBack(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.saysIn(g, 1, "x")
		w.must(w.svc.RemoveSession(w.ctx, 1, chat.GroupTalk(g)))
		w.advance(seconds(5))
		w.saysIn(g, 1, "x")
		w.raw.Want("SELECT id,userId,status,updated FROM IMRecentSession",
			fmt.Sprintf("1 1 0 %d", w.now()))
	})
}

func TestAGroupNotesWhenThereWasTalkLast(t *testing.T) {
	rule(t, func(w *world) {
		g, quiet := w.group(1, 2), w.group(1, 2)
		w.advance(seconds(5))
		m := w.groupText(1, g, "x")
		m.Time = w.later(200) // lastChated goes by our clock
		w.stored(m)
		w.raw.Want("SELECT id,lastChated,version FROM IMGroup ORDER BY id",
			fmt.Sprintf("%d %d 1", g, w.now()), fmt.Sprintf("%d 0 1", quiet))
	})
}

func TestASenderHasReadTheGroupUpToItsOwnMessage(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.saysIn(g, 1, "a", "b")
		w.saysIn(g, 2, "c")
		w.saysIn(g, 1, "d")
		for user, want := range map[uint32]string{1: "", 2: "g1=1", 3: "g1=4"} {
			wantSame(w, fmt.Sprint("unread of ", user), w.unread(user), want)
		}
	})
}

func TestASenderHasReadUpToItsOwnMessageWithinABatchToo(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		g := w.group(1, 2, 3, 4)
		var answers []<-chan answer
		l.together(w, func() {
			for _, from := range []uint32{1, 2, 1, 3, 3, 2} {
				answers = append(answers, w.submit(w.groupText(from, g, "x")))
			}
		})
		for i, a := range answers {
			wantSame(w, "answer", await(w, a), answer{id: uint32(i + 1)}, sameErrors)
		}
		if n := l.largest(); n != 6 {
			w.Fatalf("the largest batch had %d drafts: the test did not test", n)
		}
		for user, want := range map[uint32]string{1: "g1=3", 2: "", 3: "g1=1", 4: "g1=6"} {
			wantSame(w, fmt.Sprint("unread of ", user), w.unread(user), want)
		}
	})
}

func TestReadAcksTakeEffectAmongTheMessagesOfABatch(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		g := w.group(1, 2, 3)
		l.together(w, func() {
			for _, talk := range []chat.Talk{chat.GroupTalk(g), chat.PairTalk(1, 2)} {
				m := w.groupText(1, g, "x")
				if talk.Kind == chat.Pair {
					m = w.pairText(1, 2, "x")
				}
				w.submit(m)
				w.submit(m)
				w.svc.ReadAck(w.ctx, 2, talk, func(err error) {
					if err != nil {
						w.Error(err)
					}
				})
				w.submit(m)
			}
		})
		w.reads(1, chat.GroupTalk(g)) // these come after all that
		w.reads(1, chat.PairTalk(1, 2))
		wantSame(w, "unread of 2", w.unread(2), "1=1 g1=1")
		wantSame(w, "unread of 1", w.unread(1), "")
	})
}

func TestOneStrangerInABatchDoesNotFailItsNeighbours(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		g := w.group(1, 2)
		var good, bad []<-chan answer
		l.together(w, func() {
			for range 3 {
				good = append(good, w.submit(w.groupText(1, g, "x")))
				bad = append(bad, w.submit(w.groupText(9, g, "x")),
					w.submit(w.groupText(1, 99, "x")), w.submit(w.pairText(4, 4, "x")))
				good = append(good, w.submit(w.pairText(1, 2, "x")))
			}
		})
		for i, a := range good {
			wantSame(w, "answer", await(w, a), answer{id: uint32(i/2 + 1)}, sameErrors)
		}
		for _, a := range bad {
			if got := await(w, a); !chat.Refused(got.err) {
				w.Errorf("a stranger was answered %+v", got)
			}
		}
		wantSame(w, "unread of 2", w.unread(2), "1=3 g1=3")
	})
}
