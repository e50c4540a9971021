package chat_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// fiveMessages fills the pair 1 and 2, and group 4 with members 1 and 2, with the same messages: id
// 3 was removed, and ids and times do not agree, as in databases of original servers.
func fiveMessages(w *world) []chat.Talk {
	w.Helper()
	w.oldRelation(1, 1, 2, 0, 1)
	w.oldGroup(4, 1, 50, 1, 2)
	for _, m := range []struct{ id, created, status int }{
		{1, 100, 0}, {2, 103, 0}, {3, 102, 1}, {4, 101, 0}, {5, 103, 0}, {6, 99, 0},
	} {
		w.oldMessage(oldMessage{relation: 1, from: 1, to: 2, id: int64(m.id), created: m.created,
			status: m.status, content: fmt.Sprint("m", m.id)})
		w.oldGroupMessage(4, 1, int64(m.id), m.created, m.status, fmt.Sprint("m", m.id))
	}
	return []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(4)}
}

func TestAPageIsTheNewestUpToAnID(t *testing.T) {
	rule(t, func(w *world) {
		for _, talk := range fiveMessages(w) {
			for _, test := range []struct {
				about       string
				upTo, count uint32
				want        string
			}{
				{"all, latest first, then the latest row", 0, 100, "5:m5 2:m2 4:m4 1:m1 6:m6"},
				{"as many as asked for", 0, 2, "5:m5 2:m2"},
				{"none asked for", 0, 0, ""},
				{"up to an id", 4, 100, "2:m2 4:m4 1:m1"},
				{"up to an id, as many as asked for", 4, 1, "2:m2"},
				{"up to a removed one", 3, 100, "2:m2 1:m1"},
				{"up to the first", 1, 100, "1:m1"},
				{"up to more than there are", 4294967295, 4294967295, "5:m5 2:m2 4:m4 1:m1 6:m6"},
			} {
				wantSame(w, fmt.Sprintf("%s: %s", talk, test.about),
					brief(w.page(2, talk, test.upTo, test.count)), test.want)
			}
		}
	})
}

func TestMessagesByIDComeOnceEachInPagingOrder(t *testing.T) {
	rule(t, func(w *world) {
		for _, talk := range fiveMessages(w) {
			for _, test := range []struct {
				about string
				ids   []uint32
				want  string
			}{
				{"some", []uint32{1, 2, 6}, "2:m2 1:m1 6:m6"},
				{"repeats", []uint32{2, 1, 2, 2, 1}, "2:m2 1:m1"},
				{"no ids", nil, ""},
				{"an empty list", []uint32{}, ""},
				{"a removed one", []uint32{3}, ""},
				{"unknown ones", []uint32{0, 7, 4294967295, 4}, "4:m4"},
			} {
				messages, err := w.byID(w.ctx, 2, talk, test.ids)
				w.must(err)
				wantSame(w, fmt.Sprintf("%s: %s", talk, test.about), brief(messages), test.want)
			}
		}
	})
}

func TestAtMost100MessagesComeByID(t *testing.T) {
	rule(t, func(w *world) {
		var ids []uint32
		for i := range uint32(120) {
			w.submit(w.pairText(1, 2, fmt.Sprint(i+1)))
			ids = append(ids, 120-i)
		}
		w.says(1, 2, "after these")
		messages, err := w.byID(w.ctx, 2, chat.PairTalk(1, 2), ids[:100])
		w.must(err)
		wantSame(w, "of 100", len(messages), 100)
		messages, err = w.byID(w.ctx, 2, chat.PairTalk(1, 2), append(ids, ids...))
		w.must(err)
		for i := range messages {
			if len(messages) != 100 || messages[i].ID != 120-uint32(i) {
				w.Fatalf("of 120, each twice: %d messages: %s", len(messages), brief(messages))
			}
		}
	})
}

func TestTheLastMessageIsTheFirstInPagingOrder(t *testing.T) {
	rule(t, func(w *world) {
		for _, talk := range fiveMessages(w) {
			id, err := w.latestID(w.ctx, talk)
			w.must(err)
			wantSame(w, fmt.Sprint("latest id of ", talk), id, 5)
		}
		w.raw.Run("UPDATE IMMessage_1 SET status=1 WHERE msgId=5")
		w.raw.Run("UPDATE IMGroupMessage_4 SET status=1 WHERE msgId=5")
		w.advance(seconds(2)) // what is removed by hand may be shown for one more
		w.oldSession(1, 1, 2, 1, 0, 5)
		w.oldSession(2, 1, 4, 2, 0, 5)
		sessions, err := w.sessions(1, 0)
		w.must(err)
		for _, s := range sessions {
			wantSame(w, fmt.Sprint("last message of ", s.Talk), s.Last,
				chat.Message{ID: 2, From: 1, Type: shownType(s.Talk), Created: 103, Data: "m2"})
		}
	})
}

func shownType(talk chat.Talk) chat.MsgType {
	if talk.Kind == chat.Group {
		return chat.GroupText
	}
	return chat.PairText
}

func TestATalkWhoseMessagesWereAllRemovedHasNoLatestID(t *testing.T) {
	rule(t, func(w *world) {
		talks := fiveMessages(w)
		w.raw.Run("UPDATE IMMessage_1 SET status=1")
		w.raw.Run("UPDATE IMGroupMessage_4 SET status=1")
		for _, talk := range append(talks, chat.PairTalk(7, 8), chat.GroupTalk(99)) {
			id, err := w.latestID(w.ctx, talk)
			w.must(err)
			wantSame(w, fmt.Sprint("latest id of ", talk), id, 0)
			wantSame(w, fmt.Sprint("page of ", talk), brief(w.all(1, talk)), "")
		}
	})
}

func TestMembersSeeAGroupFromTheirJoinOn(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		talk := chat.GroupTalk(g)
		w.saysIn(g, 1, "first")
		w.advance(seconds(10))
		w.joins(g, 3)
		w.saysIn(g, 1, "in the second 3 joined")
		w.advance(seconds(10))
		w.saysIn(g, 3, "last")
		see := func(user uint32) string { return brief(w.all(user, talk)) }
		wantSame(w, "2, there from the start", see(2), "3:last 2:in the second 3 joined 1:first")
		wantSame(w, "3, who joined later", see(3), "3:last 2:in the second 3 joined")
		wantSame(w, "4, no member", see(4), "")
		byID, err := w.byID(w.ctx, 3, talk, []uint32{1, 2})
		w.must(err)
		wantSame(w, "3, by id", brief(byID), "2:in the second 3 joined")
		byID, err = w.byID(w.ctx, 4, talk, []uint32{1, 2})
		w.must(err)
		wantSame(w, "4, by id", brief(byID), "")
		latest, err := w.latestID(w.ctx, talk)
		w.must(err)
		wantSame(w, "the latest id, for anybody", latest, 3)

		w.leaves(g, 2)
		wantSame(w, "2, who left", see(2), "")
		w.advance(seconds(10))
		w.joins(g, 2)
		wantSame(w, "2, who just came back", see(2), "")
		w.saysIn(g, 1, "welcome")
		wantSame(w, "2, after a word", see(2), "4:welcome")
	})
}

func TestAnAnswerIsCutAt4MiBAndTakesBoundedMemory(t *testing.T) {
	rule(t, func(w *world) {
		const rows, length = 1 << 13, 4096 // 32 MiB in all
		w.oldRelation(1, 1, 2, 0, 1)
		w.oldMessage(oldMessage{relation: 1, from: 1, to: 2, id: 1, created: 1,
			content: repeat("x", length)})
		for n := 1; n < rows; n *= 2 {
			w.raw.Run("INSERT INTO IMMessage_1 "+
				"(relateId,fromId,toId,msgId,content,type,status,created,updated)"+
				" SELECT relateId,fromId,toId,msgId+?,content,type,status,created+?,updated FROM "+
				"IMMessage_1", n, n)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		page := w.page(1, chat.PairTalk(1, 2), 0, 4294967295)
		runtime.ReadMemStats(&after)
		if n := len(page) * length; n > chat.MaxAnswer || n < chat.MaxAnswer*9/10 ||
			page[0].ID != rows || page[len(page)-1].ID != rows-uint32(len(page))+1 {
			w.Errorf("%d bytes in %d messages, from %d to %d", n, len(page), page[0].ID,
				page[len(page)-1].ID)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 6*chat.MaxAnswer {
			w.Errorf("a page took %d MiB", n>>20)
		}
	})
}

func TestAnOldMessageOfAClockFarAheadStandsFirstAThousandMessagesDeep(t *testing.T) {
	rule(t, func(w *world) {
		w.oldRelation(1, 1, 2, 0, 1)
		w.oldGroup(4, 1, 1, 1, 2)
		w.raw.Run("BEGIN")
		for id := range 1500 {
			created := 1000 + id + 1
			if id+1 == 600 {
				created = 1_000_000
			}
			w.oldMessage(oldMessage{relation: 1, from: 1, to: 2, id: int64(id + 1),
				created: created, content: "x"})
			w.oldGroupMessage(4, 1, int64(id+1), created, 0, "x")
		}
		w.raw.Run("COMMIT")
		for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(4)} {
			for upTo, want := range map[uint32]string{0: "600:x 1500:x 1499:x",
				1400: "600:x 1400:x 1399:x", 700: "600:x 700:x 699:x", 600: "600:x 599:x 598:x",
				599: "599:x 598:x 597:x"} {
				wantSame(w, fmt.Sprintf("%s up to %d", talk, upTo), brief(w.page(2, talk, upTo, 3)),
					want)
			}
		}
	})
}
