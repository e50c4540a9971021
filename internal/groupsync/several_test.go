package groupsync_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

type news = chat.GroupNews

// hour is longer than any test: a lease that lasts so long does not expire.
const hour = time.Hour

func TestTwoHoldersAtOnceMakeNoDuplicates(t *testing.T) {
	const groups, members, senders, messages = 12, 40, 3, 25
	rule(t, func(w *world) {
		var ids []uint32
		for g := range uint32(groups) {
			var users []uint32
			for u := range uint32(members) {
				users = append(users, 1+g+u)
			}
			ids = append(ids, w.group(users...))
		}
		a, b := &watched{Store: w.Store, always: true}, &watched{Store: w.Store, always: true}
		stopA, stopB := w.begin(a, hour), w.begin(b, hour)
		var sending sync.WaitGroup
		for n := range senders {
			sending.Go(func() {
				for i := range messages {
					g := (n + i) % groups
					w.at.Add(1)
					w.talk(ids[g], uint32(1+g+(7*i)%members))
				}
			})
		}
		sending.Wait()
		w.looksTwice(a)
		w.looksTwice(b)
		stopA()
		stopB()
		w.raw.Want("SELECT COUNT(*) FROM (SELECT 1 FROM IMRecentSession GROUP BY "+
			"userId,peerId,type HAVING COUNT(*)>1) d", "0")
		w.raw.Want(`SELECT COUNT(*) FROM IMGroup g JOIN IMGroupMember m ON m.groupId=g.id
 LEFT JOIN IMRecentSession s ON s.userId=m.userId AND s.peerId=g.id AND s.type=2 WHERE s.id IS NULL OR s.updated<g.lastChated`, "0")
	})
}

func TestOnePausedPastItsLeaseDoesNoHarm(t *testing.T) {
	rule(t, func(w *world) {
		g, fresh := w.group(1, 2, 3, 4), w.group(1, 2)
		w.talk(g, 1)
		w.talk(fresh, 1)
		reached, goOn := make(chan uint32, 10), make(chan struct{})
		wait := func(group uint32) error { reached <- group; <-goOn; return nil }
		paused := &watched{Store: w.Store, before: wait}
		stopPaused := w.begin(paused, time.Second)
		await(w, reached) // it knows who needs a session, and has not made it yet

		other := &watched{Store: w.Store}
		stopOther := w.begin(other, time.Second)
		w.looksTwice(other) // it has taken over
		w.wantSessions(g, "1@0 2@0 3@0 4@0")
		w.at.Add(5)
		if err := w.Remove(w.Context(), 2, chat.GroupTalk(g), uint32(w.at.Load())); err != nil {
			w.Fatal(err)
		}
		if _, err := w.RemoveMembers(w.Context(), g, []uint32{3}, uint32(w.at.Load())); err != nil {
			w.Fatal(err)
		}
		w.talk(g, 1)
		w.looksTwice(other)
		want := "1@5 -2@5 -3@5 4@5"
		w.wantSessions(g, want)

		close(goOn)
		eventually(w, "the paused one to end its look", func() bool {
			return paused.looks.Load()+paused.refused.Load() > 0
		})
		w.wantSessions(g, want)
		w.wantSessions(fresh, "1@0 2@0")
		stopPaused()
		stopOther()
		w.wantSessions(g, want)
	})
}

func TestOneThatLostTheLeaseLeavesTheRestToTheOther(t *testing.T) {
	onMySQL(t, func(w *world) {
		for range 5 {
			w.talk(w.group(1, 2), 1)
		}
		reached, goOn := make(chan uint32, 10), make(chan struct{})
		wait := func(group uint32) error { reached <- group; <-goOn; return nil }
		paused := &watched{Store: w.Store, before: wait}
		stop := w.begin(paused, time.Second)
		defer stop()
		await(w, reached)
		eventually(w, "the lease to expire", func() bool { return w.holds("other", hour) })
		close(goOn)
		eventually(w, "the next round", func() bool { return paused.refused.Load() >= 2 })
		if n := paused.synced.Load(); n != 1 {
			w.Errorf("it synced %d groups, want the one that it had begun", n)
		}
		if n := paused.looks.Load(); n != 0 {
			w.Errorf("it said of %d looks that they were complete", n)
		}
	})
}

func TestOnlyTheHolderLooksUntilItStops(t *testing.T) {
	onMySQL(t, func(w *world) {
		a, b := &watched{Store: w.Store}, &watched{Store: w.Store}
		stopA := w.begin(a, hour)
		w.looksTwice(a)
		stopB := w.begin(b, hour)
		eventually(w, "the second one to ask", func() bool { return b.refused.Load() >= 3 })
		if n := b.begun.Load(); n > 0 {
			w.Errorf("the second one looked %d times", n)
		}
		stopA()
		g := w.group(1, 2)
		w.talk(g, 1)
		w.looksTwice(b)
		w.wantSessions(g, "1@0 2@0")
		stopB()
	})
}

func TestAnotherTakesOverAfterACrash(t *testing.T) {
	onMySQL(t, func(w *world) {
		crashed := &watched{Store: w.Store, deaf: true}
		stop := w.begin(crashed, 2*time.Second)
		w.looksTwice(crashed)
		stop()
		g := w.group(1, 2)
		w.talk(g, 1)
		next := &watched{Store: w.Store}
		stop = w.begin(next, hour)
		w.looksTwice(next)
		w.wantSessions(g, "1@0 2@0")
		stop()
	})
}

func TestLeasesGoByTheClockOfTheDatabase(t *testing.T) {
	onMySQL(t, func(w *world) {
		for range 2 {
			if !w.holds("a", hour) {
				w.Error("a does not get the lease, or cannot renew it")
			}
		}
		w.at.Add(100 * 3600) // ours does not count
		if w.holds("b", hour) {
			w.Error("b gets the lease while a has it")
		}
		if err := w.ReleaseLease(w.Context(), "groupsync", "b"); err != nil || w.holds("b", hour) {
			w.Errorf("b released a's lease: %v", err)
		}
		w.raw.Run("UPDATE IMProxyLease SET expires=UNIX_TIMESTAMP()")
		if !w.holds("b", hour) || w.holds("a", hour) {
			w.Error("b does not have the lease that has expired")
		}
		if err := w.ReleaseLease(w.Context(), "groupsync", "b"); err != nil || !w.holds("a", hour) {
			w.Errorf("a does not get the lease that b gave up: %v", err)
		}
	})
}

func TestManyAskForALeaseAtOnceAndOneGetsIt(t *testing.T) {
	onMySQL(t, func(w *world) {
		var asking sync.WaitGroup
		held := make([]bool, 12)
		for i := range held {
			asking.Go(func() { held[i] = w.holds(fmt.Sprint(i), hour) })
		}
		asking.Wait()
		if n := len(slices.DeleteFunc(held, func(held bool) bool { return !held })); n != 1 {
			w.Errorf("%d got the lease", n)
		}
	})
}

// holds has somebody ask for the lease of the group sync.
func (w *world) holds(who string, lasts time.Duration) bool {
	w.Helper()
	held, err := w.HoldLease(w.Context(), "groupsync", who, lasts)
	if err != nil {
		w.Error(err)
	}
	return held
}
