package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestRedisLosesItsLast has Redis come back without the last it had taken, as it does after a crash, or a failover. Nobody
// writes in those talks any more, and still they are counted again. Where it lost more than that, because the machine was
// slow, the proxies notice, and fill what they are asked for: that is not what this test is about, and it tries again.
func TestRedisLosesItsLast(t *testing.T) {
	t.Parallel()
	const pairs = 20
	f, redis := newRedisFleet(t)
	w := openFleet(t, f)
	w.proxies = make([]*harness.Proxy, 2)
	w.start(t)
	sent := newLedger()
	clients := []*client.Client{w.dial(t, 0), w.dial(t, 1)}
	say := func(i uint32, text string) {
		sent.answered(pairTalk(i, 500+i), call[*impb.IMMsgData](t, clients[i%2], pairText(i, 500+i, fmt.Sprint(text, " ", i))))
	}
	checkUnread := func(when string) {
		for i := range uint32(pairs) {
			want := int(sent.highest(pairTalk(1+i, 501+i)))
			if n := unreadOf(t, clients[i%2], 501+i, 1+i, pair); n != want {
				t.Errorf("pair %d has %d unread %s, want %d", i, n, when, want)
			}
		}
	}
	lostMore := func() int {
		return strings.Count(w.proxy(0).Log.String()+w.proxy(1).Log.String(), "Redis and the records disagree")
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
		f.redis = dialRedis(t, redis, 1)
		checkUnread("at once")
		positions := w.positions(t)
		await(t, "what Redis lost", func() bool { return lostMore() > known || w.keysDiffer(t, positions, false) == "" })
		if lostMore() == known {
			guarantee(t, "Redis: back without the last it was told", "nothing",
				fmt.Sprint("nothing; Redis agrees with the tables after ", time.Since(begun).Round(time.Millisecond)))
			break
		}
		if try == 10 {
			t.Fatal("Redis always lost more than the last")
		}
		w.touch(t, sent)
		await(t, "what Redis lost", func() bool { w.askUnread(t); return w.keysDiffer(t, w.positions(t), false) == "" })
	}
	w.audit(t, sent)
	checkUnread("in the end")
}
