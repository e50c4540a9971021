package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestKilledUnderLoad kills a proxy (kill -9) ten times while many connections send messages and read acks, starts it
// again on the same store each time, and audits what is stored: everything answered is there once, as it was sent, under
// the id it was answered with; ids never go back; and unread counters say what the rows say. Where several proxies are at
// work, the others go on meanwhile, and answer everything.
func TestKilledUnderLoad(t *testing.T) {
	rounds := rig.InFull(20, 10)
	if rig.UnderRace {
		rounds = 4
	}
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		l := load.NewCrash(t)
		l.Sent.Gaps = w.Data == "" // where Redis keeps the ids that a proxy had reserved
		var back time.Duration
		for range rounds {
			back = max(back, l.StartAgain(t, w))
			l.Prepare(t, w.Proxy(0))
			victim := w.Proxy(rand.IntN(len(w.Proxies)))
			l.Run(t, w, victim, func(ctx context.Context) {
				l.Await(ctx, 500+rand.IntN(1000))
				victim.Kill()
				if len(w.Proxies) > 1 {
					l.Await(ctx, 200)
				}
			})
		}
		back = max(back, l.StartAgain(t, w))
		rows := audit.Check(t, w, l.Sent)
		stored := 0
		for _, list := range rows {
			stored += len(list)
		}
		answered := l.Sent.Acknowledged()
		t.Logf("%d messages were answered; %d were not, %d of them are stored", answered, l.Failed.Load(), stored-answered)
		rig.Guarantee(t, fmt.Sprintf("one of %d proxies killed (kill -9) %d times", len(w.Proxies), rounds),
			fmt.Sprintf("%d messages answered; %d on its connections not, of which %d are stored; none on others", answered,
				l.Failed.Load(), stored-answered), fmt.Sprint(back.Round(time.Millisecond), " at most, from its start to a message answered"))
		l.AuditUnread(t, w.Proxy(0), rows)
		if n := rig.Count(t, w.DB, "SELECT count(*) FROM IMRelationShip"); n != len(load.CrashPairs)+load.PairReaders {
			t.Errorf("%d relations for %d pairs", n, len(load.CrashPairs)+load.PairReaders)
		}
		if n := rig.Count(t, w.DB, "SELECT count(*) FROM IMRecentSession WHERE type = 1"); n != 2*(len(load.CrashPairs)+load.PairReaders) {
			t.Errorf("%d sessions of %d pairs", n, len(load.CrashPairs)+load.PairReaders)
		}
	})
}
