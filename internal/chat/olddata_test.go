package chat_test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// relationUsed finds out which relation the service uses for 1 and 2: reads must agree with what a
// message does.
func (w *world) relationUsed() int {
	w.Helper()
	pair := chat.PairTalk(1, 2)
	for _, id := range []int{1, 2, 3, 4} {
		if w.raw.Count("SELECT COUNT(*) FROM IMRelationShip WHERE id=?", id) > 0 {
			w.oldMessage(oldMessage{relation: id, from: 1, to: 2, id: 7, created: 10,
				content: fmt.Sprint("relation ", id)})
		}
	}
	read := brief(w.all(2, pair))
	if w.raw.Count("SELECT COUNT(*) FROM IMRelationShip WHERE COALESCE(status,0)=0") == 0 {
		wantSame(w, "what is read of a pair that was removed", read, "")
	}
	w.says(2, 1, "new")
	used := w.raw.Count(`SELECT relateId FROM (
		SELECT relateId,content FROM IMMessage_1 UNION ALL SELECT relateId,content FROM IMMessage_2
		UNION ALL SELECT relateId,content FROM IMMessage_3
		UNION ALL SELECT relateId,content FROM IMMessage_4
	) x WHERE content='new'`)
	if read != "" {
		wantSame(w, "what was read before", read, fmt.Sprint("7:relation ", used))
	}
	wantSame(w, "what is read after", brief(w.all(2, pair)), fmt.Sprint("8:new 7:relation ", used))
	return used
}

func TestOfDuplicateRelationsOneIsUsed(t *testing.T) {
	type relation struct {
		status  any
		updated int
	}
	for name, test := range map[string]struct {
		relations []relation // ids 1, 2, …
		want      int
	}{
		"the latest updated":                   {[]relation{{0, 100}, {0, 300}, {0, 200}}, 2},
		"of equally late ones the greatest id": {[]relation{{0, 100}, {0, 100}, {0, 50}}, 2},
		"status 0 before later ones of status 1": {[]relation{{0, 100}, {1, 300}, {0, 200},
			{1, 400}}, 3},
		"status 0 before greater ids of status 1":  {[]relation{{0, 100}, {1, 100}, {1, 100}}, 1},
		"NULL is status 0":                         {[]relation{{1, 300}, {nil, 100}}, 2},
		"the only one of status 1":                 {[]relation{{1, 100}}, 1},
		"the latest updated if all have status 1":  {[]relation{{1, 100}, {1, 300}, {1, 200}}, 2},
		"the only one":                             {[]relation{{0, 0}}, 1},
		"NULL and 0 are compared by what is later": {[]relation{{nil, 300}, {0, 200}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				for i, r := range test.relations {
					w.oldRelation(i+1, 1, 2, r.status, r.updated)
				}
				wantSame(w, "relation used", w.relationUsed(), test.want)
				wantSame(w, "relations", w.raw.Count("SELECT COUNT(*) FROM IMRelationShip"),
					len(test.relations))
				wantSame(w, "its status", w.raw.Count("SELECT COALESCE(status,0) FROM "+
					"IMRelationShip "+
					"WHERE id=?", test.want), 0)
			})
		})
	}
}

func TestOfDuplicateSessionsOneIsUsed(t *testing.T) {
	for name, test := range map[string]struct {
		statuses []any // of ids 1, 2, …
		want     int
	}{
		"the greatest id":                         {[]any{0, 0, 0}, 3},
		"status 0 before greater ids of status 1": {[]any{1, 0, 1}, 2},
		"NULL is status 0":                        {[]any{1, nil, 1}, 2},
		"the greatest id if all have status 1":    {[]any{1, 1}, 2},
		"the only one":                            {[]any{1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				w.oldGroup(5, 1, 1, 1, 2)
				for i, status := range test.statuses {
					w.oldSession(i+1, 1, 2, 1, status, 50-i)
					w.oldSession(i+101, 1, 5, 2, status, 50-i)
				}
				w.says(2, 1, "x")
				w.saysIn(5, 1, "x")
				moved := "SELECT id,COALESCE(status,0) FROM IMRecentSession WHERE userId=1 AND " +
					"updated>50 ORDER BY id"
				w.raw.Want(moved, fmt.Sprintf("%d 0", test.want),
					fmt.Sprintf("%d 0", test.want+100))
				wantSame(w, "sessions of 1",
					w.raw.Count("SELECT COUNT(*) FROM IMRecentSession WHERE userId=1"),
					2*len(test.statuses))
				wantSame(w, "sessions of 2",
					w.raw.Count("SELECT COUNT(*) FROM IMRecentSession WHERE userId=2"), 1)
			})
		})
	}
}

func TestIDsGoOnAboveTheLargestInTheTables(t *testing.T) {
	type row struct {
		id     int64
		status int
	}
	for name, test := range map[string]struct {
		rows []row
		want uint32
	}{
		"no messages":                  {nil, 1},
		"seen ones":                    {[]row{{3, 0}, {5, 0}, {4, 0}}, 6},
		"removed ones count":           {[]row{{5, 0}, {9, 1}, {7, 0}}, 10},
		"only removed ones":            {[]row{{9, 1}}, 10},
		"4294967295 does not count":    {[]row{{5, 0}, {4294967295, 0}}, 6},
		"a removed 4294967295 neither": {[]row{{5, 1}, {4294967295, 1}}, 6},
		"4294967295 alone":             {[]row{{4294967295, 0}}, 1},
		"2147483648 does not count":    {[]row{{2, 0}, {2147483648, 0}}, 3},
		"duplicate ids":                {[]row{{5, 0}, {5, 0}, {5, 1}}, 6},
		"a gap below":                  {[]row{{1, 0}, {1000, 0}}, 1001},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				w.oldRelation(9, 1, 2, 0, 1)
				w.oldRelation(1, 1, 3, 0, 1) // of the same table
				w.oldMessage(oldMessage{relation: 1, from: 1, to: 3, id: 5000, created: 1,
					content: "x"})
				w.oldGroup(4, 1, 1, 1, 2)
				for _, r := range test.rows {
					w.oldMessage(oldMessage{relation: 9, from: 1, to: 2, id: r.id, created: 10,
						status: r.status, content: "x"})
					w.oldGroupMessage(4, 1, r.id, 10, r.status, "x")
				}
				wantSame(w, "the pair's next id", w.stored(w.pairText(2, 1, "x")), test.want)
				wantSame(w, "the group's next id", w.stored(w.groupText(2, 4, "x")), test.want)
			})
		})
	}
}

func TestTimesGoOnFromTheLastInTheTables(t *testing.T) {
	rule(t, func(w *world) {
		w.oldRelation(1, 1, 2, 0, 1)
		w.oldMessage(oldMessage{relation: 1, from: 1, to: 2, id: 1, created: int(w.later(100)),
			content: "ahead"})
		w.oldGroup(4, 1, 1, 1, 2)
		w.oldGroupMessage(4, 1, 1, int(w.later(200)), 0, "ahead")
		w.says(1, 2, "x")
		w.saysIn(4, 1, "x")
		wantSame(w, "times of the pair", w.storedTimes(), []int{100, 100})
		w.raw.Want("SELECT created FROM IMGroupMessage_4 ORDER BY id", fmt.Sprint(w.later(200)),
			fmt.Sprint(w.later(200)))
	})
}

func TestAnOldTalkIsReadBeforeAnythingIsSentInIt(t *testing.T) {
	rule(t, func(w *world) {
		w.oldRelation(1, 1, 2, 0, 1)
		for i := range 5 {
			w.oldMessage(oldMessage{relation: 1, from: 1 + i%2, to: 2 - i%2, id: int64(i + 1),
				created: 100 + i, content: fmt.Sprint("m", i+1)})
		}
		w.oldGroup(4, 1, 100, 1, 2)
		w.oldGroupMessage(4, 2, 1, 99, 0, "before they joined")
		w.oldGroupMessage(4, 2, 2, 100, 0, "g2")
		for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(4)} {
			w.oldSession(int(talk.Kind), 1, int(talk.Peer(1)), int(talk.Kind), 0, 50+int(talk.Kind))
		}
		w.leavesNoTrace(func() {
			pair, group := chat.PairTalk(1, 2), chat.GroupTalk(4)
			wantSame(w, "a page", brief(w.page(2, pair, 4, 2)), "4:m4 3:m3")
			wantSame(w, "a page of the group", brief(w.all(1, group)), "2:g2")
			byID, err := w.byID(w.ctx, 1, pair, []uint32{2, 5})
			w.must(err)
			wantSame(w, "by id", brief(byID), "5:m5 2:m2")
			for talk, want := range map[chat.Talk]uint32{pair: 5, group: 2,
				chat.PairTalk(1, 9): 0} {
				id, err := w.latestID(w.ctx, talk)
				w.must(err)
				wantSame(w, fmt.Sprint("latest id of ", talk), id, want)
			}
			wantSame(w, "sessions", w.recent(1, 0), "g4 2")
			wantSame(w, "unread", w.unread(1), "")
		})
		w.must(w.svc.RemoveSession(w.ctx, 1, chat.PairTalk(1, 2)))
		wantSame(w, "sessions after removing one", w.recent(1, 0), "g4")
	})
}

func TestNULLsAreEmptyOrZero(t *testing.T) {
	rule(t, func(w *world) {
		w.oldRelation(1, 1, 2, nil, 1)
		w.oldMessage(oldMessage{relation: 1, from: 1, to: 2, id: 1, created: 1, content: nil})
		w.oldSession(1, 1, 2, 1, nil, 5)
		w.oldSession(2, 1, 3, nil, nil, 6) // of no type
		w.user(1, map[string]any{"avatar": nil, "status": nil})
		w.insert("IMTransmitFile",
			map[string]any{"fromId": 1, "toId": 2, "fileName": nil, "taskId": nil, "size": 3,
				"status": 0, "created": 1, "updated": 1})
		w.insert("IMAudio", map[string]any{"id": 1, "fromId": 1, "toId": 2, "path": nil, "size": 3,
			"duration": 1, "created": 1})
		w.insert("IMMessage_1", map[string]any{"relateId": 1, "fromId": 1, "toId": 2, "msgId": 2,
			"content": "1", "type": 2, "status": 0, "created": 2, "updated": 2})
		wantSame(w, "messages", brief(w.all(1, chat.PairTalk(1, 2))), "2:"+voiceData(1, "")+" 1:")
		wantSame(w, "sessions", w.recent(1, 0), "2")
		users, err := w.usersByID(w.ctx, []uint32{1})
		w.must(err)
		wantSame(w, "users", users, []chat.User{{ID: 1, Name: "user1", Sex: 1, Updated: 1}})
		everybody, _, err := w.svc.UsersSince(w.ctx, 0)
		w.must(err)
		wantSame(w, "everybody", len(everybody), 1)
		files, err := w.svc.WaitingFiles(w.ctx, 2)
		w.must(err)
		wantSame(w, "files", files, []chat.OfflineFile{{From: 1, To: 2, Size: 3}})
		wantSame(w, "id", w.stored(w.pairText(2, 1, "x")), 3)
	})
}

func TestAPairThatWasRemovedHasNothingToBeReadUntilAMessageRevivesIt(t *testing.T) {
	relations := "SELECT id,status FROM IMRelationShip ORDER BY id"
	for name, ours := range map[string]bool{
		"before this proxy knew it": false, "one of this proxy's": true,
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				pair, other := chat.PairTalk(1, 2), chat.PairTalk(1, 3)
				w.oldRelation(1, 1, 2, 0, 1)
				w.oldRelation(2, 1, 3, 0, 1)
				old := oldMessage{relation: 1, from: 1, to: 2, id: 1, created: 10, content: "old"}
				w.oldMessage(old)
				w.oldSession(1, 2, 1, 1, 0, 5)
				w.says(1, 3, "to another")
				if ours {
					w.says(1, 2, "new")
				}
				w.raw.Run("UPDATE IMRelationShip SET status=1 WHERE id=1")
				w.leavesNoTrace(func() { w.wantNothingOf(pair) })
				wantSame(w, "the other pair's", brief(w.all(3, other)), "1:to another")
				w.raw.Want(relations, "1 1", "2 0")

				w.says(2, 1, "again")
				want := "2:again 1:old"
				if ours {
					want = "3:again 2:new 1:old"
				}
				wantSame(w, "the page after a message", brief(w.all(1, pair)), want)
				wantSame(w, "unread after a message", w.unread(1), "2=1")
				w.raw.Want(relations, "1 0", "2 0")
			})
		})
	}
}

// wantNothingOf checks that nothing is to be read of a pair, by neither of its users.
func (w *world) wantNothingOf(pair chat.Talk) {
	w.Helper()
	for _, user := range []uint32{pair.A, pair.B} {
		wantSame(w, "a page", brief(w.all(user, pair)), "")
		byID, err := w.byID(w.ctx, user, pair, []uint32{1, 2})
		w.must(err)
		wantSame(w, "by id", brief(byID), "")
		id, err := w.latestID(w.ctx, pair)
		w.must(err)
		wantSame(w, "the latest id", id, 0)
		unread, err := w.unreadOf(w.ctx, user)
		w.must(err)
		if len(unread.Talks) > 0 || unread.Total > 0 {
			w.Errorf("user %d has unread %+v", user, unread)
		}
		sessions, err := w.sessions(user, 0)
		w.must(err)
		for _, s := range sessions {
			if s.Talk == pair {
				w.Errorf("user %d has a session of it", user)
			}
		}
	}
}
