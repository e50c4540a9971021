package doctor_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestAHealthyStoreHasNothing(t *testing.T) {
	onEngines(t, func(w *world) {
		w.wantFound(nil, nil, nil)
		w.send(text(1, 2, "a"), text(2, 1, "b"))
		g, err := w.store.Create(w.Context(),
			chat.NewGroup{Name: "g", Creator: 1, Type: chat.NormalGroup, Members: []uint32{1, 2}},
			900)
		w.must(err)
		w.send(inGroup(1, g, "c"), inGroup(2, g, "d"),
			chat.Draft{Talk: chat.GroupTalk(g), From: 1, Read: true},
			chat.Draft{Talk: chat.PairTalk(1, 2), From: 2, Type: chat.PairVoice,
				Sound: &chat.Sound{Path: "x", Size: 5, Duration: 1}, Time: 1000})
		w.relation(50, 7, 8, 1, 10) // removed ones do no harm
		w.relation(51, 7, 8, 1, 20)
		w.relation(52, 7, 8, 0, 5)
		w.session(50, 7, 8, 1, 1, 10)
		w.session(51, 7, 8, 1, 1, 10)
		w.wantFound(nil, nil, nil)
	})
}

func TestSplitTalksAreMerged(t *testing.T) {
	onEngines(t, func(w *world) {
		w.relation(1, 1, 2, 0, 100)
		w.relation(2, 1, 2, 0, 300) // in use
		w.relation(9, 1, 2, 0, 200) // of the table of 1
		w.message(1, 1, 2, 1, 100, "a")
		w.message(2, 2, 1, 1, 110, "b")
		w.message(9, 1, 2, 1, 120, "c")
		w.message(1, 2, 1, 2, 130, "d")
		w.message(2, 1, 2, 2, 140, "e")
		w.message(9, 2, 1, 2, 150, "f")
		w.message(1, 2, 1, 3, 160, "removed")
		w.raw.Run("UPDATE IMMessage_1 SET status=1 WHERE content='removed'")
		// another pair, whose messages are only under a relation of status 1
		w.relation(3, 1, 3, 1, 50)
		w.relation(4, 1, 3, 0, 60)
		w.message(3, 1, 3, 1, 70, "x")
		w.wantFound([]string{"split-talk 2"}, []string{"split-talk 2/2"}, nil)
		w.wantPage(chat.PairTalk(1, 2), "6:f@150 5:d@140 4:c@140 3:a@140 2:e@140 1:b@110")
		w.wantPage(chat.PairTalk(1, 3), "1:x@70")
		w.raw.Want("SELECT id,status,updated FROM IMRelationShip ORDER BY id", "1 1 100", "2 0 300",
			"3 1 50", "4 0 60", "9 1 200")
		w.raw.Want("SELECT oldTable,oldOwner,oldId,oldCreated,newTable,newOwner,newId,newCreated "+
			"FROM IMProxyJournal WHERE b=2 ORDER BY newId",
			"IMMessage_1 1 1 100 IMMessage_2 2 3 140", "IMMessage_1 9 1 120 IMMessage_2 2 4 140",
			"IMMessage_1 1 2 130 IMMessage_2 2 5 140",
			"IMMessage_1 9 2 150 IMMessage_2 2 6 150", "IMMessage_1 1 3 160 IMMessage_2 2 7 160")
		w.raw.Want("SELECT COUNT(*) FROM IMProxyTalk", "0") // to adopt them is for who sends
		if ids := w.send(text(1, 2, "g")); ids[0] != 8 {
			w.Errorf("the next id is %d", ids[0])
		}
	})
}

func TestATalkKeepsTheRelationOfItsRow(t *testing.T) {
	onEngines(t, func(w *world) {
		w.send(text(1, 2, "a"), text(1, 2, "b"))
		w.relation(5, 1, 2, 0, 2_000_000_000) // an original made another one, and used it
		w.message(5, 2, 1, 1, 500, "c")
		w.message(5, 2, 1, 2, 1500, "d")
		w.wantFound([]string{"split-talk 1"}, []string{"split-talk 1/1"}, nil)
		w.wantPage(chat.PairTalk(1, 2), "4:d@1500 3:c@1000 2:b@1000 1:a@1000")
		w.raw.Want("SELECT relateId,lastId,lastCreated,sentA,sentB,rev FROM IMProxyTalk",
			"1 4 1500 2 0 2")
		if ids := w.send(text(2, 1, "e")); ids[0] != 5 {
			w.Errorf("the next id is %d", ids[0])
		}
		w.wantPage(chat.PairTalk(1, 2), "5:e@1500 4:d@1500 3:c@1000 2:b@1000 1:a@1000")
	})
}

func TestManyMessagesAreMovedInOrder(t *testing.T) {
	onEngines(t, func(w *world) {
		w.relation(1, 1, 2, 0, 100)
		w.relation(2, 1, 2, 0, 300)
		w.message(2, 1, 2, 1, 10, "first")
		const n = 450
		tx, err := w.raw.BeginTx(w.Context(), nil)
		w.must(err)
		for i := range n {
			_, err := tx.ExecContext(w.Context(),
				"INSERT INTO IMMessage_1 "+
					"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES "+
					"(1,1,2,?,?,1,0,?,?)",
				i+1, fmt.Sprint(i+1), 20+i/100, 20+i/100)
			w.must(err)
		}
		w.must(tx.Commit())
		w.wantFound([]string{"split-talk 1"}, []string{"split-talk 1/1"}, nil)
		want := "1:first@10"
		for i := range n {
			want = fmt.Sprintf("%d:%d@%d ", i+2, i+1, 20+i/100) + want
		}
		w.wantPage(chat.PairTalk(1, 2), want)
	})
}

func TestMessagesWithoutAnIDOfTheirOwnGetOne(t *testing.T) {
	onEngines(t, func(w *world) {
		const none = 4294967295
		w.relation(1, 1, 2, 0, 100)
		w.message(1, 1, 2, 1, 10, "a")
		w.message(1, 1, 2, none, 20, "away 1")
		w.message(1, 1, 2, none, 30, "away 2")
		w.message(1, 1, 2, 2, 40, "b")
		w.message(1, 1, 2, 1, 50, "flushed 1") // the ids began anew
		w.message(1, 1, 2, 2, 60, "flushed 2")
		w.group(4, 5, 1, 2)
		w.groupMessage(4, 1, 1, 10, "a")
		w.groupMessage(4, 1, none, 20, "away")
		w.groupMessage(4, 1, 1, 30, "flushed")
		w.wantFound([]string{"duplicate-id 3", "impossible-id 3"},
			[]string{"duplicate-id 3/3", "impossible-id 3/3"}, nil)
		w.wantPage(chat.PairTalk(1, 2),
			"6:flushed 2@60 5:flushed 1@50 4:away 2@40 3:away 1@40 2:b@40 1:a@10")
		w.wantPage(chat.GroupTalk(4), "3:flushed@30 2:away@20 1:a@10")
	})
}

func TestNobodySeesWhatWasWrittenBeforeTheyJoined(t *testing.T) {
	onEngines(t, func(w *world) {
		w.group(4, 5, 1)
		w.groupMessage(4, 1, 4294967295, 10, "before")
		w.member(4, 2, 0, 20)
		w.raw.Run("UPDATE IMGroup SET userCnt=2")
		w.groupMessage(4, 1, 1, 30, "after")
		w.wantFound([]string{"impossible-id 1"}, []string{"impossible-id 1"},
			[]string{"impossible-id 1"})
	})
}

func TestDuplicateSessionsAndMembers(t *testing.T) {
	onEngines(t, func(w *world) {
		w.send(text(1, 2, "a")) // sessions 1 and 2
		w.session(11, 1, 2, 1, 0, 500)
		w.session(12, 1, 2, 1, 1, 900)
		w.session(21, 8, 9, 1, 0, 700)
		w.session(22, 8, 9, 1, 0, 600)
		w.group(4, 5, 1, 2)
		w.member(4, 1, 0, 3)
		w.member(4, 1, 0, 9)
		w.member(4, 3, 1, 9)
		w.session(31, 3, 4, 2, 0, 50) // has left
		w.session(32, 1, 4, 2, 0, 50)
		w.raw.Run("UPDATE IMGroup SET userCnt=6 WHERE id=4")
		now := w.raw.Rows("SELECT updated FROM IMRecentSession WHERE id=1")[0]
		w.wantFound([]string{"duplicate-session 2", "stray-session 1", "duplicate-member 1",
			"user-count 1"},
			[]string{"duplicate-session 2/2", "stray-session 1/1", "duplicate-member 1/1"}, nil)
		w.raw.Want("SELECT id,status,updated FROM IMRecentSession WHERE id<>2 ORDER BY id",
			"1 1 "+now, "11 0 "+now, "12 1 900", "21 1 700", "22 0 700",
			"31 1 50", "32 0 50")
		w.raw.Want("SELECT sessionA,sessionB FROM IMProxyTalk WHERE kind=1", "11 2")
		w.raw.Want("SELECT userId,status,updated FROM IMGroupMember ORDER BY id", "1 1 5", "2 0 5",
			"1 0 3", "1 1 9", "3 1 9")
		w.raw.Want("SELECT userCnt FROM IMGroup", "2")
		w.raw.Want("SELECT oldTable,oldRow,newRow FROM IMProxyJournal ORDER BY oldTable,oldRow",
			"IMGroupMember 1 3", "IMGroupMember 4 3",
			"IMRecentSession 1 11", "IMRecentSession 21 22", "IMRecentSession 31 0")
		w.send(text(1, 2, "b"))
		w.wantFound(nil, nil, nil) // the session of the talk's row is the one in use
	})
}

func TestWhatIsOnlyReported(t *testing.T) {
	onEngines(t, func(w *world) {
		w.relation(1, 1, 2, 0, 100)
		w.message(1, 1, 2, 1, 10, "a")
		w.message(1, 1, 3, 2, 11, "of others")
		w.message(77, 1, 3, 1, 11, "of no relation")
		w.raw.Run("INSERT INTO IMMessage_5 " +
			"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES " +
			"(1,1,2,3,'in a wrong table',1,0,12,12)")
		w.groupMessage(66, 1, 1, 12, "of no group")
		w.raw.Run("INSERT INTO IMAudio (id,fromId,toId,path,size,duration,created) VALUES " +
			"(5,1,2,'p',1,1,10),(6,1,2,'q',1,1,10)")
		w.raw.Run("INSERT INTO IMMessage_1 " +
			"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES " +
			"(1,1,2,4,'5',2,0,20,20),(1,1,2,5,'7',2,0,20,20),(1,1,2,6,'?',2,0,20,20)")
		found := []string{"lost-message 4", "missing-sound 2", "orphan-sound 1"}
		w.wantFound(found, found, found)
	})
}

func TestOurOwnRows(t *testing.T) {
	onEngines(t, func(w *world) {
		w.send(text(1, 2, "a"))
		w.group(4, 5, 1, 2)
		w.send(inGroup(1, 4, "b"))
		w.raw.Run("UPDATE IMProxyLevel SET level=9 WHERE userId=1 AND groupId=4")
		w.raw.Run("INSERT INTO IMProxyLevel (userId,groupId,level) VALUES (2,4,1),(3,5,1)")
		w.raw.Run("INSERT INTO IMProxyTalk (kind,a,b,relateId,sentA,rev) VALUES " +
			"(1,7,8,99,3,1),(2,88,0,0,3,1)")
		w.raw.Run("INSERT INTO IMProxyCommit (id,created,changes) VALUES (?,5,?)",
			"00000000000000000000000000000001", `{"Changes":[]}`)
		w.wantFound([]string{"level-ahead 2", "stray-talk 1", "old-commit 1", "stray-group 1"},
			[]string{"level-ahead 2/2", "stray-talk 1/1", "old-commit 1/1", "stray-group 1"},
			[]string{"stray-group 1"})
		w.raw.Want("SELECT userId,groupId,level FROM IMProxyLevel ORDER BY groupId,userId", "1 4 1",
			"2 4 1", "3 5 0")
		w.raw.Want("SELECT t.sentA-t.readB FROM IMProxyTalk t JOIN IMRelationShip r ON "+
			"r.id=t.relateId WHERE t.a=7 AND r.smallId=7 AND r.bigId=8", "0")
	})
}

func TestIDsThatRunOut(t *testing.T) {
	onEngines(t, func(w *world) {
		w.relation(2_000_000_000, 1, 2, 0, 1)
		w.wantFound([]string{"ids-run-out 1"}, []string{"ids-run-out 1"}, []string{"ids-run-out 1"})
	})
}

func TestALookChangesNothing(t *testing.T) {
	onEngines(t, func(w *world) {
		w.relation(1, 1, 2, 0, 100)
		w.relation(2, 1, 2, 0, 300)
		w.message(1, 1, 2, 1, 100, "a")
		w.session(1, 1, 2, 1, 0, 1)
		w.session(2, 1, 2, 1, 0, 1)
		w.examine(nil)
		w.raw.Want("SELECT id,status FROM IMRelationShip ORDER BY id", "1 0", "2 0")
		w.raw.Want("SELECT id,status FROM IMRecentSession ORDER BY id", "1 0", "2 0")
		w.raw.Want("SELECT COUNT(*) FROM IMProxyJournal", "0")
	})
}

func TestARepairThatIsStoppedGoesOn(t *testing.T) {
	onEngines(t, func(w *world) {
		w.relation(1, 1, 2, 0, 100)
		w.relation(2, 1, 2, 0, 300)
		w.message(2, 1, 2, 1, 10, "first")
		for i := range 450 {
			w.message(1, 1, 2, int64(i+1), 20, fmt.Sprint(i))
		}
		before := w.audit()
		var stopped int
		for runs := 0; ; runs++ {
			ctx, cancel := context.WithCancel(w.Context())
			d := w.doctor()
			d.Repair, d.Sequencer = true, &stopping{Sequencer: w.seq, after: 2, stop: cancel}
			_, err := d.Run(ctx)
			cancel()
			if err == nil {
				break
			}
			if stopped++; stopped > 20 {
				w.Fatal(err)
			}
		}
		if stopped == 0 {
			w.Error("it was never stopped")
		}
		if after := w.audit(); fmt.Sprint(after) != fmt.Sprint(before) {
			w.Errorf("the contents were\n%q\nand are\n%q", before, after)
		}
		want := "1:first@10"
		for i := range 450 {
			want = fmt.Sprintf("%d:%d@20 ", i+2, i) + want
		}
		w.wantPage(chat.PairTalk(1, 2), want)
		w.raw.Want("SELECT COUNT(*),COUNT(DISTINCT newId) FROM IMProxyJournal", "450 450")
		w.wantFound(nil, nil, nil)
	})
}

// stopping ends a context in the midst of the transaction that asks for ids for the nth time.
type stopping struct {
	chat.Sequencer
	after int
	stop  func()
}

func (s *stopping) Next(ctx context.Context, want []chat.Reserve) []uint32 {
	if s.after--; s.after == 0 {
		s.stop()
	}
	return s.Sequencer.Next(ctx, want)
}

func TestARepairBesideAProxy(t *testing.T) {
	onEngines(t, repairBesideAProxy)
	t.Run("mysql and Redis", func(t *testing.T) {
		t.Parallel()
		w, _, _ := openBoth(t)
		repairBesideAProxy(w)
	})
}

func repairBesideAProxy(w *world) {
	w.relation(1, 1, 2, 0, 100)
	w.relation(2, 1, 2, 0, 300)
	for i := range 300 {
		w.message(1, 1, 2, int64(i+1), 20+i, fmt.Sprint("old ", i))
		w.message(2, 1, 2, 4294967295, 20+i, fmt.Sprint("away ", i))
	}
	sent := 0
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	stop := until(func(ctx context.Context) error {
		defer begin()
		for last := uint32(0); ctx.Err() == nil; sent++ {
			b := chat.Batch{ID: chat.NewCommitID(), Now: uint32(time.Now().Unix()),
				Drafts: []chat.Draft{text(2, 1, fmt.Sprint("new ", sent))}}
			receipt, err := w.store.Append(context.WithoutCancel(ctx), b, w.seq)
			if err != nil {
				return err
			}
			if id := receipt.Stored[0].ID; id <= last {
				return fmt.Errorf("id %d after %d", id, last)
			} else {
				last = id
			}
			begin()
		}
		return nil
	})
	<-begun
	got := w.examine(mending)
	if err := stop(); err != nil {
		w.Error(err)
	}
	if fmt.Sprint(got) != "[split-talk 1/1 impossible-id 300/300]" {
		w.Errorf("repaired %q", got)
	}
	w.raw.Want("SELECT COUNT(*),COUNT(DISTINCT msgId),MIN(msgId),MAX(msgId) FROM IMMessage_2",
		fmt.Sprintf("%[1]d %[1]d 1 %[1]d", 600+sent))
	w.raw.Want("SELECT COUNT(*) FROM IMMessage_2 x JOIN IMMessage_2 y ON y.msgId=x.msgId+1 AND "+
		"(y.created<x.created OR y.id<x.id)", "0")
	for _, what := range []string{"old", "away", "new"} { // each in its order
		rows := w.raw.Rows("SELECT content FROM IMMessage_2 WHERE content LIKE '" + what +
			"%' ORDER BY msgId")
		for i, content := range rows {
			if content != fmt.Sprint(what, " ", i) {
				w.Fatalf("%s stands at place %d", content, i)
			}
		}
	}
	w.raw.Run("DELETE FROM IMProxyCommit")
	w.wantFound(nil, nil, nil)
}

func TestAnOriginalNeedsRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.Embedded)
	d := w.doctor()
	d.BeforeOriginal = true
	if _, err := d.Run(t.Context()); err == nil {
		t.Error("an original may work on the embedded store")
	}
}

func TestItSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testdb.Embedded)
	w.relation(1, 1, 2, 0, 1)
	shares := make(map[string]float64)
	w.examine(func(d *doctor.Doctor) {
		d.Progress = func(what string, share float64) { shares[what] = share }
	})
	if shares["IMRelationShip"] != 1 || shares["IMProxyLevel"] != 1 || len(shares) < 20 {
		t.Errorf("shares: %v", shares)
	}
}

func TestRowsOfOtherTypesAreCounted(t *testing.T) {
	onEngines(t, func(w *world) {
		w.relation(1, 1, 2, 0, 100)
		w.group(4, 100, 1, 2)
		w.group(5, 100, 1, 2)
		for i, typ := range []int{1, 3, 17, 19, 0, 2, 19} {
			w.message(1, 1, 2, int64(i+1), 100+i, "7")
			w.groupMessage(4, 1, int64(i+1), 100+i, "7")
			w.raw.Run("UPDATE IMMessage_1 SET type=? WHERE msgId=?", typ, i+1)
			w.raw.Run("UPDATE IMGroupMessage_4 SET type=? WHERE msgId=?", typ, i+1)
		}
		w.raw.Run("UPDATE IMMessage_1 SET status=1 WHERE msgId=7") // removed: nobody misses it
		w.raw.Run("UPDATE IMGroup SET type=9 WHERE id=4")
		w.raw.Run("INSERT INTO IMAudio (id,fromId,toId,path,size,duration,created)" +
			" VALUES (7,1,2,'x',1,1,1)")
		found := []string{"message-type 7", "group-type 1"}
		w.wantFound(found, found, found)
		report, err := w.doctor().Run(w.Context())
		w.must(err)
		if open := report.Open(); open != 0 {
			w.Errorf("%d findings are open: these are notes", open)
		}
		if got := report.Findings[0].Examples[0]; got != "IMMessage_1 row 2 has type 3" {
			w.Errorf("the first example is %q", got)
		}
	})
}
