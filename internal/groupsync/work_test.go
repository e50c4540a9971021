package groupsync_test

import (
	"slices"
	"strings"
	"testing"
)

func TestTalkThatWasShownIsNotLookedAtAgain(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.talk(g, 1)
		s := &watched{Store: w.Store}
		stop := w.begin(s, hour)
		w.looksTwice(s)
		w.looksTwice(s)
		if n := s.asked.Load(); n != 1 {
			w.Errorf("%d times for the first talk", n)
		}
		w.at.Add(1)
		w.talk(g, 1)
		w.looksTwice(s)
		w.looksTwice(s)
		if n := s.asked.Load(); n != 2 {
			w.Errorf("%d times for two", n)
		}
		stop()
		w.wantSessions(g, "1@1 2@1")
	})
}

func TestWhoJoinsInTheSecondOfTalkThatWasShownIsShownTheNext(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.talk(g, 1)
		s := &watched{Store: w.Store}
		stop := w.begin(s, hour)
		w.looksTwice(s)
		if _, _, err := w.AddMembers(w.Context(), g, []uint32{3}, uint32(w.at.Load())); err != nil {
			w.Fatal(err)
		}
		w.talk(g, 2) // the time of last talk stays
		w.looksTwice(s)
		stop()
		w.wantSessions(g, "1@0 2@0 3@0")
	})
}

func TestTalkStoredByAClockThatIsBehindIsShown(t *testing.T) {
	rule(t, func(w *world) {
		g, other := w.group(1, 2), w.group(1, 2)
		w.talk(g, 1)
		s := &watched{Store: w.Store}
		stop := w.begin(s, hour)
		w.looksTwice(s)
		w.raw.Run("UPDATE IMGroup SET lastChated=?", 100_000-40) // by a clock that is behind
		w.looksTwice(s)
		stop()
		w.wantSessions(g, "1@0 2@0")
		w.wantSessions(other, "1@-40 2@-40")
	})
}

func TestAClockThatWasSetBackMissesNothing(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.look()
		w.at.Add(-3600)
		w.talk(g, 1)
		w.look()
		w.wantSessions(g, "1@-3600 2@-3600")
	})
}

func TestAGroupThatFailedIsDoneAgainAndOthersAreNot(t *testing.T) {
	rule(t, func(w *world) {
		g, other := w.group(1, 2), w.group(1, 2)
		w.talk(g, 1)
		w.talk(other, 1)
		times := make(map[uint32]int) // only the loop touches it
		s := &watched{Store: w.Store, before: func(group uint32) error {
			if times[group]++; times[g] < 3 && group == g {
				return errFault
			}
			return nil
		}}
		stop := w.begin(s, hour)
		w.looksTwice(s)
		stop()
		if times[g] != 3 || times[other] != 1 {
			w.Errorf("the group that failed twice was tried %d times, the other %d times", times[g],
				times[other])
		}
		w.wantSessions(g, "1@0 2@0")
		w.wantSessions(other, "1@0 2@0")
	})
}

func TestTheNumberOfStatementsDoesNotGrowWithTheMembers(t *testing.T) {
	const (
		// Take the lease, read the mark, find the groups, begin, set the mark, commit, give up the
		// lease.
		perLook  = 7
		perGroup = 1 // who is behind
		// Begin, write, lock, read, insert (in powers of two, which are counted once), update,
		// commit.
		perPart = 7
	)
	onMySQL(t, func(w *world) {
		w.raw.Run("SET GLOBAL log_output='TABLE'")
		w.raw.Run("SET GLOBAL general_log=1")
		defer w.raw.Run("SET GLOBAL general_log=0")
		for parts := range 5 {
			var members []uint32
			for u := range uint32(500 * parts) {
				members = append(members, 1+u)
			}
			s := &watched{Store: w.Store}
			w.lookOnce(s) // there is a lease and a mark, and what was before is past
			if parts > 0 {
				w.sessionsOfHalf(w.group(members...), members)
			}
			before := len(w.statements())
			w.lookOnce(s)
			want := perLook + min(parts, 1)*perGroup + parts*perPart
			inserts := func(s string) bool {
				return strings.HasPrefix(s, "INSERT INTO IMRecentSession")
			}
			ran := slices.CompactFunc(w.statements()[before:], func(x, y string) bool {
				return inserts(x) && inserts(y)
			})
			if len(ran) != want {
				w.Errorf("%d statements for %d members, want %d:\n%s", len(ran), len(members), want,
					strings.Join(ran, "\n"))
			}
			before = len(w.statements())
			w.lookOnce(s) // another process, as it knows nothing
			if ran := w.statements()[before:]; len(ran) != perLook+min(parts, 1)*perGroup {
				w.Errorf("%d statements where nothing is to do:\n%s", len(ran),
					strings.Join(ran, "\n"))
			}
			w.at.Add(1000)
		}
	})
}

// sessionsOfHalf has every second member of a group have a session already, and somebody talk.
func (w *world) sessionsOfHalf(group uint32, members []uint32) {
	w.Helper()
	var half []uint32
	for i := 0; i < len(members); i += 2 {
		half = append(half, members[i])
	}
	if err := w.SyncSessions(w.Context(), group, half, 1); err != nil {
		w.Fatal(err)
	}
	w.raw.Run("UPDATE IMGroup SET lastChated=? WHERE id=?", w.at.Load(), group)
	if users, err := w.Behind(w.Context(), group, uint32(w.at.Load())); err != nil ||
		len(users) != len(members) {
		w.Fatalf("%d of %d members are behind, %v", len(users), len(members), err)
	}
}

// statements are all that the store has run, by the server's log, which is written before they run.
func (w *world) statements() []string {
	w.Helper()
	return w.raw.Rows(`SELECT SUBSTR(argument,1,200) FROM mysql.general_log
 WHERE user_host LIKE CONCAT(DATABASE(),'[%') AND command_type IN ('Query','Execute')`)
}
