package chat_test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestUnreadMessagesOfPairsAreCountedPerSender(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "a", "b")
		w.says(3, 2, "c")
		w.says(2, 1, "d")
		wantSame(w, "of 2", w.unread(2), "1=2 3=1")
		wantSame(w, "of 1", w.unread(1), "2=1")
		wantSame(w, "of 3", w.unread(3), "")
		wantSame(w, "of somebody else", w.unread(4), "")
	})
}

func TestSendingDoesNotReadThePeersMessages(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "a")
		w.says(2, 1, "b")
		wantSame(w, "of 2", w.unread(2), "1=1")
	})
}

func TestPeersStandInOrderOfTheirIDAsTextAndGroupsAfterThem(t *testing.T) {
	rule(t, func(w *world) {
		for _, peer := range []uint32{2, 100, 10, 9, 1, 21} {
			w.says(peer, 50, "x")
		}
		early := w.group(1, 50)
		w.advance(seconds(1))
		// joined in the same second: the greater row first
		first, second := w.group(1, 50), w.group(1, 50)
		w.advance(seconds(1))
		late := w.group(1)
		w.joins(late, 50)
		for _, g := range []uint32{first, late, early, second} {
			w.saysIn(g, 1, "x")
		}
		wantSame(w, "of 50", w.unread(50),
			fmt.Sprintf("1=1 10=1 100=1 2=1 21=1 9=1 g%d=1 g%d=1 g%d=1 g%d=1", late, second, first,
				early))
	})
}

func TestAnUnreadTalkShowsItsLastMessage(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.says(1, 2, "hello", "there")
		w.says(2, 1, "my own word is the last")
		w.saysIn(g, 1, "x")
		w.saysIn(g, 3, "y")
		unread, err := w.unreadOf(w.ctx, 2)
		w.must(err)
		wantSame(w, "of 2", unread.Talks, []chat.UnreadTalk{
			{Count: chat.Count{Talk: chat.PairTalk(1, 2), Unread: 2},
				Last: chat.Message{ID: 3, From: 2, Type: chat.PairText, Created: w.now(),
					Data: "my own word is the last"}},
			{Count: chat.Count{Talk: chat.GroupTalk(g), Unread: 2},
				Last: chat.Message{ID: 2, From: 3, Type: chat.GroupText, Created: w.now(),
					Data: "y"}},
		})
	})
}

func TestUnreadTalksWithoutAMessageAreLeftOut(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(1, 2, "a", "b")
		w.says(3, 2, "c")
		w.saysIn(g, 1, "d")
		w.raw.Run("UPDATE IMMessage_1 SET status=1")
		w.raw.Run("UPDATE IMGroupMessage_1 SET status=1")
		wantSame(w, "of 2", w.unread(2), "3=1")
		wantSame(w, "total of 2", w.unreadTotal(2), 1)
	})
}

func TestAReadAckOfAPairDropsTheReadersCounterOnly(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "a")
		w.says(2, 1, "b")
		w.says(3, 2, "c")
		w.reads(2, chat.PairTalk(1, 2))
		wantSame(w, "of 2", w.unread(2), "3=1")
		wantSame(w, "of 1", w.unread(1), "2=1")
		w.reads(2, chat.PairTalk(1, 2)) // nothing left to read
		w.says(1, 2, "d")
		wantSame(w, "of 2 after one more", w.unread(2), "1=1 3=1")
	})
}

func TestAReadAckOfAGroupSetsTheReadersLevel(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.saysIn(g, 1, "a", "b", "c")
		w.reads(2, chat.GroupTalk(g))
		w.saysIn(g, 1, "d")
		wantSame(w, "of 2", w.unread(2), fmt.Sprintf("g%d=1", g))
		wantSame(w, "of 3", w.unread(3), fmt.Sprintf("g%d=4", g))
	})
}

func TestAReadAckOfATalkThatDoesNotExistMakesNothing(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.leavesNoTrace(func() {
			for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.PairTalk(1,
				1), chat.PairTalk(0, 1), chat.GroupTalk(99)} {
				w.reads(1, talk)
			}
		})
		w.reads(1, chat.GroupTalk(g))
		wantSame(w, "of 1", w.unread(1), "")
	})
}

func TestWhoJoinsLaterHasNothingUnread(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		unread := func(user uint32, want int) {
			w.Helper()
			if text := fmt.Sprintf("g%d=%d", g, want); want == 0 {
				wantSame(w, fmt.Sprint("of ", user), w.unread(user), "")
			} else {
				wantSame(w, fmt.Sprint("of ", user), w.unread(user), text)
			}
		}
		w.joins(g, 3) // before the first word
		w.saysIn(g, 1, "a", "b")
		w.joins(g, 4)
		unread(3, 2)
		unread(4, 0)
		w.saysIn(g, 1, "c")
		unread(4, 1)

		w.leaves(g, 2)
		unread(2, 0)
		w.saysIn(g, 1, "d", "e")
		w.joins(g, 2)
		unread(2, 0)
		w.saysIn(g, 1, "f")
		unread(2, 1)
		unread(3, 6)
	})
}

func TestWhoLeftBeforeTheFirstWordHasNothingUnreadOnReturn(t *testing.T) {
	// Nothing is written while a group has no count; a return finds one and sets the level.
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.leaves(g, 2)
		wantSame(w, "levels", w.raw.Count("SELECT COUNT(*) FROM IMProxyLevel"), 0)
		w.saysIn(g, 1, "a", "b")
		w.joins(g, 2)
		wantSame(w, "of 2", w.unread(2), "")
	})
}

func TestALevelAheadOfTheCountIsNothingUnread(t *testing.T) {
	rule(t, func(w *world) {
		g, other := w.group(1, 2), w.group(1, 2)
		w.saysIn(g, 1, "a")
		w.saysIn(other, 1, "b", "c")
		w.reads(2, chat.GroupTalk(g))
		w.raw.Run("UPDATE IMProxyLevel SET level=100 WHERE userId=2 AND groupId=?", g)
		wantSame(w, "of 2", w.unread(2), fmt.Sprintf("g%d=2", other))
		totals, err := w.store.Counters.UnreadTotals(w.ctx, []uint32{2})
		w.must(err)
		wantSame(w, "total of 2", totals[2], 2)
	})
}

func TestRemovingASessionReadsItsTalk(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(1, 2, "a")
		w.says(2, 1, "b")
		w.saysIn(g, 1, "c")
		w.oldSession(50, 2, int(g), 2, 0, 1)
		w.must(w.svc.RemoveSession(w.ctx, 2, chat.PairTalk(1, 2)))
		w.must(w.svc.RemoveSession(w.ctx, 2, chat.GroupTalk(g)))
		wantSame(w, "of 2", w.unread(2), "")
		wantSame(w, "of 1", w.unread(1), "2=1")
	})
}

func TestUnreadTotalsCountPairsAndGroups(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.says(1, 2, "a", "b")
		w.says(3, 2, "c")
		w.saysIn(g, 1, "d", "e")
		users := []uint32{1, 2, 3, 4}
		for i := range uint32(600) { // more than one statement asks for
			users = append(users, 1000+i)
		}
		totals, err := w.store.Counters.UnreadTotals(w.ctx, users)
		w.must(err)
		wantSame(w, "totals", []uint32{totals[1], totals[2], totals[3], totals[4], totals[1500]},
			[]uint32{0, 5, 2, 0, 0})
	})
}

func TestWhatCountsUnreadWaitsForTheReadAcksBefore(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		w.says(1, 2, "a")
		w.must(w.svc.AwaitAcks(w.ctx, []uint32{1, 2, 3}))
		release := l.hold(w)
		w.svc.ReadAck(w.ctx, 2, chat.PairTalk(1, 2), func(error) {})
		done := make(chan error, 1)
		go func() { done <- w.svc.AwaitAcks(w.ctx, []uint32{7, 2}) }()
		w.must(w.svc.AwaitAcks(w.ctx, []uint32{1, 3}))
		select {
		case err := <-done:
			w.Errorf("ended before the ack took effect: %v", err)
		default:
		}
		release()
		w.must(await(w, done))
		wantSame(w, "of 2", w.unread(2), "")
	})
}
