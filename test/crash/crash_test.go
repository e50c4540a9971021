package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestKilledUnderLoad kills a proxy (kill -9) ten times while many connections send messages and
// read acks, starts it again on the same store each time, and audits what is stored: everything
// answered is there once, as it was sent, under the id it was answered with; ids never go back; and
// unread counters say what the rows say. Where several proxies are at work, the others go on
// meanwhile, and answer everything.
func TestKilledUnderLoad(t *testing.T) {
	rounds := rig.InFull(20, 10)
	if rig.UnderRace {
		rounds = 4
	}
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		l := load.New(w, load.Crash())
		l.Sent.Gaps = w.Data == "" // where Redis keeps the ids that a proxy had reserved
		var back time.Duration
		for range rounds {
			back = max(back, l.StartAgain(t))
			l.Victim = w.Proxy(rand.IntN(len(w.Proxies)))
			l.Run(t, func(ctx context.Context) {
				l.Await(ctx, 500+rand.IntN(1000))
				l.Victim.Kill()
				if len(w.Proxies) > 1 {
					l.Await(ctx, 200)
				}
			})
		}
		back = max(back, l.StartAgain(t))
		l.Audit(t, false)
		rig.Guarantee(t, fmt.Sprintf("one of %d proxies killed (kill -9) %d times", len(w.Proxies),
			rounds),
			fmt.Sprintf("%d messages answered; %d on its connections not; none on others",
				l.Sent.Acknowledged(), l.Victims()),
			fmt.Sprint(back.Round(time.Millisecond),
				" at most, from its start to a message answered"))
		pairs := len(load.Pairs) + l.PairReaders
		if n := rig.Count(t, w.DB, "SELECT count(*) FROM IMRelationShip"); n != pairs {
			t.Errorf("%d relations for %d pairs", n, pairs)
		}
		sessions := rig.Count(t, w.DB, "SELECT count(*) FROM IMRecentSession WHERE type = 1")
		if sessions != 2*pairs {
			t.Errorf("%d sessions of %d pairs", sessions, pairs)
		}
	})
}
