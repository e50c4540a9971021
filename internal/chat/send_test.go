package chat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestMessagesOfAPairAreNumberedFromOneWhoeverSendsThem(t *testing.T) {
	rule(t, func(w *world) {
		var ids []uint32
		for _, from := range []uint32{1, 2, 2, 1} {
			ids = append(ids, w.stored(w.pairText(from, 3-from, "x")))
		}
		wantSame(w, "ids", ids, []uint32{1, 2, 3, 4})
		wantSame(w, "the first id of another pair", w.stored(w.pairText(1, 3, "x")), 1)
	})
}

func TestAMessageIsStoredInTheTableOfItsRelation(t *testing.T) {
	rule(t, func(w *world) {
		for peer := range uint32(9) {
			w.says(1, 10+peer, fmt.Sprint("to ", 10+peer))
		}
		now := w.now()
		w.raw.Want("SELECT relateId,fromId,toId,msgId,content,type,status,created,updated FROM "+
			"IMMessage_1 ORDER BY id",
			fmt.Sprintf("1 1 10 1 to 10 1 0 %d %d", now, now),
			fmt.Sprintf("9 1 18 1 to 18 1 0 %d %d", now, now))
		w.raw.Want("SELECT relateId,content FROM IMMessage_0", "8 to 17")
	})
}

func TestTextsAreStoredAsTheyAre(t *testing.T) {
	for name, text := range map[string]string{
		"one character":                   "x",
		"white space":                     " \t\r\n ",
		"quotes":                          `'; DROP TABLE IMUser; --"\`,
		"beyond the basic plane":          "😀𠀀",
		"4096 ASCII characters":           repeat("x", 4096),
		"4096 characters of three bytes":  repeat("语", 4096),
		"4096 characters of four bytes":   repeat("😀", 4096),
		"the replacement character":       "\uFFFD",
		"a trailing space":                "trailing ",
		"what looks like a sound's id":    "1",
		"what looks like a parameter ? %": "? ?1 :a @b $c %s",
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				w.says(1, 2, text)
				g := w.group(1, 2)
				w.saysIn(g, 1, text)
				for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(g)} {
					if got := w.all(2, talk); len(got) != 1 || got[0].Data != text {
						t.Errorf("%s: %d bytes came back as %.100q", talk, len(text), brief(got))
					}
				}
			})
		})
	}
}

func TestWhatMustNotBeStoredIsRefusedWithoutATrace(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		for name, m := range map[string]chat.NewMessage{
			"4097 characters":                w.message(1, 2, chat.PairText, repeat("x", 4097)),
			"4097 characters of four bytes":  w.message(1, 2, chat.PairText, repeat("😀", 4097)),
			"4097 characters in a group":     w.message(1, g, chat.GroupText, repeat("语", 4097)),
			"invalid UTF-8":                  w.message(1, 2, chat.PairText, "a\xffb"),
			"half a character":               w.message(1, 2, chat.PairText, "语"[:2]),
			"a surrogate":                    w.message(1, 2, chat.PairText, "\xed\xa0\x80"),
			"invalid UTF-8 in a group":       w.message(1, g, chat.GroupText, "\xc0\x80"),
			"a NUL":                          w.message(1, 2, chat.PairText, "a\x00b"),
			"a NUL in a group":               w.message(1, g, chat.GroupText, "\x00"),
			"to oneself":                     w.message(1, 1, chat.PairText, "x"),
			"voice to oneself":               w.message(1, 1, chat.PairVoice, "1234sound"),
			"from 0":                         w.message(0, 2, chat.PairText, "x"),
			"to 0":                           w.message(1, 0, chat.PairText, "x"),
			"from 0 to 0":                    w.message(0, 0, chat.PairText, "x"),
			"from 0 in a group":              w.message(0, g, chat.GroupText, "x"),
			"to group 0":                     w.message(1, 0, chat.GroupText, "x"),
			"voice without sound":            w.message(1, 2, chat.PairVoice, "1234"),
			"voice without a whole duration": w.message(1, 2, chat.PairVoice, "1"),
			"voice without sound in a group": w.message(1, g, chat.GroupVoice, "1234"),
		} {
			w.leavesNoTrace(func() {
				id, err := w.send(m)
				if wantKind(w, err, chat.Invalid); id != 0 || w.Failed() {
					w.Fatalf("%s: id %d, error %v", name, id, err)
				}
			})
		}
		if files := w.sounds(); len(files) > 0 {
			w.Errorf("sounds were stored: %v", files)
		}
		wantSame(w, "the id after all that", w.stored(w.pairText(1, 2, "x")), 1)
		wantSame(w, "the group's id after all that", w.stored(w.groupText(1, g, "x")), 1)
	})
}

// storedTimes returns the times of all messages between 1 and 2, in order of their ids, relative to
// now.
func (w *world) storedTimes() (times []int) {
	w.Helper()
	messages := w.all(1, chat.PairTalk(1, 2))
	for i := range messages {
		times = append(times, int(messages[len(messages)-1-i].Created)-int(w.now()))
	}
	return times
}

func TestTheTimeOfAMessageIsTheClientsWithinBounds(t *testing.T) {
	for name, test := range map[string]struct {
		clients, want []int // relative to our clock, seconds
	}{
		"the same as ours":                   {[]int{0}, []int{0}},
		"an hour behind":                     {[]int{-3600}, []int{-3600}},
		"five minutes ahead":                 {[]int{300}, []int{300}},
		"more than five minutes ahead":       {[]int{301}, []int{300}},
		"decades ahead":                      {[]int{4294967295 - int(noon.Unix())}, []int{300}},
		"1970":                               {[]int{-int(noon.Unix())}, []int{-int(noon.Unix())}},
		"never below the talk's last":        {[]int{10, -10, 5, 20, 0}, []int{10, 10, 10, 20, 20}},
		"behind one that was ahead":          {[]int{1000, 0, 299}, []int{300, 300, 300}},
		"1970 after something":               {[]int{-50, -int(noon.Unix())}, []int{-50, -50}},
		"ahead again, and not further ahead": {[]int{1000, 2000, 3000}, []int{300, 300, 300}},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				for i, c := range test.clients {
					m := w.pairText(uint32(1+i%2), uint32(2-i%2), "x")
					m.Time = w.later(c)
					w.stored(m)
				}
				wantSame(w, "times", w.storedTimes(), test.want)
			})
		})
	}
}

func TestTheBoundOnAClientsClockMovesOn(t *testing.T) {
	rule(t, func(w *world) {
		m := w.pairText(1, 2, "x")
		m.Time = w.later(10_000)
		w.stored(m)
		w.advance(seconds(60))
		w.stored(m)
		wantSame(w, "times", w.storedTimes(), []int{240, 300})
	})
}

func TestTimesInAGroupAreNeverBelowTheLatestJoin(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		before := w.groupText(1, g, "before") // by the sender's clock, which is behind
		w.advance(seconds(100))
		w.joins(g, 3)
		w.stored(before)
		joined := w.now()
		w.advance(seconds(100))
		before.Time = 0
		w.leaves(g, 3) // the join stays the latest there was
		w.stored(before)
		w.raw.Want("SELECT created FROM IMGroupMessage_1 ORDER BY id", fmt.Sprint(joined),
			fmt.Sprint(joined))
		w.joins(g, 3)
		w.stored(before)
		wantSame(w, "what who came back sees", brief(w.all(3, chat.GroupTalk(g))), "3:before")
	})
}

func TestPagingByIDAndSortingByTimeAgree(t *testing.T) {
	rule(t, func(w *world) {
		for i := range 40 {
			m := w.pairText(1, 2, fmt.Sprint(i))
			m.Time = w.later((i*37)%400 - 200) // clocks of several servers
			w.stored(m)
		}
		var ids []string
		for upTo := uint32(0); ; {
			page := w.page(2, chat.PairTalk(1, 2), upTo, 7)
			if len(page) == 0 {
				break
			}
			for _, m := range page {
				ids = append(ids, fmt.Sprint(m.ID))
			}
			if upTo = page[len(page)-1].ID - 1; upTo == 0 {
				break
			}
		}
		if got := strings.Join(ids, " "); len(ids) != 40 ||
			!strings.HasPrefix(got, "40 39 38 37 36 35 34 33 ") {
			w.Errorf("%d ids: %s", len(ids), got)
		}
	})
}

func TestFirstMessagesMakeOneRelationAndBothSessions(t *testing.T) {
	rule(t, func(w *world) {
		now := w.now()
		w.says(5, 3, "x") // from the larger id
		w.says(3, 5, "y")
		w.raw.Want("SELECT * FROM IMRelationShip", fmt.Sprintf("1 3 5 0 %d %d", now, now))
		w.raw.Want("SELECT userId,peerId,type,status,created,updated FROM IMRecentSession ORDER "+
			"BY userId",
			fmt.Sprintf("3 5 1 0 %d %d", now, now), fmt.Sprintf("5 3 1 0 %d %d", now, now))
		wantSame(w, "unread of 3", w.unread(3), "5=1")
		wantSame(w, "unread of 5", w.unread(5), "3=1")
	})
}

func TestRelationsAreNumberedWithoutGaps(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "x")
		for _, bad := range []chat.NewMessage{w.pairText(7, 7, "x"), w.pairText(0, 7,
			"x"), w.pairText(7, 8, repeat("x", 4097))} {
			if _, err := w.send(bad); err == nil {
				w.Error("stored what must not be")
			}
		}
		w.says(4, 3, "x")
		w.says(2, 1, "x")
		w.says(1, 3, "x")
		w.raw.Want("SELECT id,smallId,bigId FROM IMRelationShip ORDER BY id", "1 1 2", "2 3 4",
			"3 1 3")
	})
}

func TestTheReceiverNeedNotExist(t *testing.T) {
	rule(t, func(w *world) {
		wantSame(w, "id", w.stored(w.pairText(1, 4294967295, "x")), 1)
		wantSame(w, "what the largest id sees",
			brief(w.all(4294967295, chat.PairTalk(1, 4294967295))), "1:x")
	})
}

func TestSessionsOfBothComeBackWithAMessage(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "x")
		w.must(w.svc.RemoveSession(w.ctx, 1, chat.PairTalk(1, 2)))
		w.must(w.svc.RemoveSession(w.ctx, 2, chat.PairTalk(1, 2)))
		w.advance(seconds(10))
		w.says(1, 2, "y")
		w.raw.Want("SELECT id,userId,peerId,status,updated FROM IMRecentSession ORDER BY id",
			fmt.Sprintf("1 1 2 0 %d", w.now()), fmt.Sprintf("2 2 1 0 %d", w.now()))
		wantSame(w, "unread of 2", w.unread(2), "1=1")
	})
}

func TestARelationThatWasEndedIsRevivedWithItsID(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "x")
		w.says(1, 3, "x")
		w.raw.Run("UPDATE IMRelationShip SET status=1 WHERE id=1")
		w.advance(seconds(10))
		wantSame(w, "id", w.stored(w.pairText(2, 1, "y")), 2)
		w.raw.Want("SELECT id,status,updated FROM IMRelationShip WHERE id=1",
			fmt.Sprintf("1 0 %d", w.now()))
		wantSame(w, "relations", w.raw.Count("SELECT COUNT(*) FROM IMRelationShip"), 2)
	})
}

func TestATalkWithoutIDsLeftRefusesMessages(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		var asked reserves
		w := start(t, e, asked.wrap)
		w.oldRelation(1, 1, 2, 0, 1)
		w.oldMessage(oldMessage{relation: 1, from: 1, to: 2, id: chat.MaxMsgID - 1, created: 1,
			content: "x"})
		wantSame(w, "the last id", w.stored(w.pairText(1, 2, "x")), chat.MaxMsgID)
		w.leavesNoTrace(func() {
			_, err := w.send(w.pairText(1, 2, "x"))
			wantKind(w, err, chat.Invalid)
		})
		for _, r := range asked.all() {
			if r.Count == 0 {
				w.Errorf("the sequencer was asked for no ids at all: %+v", r)
			}
		}
	})
}
