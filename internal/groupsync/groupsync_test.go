package groupsync_test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestMembersGetSessionsInTheOrderOfTheirIDsAsText(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(100, 2, 1, 10, 9)
		w.talk(g, 9)
		w.wantSessions(g, "9@0")
		w.at.Add(3)
		w.look()
		w.wantSessions(g, "9@0 1@0 10@0 100@0 2@0")
	})
}

func TestSessionsMoveToTheTimeOfTheLastTalk(t *testing.T) {
	rule(t, func(w *world) {
		g, quiet := w.group(1, 2, 3), w.group(1, 2)
		w.talk(g, 1)
		w.look()
		w.at.Add(7)
		w.talk(g, 2)
		w.at.Add(2)
		w.look()
		w.wantSessions(g, "1@7 2@7 3@7")
		w.wantSessions(quiet, "")
	})
}

func TestRemovedSessionsStayRemoved(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.talk(g, 1)
		w.look()
		w.at.Add(5)
		if err := w.Remove(w.Context(), 2, chat.GroupTalk(g), uint32(w.at.Load())); err != nil {
			w.Fatal(err)
		}
		w.at.Add(5)
		w.talk(g, 1)
		w.look()
		w.wantSessions(g, "1@10 -2@5 3@10")
		w.talk(g, 2) // its own message brings it back
		w.wantSessions(g, "1@10 2@10 3@10")
	})
}

func TestOfDuplicateSessionsTheOneInUseMoves(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		for id, status := range []int{1, 0, 1} {
			w.raw.Run("INSERT INTO IMRecentSession (id,userId,peerId,type,status,created,updated) "+
				"VALUES (?,2,?,2,?,1,100000)", id+10, g, status)
			w.raw.Run("INSERT INTO IMRecentSession (id,userId,peerId,type,status,created,updated) "+
				"VALUES (?,3,?,2,0,1,100000)", id+20, g)
		}
		w.at.Add(5)
		w.talk(g, 1)
		w.look()
		w.wantSessions(g, "-2@0 2@5 -2@0 3@0 3@0 3@5 1@5")
	})
}

func TestSessionsAheadOfTheTalkDoNotGoBack(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.raw.Run("INSERT INTO IMRecentSession (userId,peerId,type,status,created,updated) VALUES "+
			"(2,?,2,0,1,100009)", g)
		w.talk(g, 1)
		w.look()
		w.wantSessions(g, "2@9 1@0")
	})
}

func TestThoseWhoLeftGetNoSession(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.talk(g, 1)
		if _, err := w.RemoveMembers(w.Context(), g, []uint32{2}, uint32(w.at.Load())); err != nil {
			w.Fatal(err)
		}
		w.look()
		w.wantSessions(g, "1@0 3@0")
	})
}

func TestOnlyGroupsOfStatusZeroAreLookedAt(t *testing.T) {
	rule(t, func(w *world) {
		g, removed := w.group(1, 2), w.group(1, 2)
		w.raw.Run("UPDATE IMGroup SET status=1 WHERE id=?", removed)
		w.talk(g, 1)
		w.talk(removed, 1)
		w.look()
		w.wantSessions(g, "1@0 2@0")
		w.wantSessions(removed, "1@0")
	})
}

func TestManyGroupsAreBroughtUpToDateInOneLook(t *testing.T) {
	rule(t, func(w *world) {
		var groups []uint32
		for i := range uint32(12) {
			g := w.group(1, 2, 100+i)
			groups = append(groups, g)
			w.talk(g, 1)
		}
		w.look()
		for i, g := range groups {
			w.wantSessions(g, fmt.Sprintf("1@0 %d@0 2@0", 100+i))
		}
	})
}

func TestLargeGroupsAreDoneInPartsInTheSameOrder(t *testing.T) {
	rule(t, func(w *world) {
		var members []uint32
		for i := range uint32(1200) {
			members = append(members, i+1)
		}
		g := w.group(members...)
		w.talk(g, 1000)
		w.look()
		wrong := w.raw.Count(`SELECT COUNT(*) FROM IMRecentSession a JOIN IMRecentSession b ON b.id=a.id+1
 WHERE a.userId<>1000 AND CAST(a.userId AS CHAR)>=CAST(b.userId AS CHAR)`)
		if wrong > 0 {
			w.Errorf("%d sessions stand before those of smaller ids as text", wrong)
		}
		w.raw.Want("SELECT COUNT(DISTINCT userId) FROM IMRecentSession WHERE updated=100000",
			"1200")
	})
}

func TestARestartResumesFromTheMark(t *testing.T) {
	rule(t, func(w *world) {
		g, old := w.group(1, 2), w.group(1, 2)
		w.raw.Run("UPDATE IMGroup SET lastChated=1000 WHERE id=?", old) // long before
		w.look()
		w.at.Add(60)
		w.talk(g, 1) // while nobody looks
		w.at.Add(3600)
		w.look()
		w.wantSessions(g, "1@60 2@60")
		w.wantSessions(old, "")
	})
}

func TestTalkInTheSecondOfALookIsNotMissed(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.look()
		w.talk(g, 1) // the same second, after the look
		w.at.Add(5)
		w.look()
		w.wantSessions(g, "1@0 2@0 3@0")
	})
}

func TestACommitThatBecomesVisibleLateIsNotMissed(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.at.Add(5)
		w.look()
		w.at.Add(-3) // began before that look, and was committed after it
		w.talk(g, 1)
		w.at.Add(8)
		w.look()
		w.wantSessions(g, "1@2 2@2")
	})
}

func TestTheMarkStaysWhenALookFails(t *testing.T) {
	rule(t, func(w *world) {
		g, other := w.group(1, 2), w.group(1, 2)
		w.look()
		w.at.Add(60)
		w.talk(g, 1)
		w.talk(other, 1)
		w.at.Add(60)
		failed := make(chan error, 1)
		stop := w.beginEvery(&watched{Store: w.Store, before: func(group uint32) error {
			if group != g {
				return nil
			}
			failed <- errFault
			return errFault
		}}, hour, hour)
		await(w, failed)
		stop()
		w.wantMark(100_000)
		w.look()
		w.wantSessions(g, "1@60 2@60")
		w.wantSessions(other, "1@60 2@60")
	})
}

func TestTheMarkIsTheTimeBeforeTheQuery(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.talk(g, 1)
		w.lookOnce(&watched{Store: w.Store, before: func(uint32) error {
			w.at.Add(60)
			return nil
		}})
		w.wantMark(100_000)
	})
}

func TestThoseWhoLeaveDuringALookGetNoSession(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.talk(g, 1)
		w.lookOnce(&watched{Store: w.Store, before: func(group uint32) error {
			_, err := w.RemoveMembers(w.Context(), group, []uint32{2}, 100_000)
			return err
		}})
		w.wantSessions(g, "1@0 3@0")
	})
}
