package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// TestRedisLosesItsLast has Redis come back without the last it had taken, as it does after a
// crash, or a failover. Nobody writes in those talks any more, and still they are counted again.
// Where it lost more than that, because the machine was slow, the proxies notice, and fill what
// they are asked for: that is not what this test is about, and it tries again.
func TestRedisLosesItsLast(t *testing.T) {
	t.Parallel()
	const pairs = 20
	f, redis := rig.NewRedisFleet(t)
	w := rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 2)
	w.Start(t)
	sent := audit.NewLedger()
	clients := []*client.Client{w.Dial(t, 0), w.Dial(t, 1)}
	say := func(i uint32, text string) {
		sent.Answered(lines.PairTalk(i, 500+i), rig.Call[*impb.IMMsgData](t, clients[i%2],
			rig.PairText(i, 500+i, fmt.Sprint(text, " ", i))))
	}
	checkUnread := func(when string) {
		for i := range uint32(pairs) {
			want := int(sent.Highest(lines.PairTalk(1+i, 501+i)))
			if n := audit.UnreadOf(t, clients[i%2], 501+i, 1+i, rig.Pair); n != want {
				t.Errorf("pair %d has %d unread %s, want %d", i, n, when, want)
			}
		}
	}
	lostMore := func() int {
		return strings.Count(w.Proxy(0).Log.String()+w.Proxy(1).Log.String(),
			"Redis and the records disagree")
	}
	for i := range uint32(pairs) {
		say(1+i, "before")
	}
	for try, lost := 1, uint32(pairs); ; try, lost = try+1, max(1, lost/2) {
		known := lostMore()
		redis.Do(t, "SAVE")
		for i := range lost {
			say(1+i, fmt.Sprint("lost by Redis ", try))
		}
		begun := time.Now()
		redis.Restart(t)
		f.Redis = rig.DialRedis(t, redis, 1)
		checkUnread("at once")
		positions := audit.Positions(t, w)
		rig.Await(t, "what Redis lost", func() bool {
			return lostMore() > known || audit.KeysDiffer(t, w, positions, false) == ""
		})
		if lostMore() == known {
			rig.Guarantee(t, "Redis: back without the last it was told", "nothing",
				fmt.Sprint("nothing; Redis agrees with the tables after ",
					time.Since(begun).Round(time.Millisecond)))
			break
		}
		if try == 10 {
			t.Fatal("Redis always lost more than the last")
		}
		audit.Touch(t, w, sent)
		rig.Await(t, "what Redis lost", func() bool {
			audit.AskUnread(t, w)
			return audit.KeysDiffer(t, w, audit.Positions(t, w), false) == ""
		})
	}
	audit.Check(t, w, sent)
	checkUnread("in the end")
}
