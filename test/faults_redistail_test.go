package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/harness"
)

// TestRedisLosesItsLast has Redis come back without the last it had taken, as it does after a crash, or a failover. Nobody
// writes in those talks any more, and still they are counted again.
func TestRedisLosesItsLast(t *testing.T) {
	t.Parallel()
	const pairs = 20
	f, redis := newRedisFleet(t)
	w := openFleet(t, f)
	w.proxies = make([]*harness.Proxy, 2)
	w.start(t, "--wait")
	sent := newLedger()
	clients := []*client.Client{w.dial(t, 0), w.dial(t, 1)}
	say := func(i uint32, text string) {
		sent.answered(pairTalk(i, 500+i), call[*impb.IMMsgData](t, clients[i%2], pairText(i, 500+i, fmt.Sprint(text, " ", i))))
	}
	for i := range uint32(pairs) {
		say(1+i, "before")
	}
	redis.Do(t, "SAVE")
	for i := range uint32(pairs) {
		say(1+i, "lost by Redis")
	}
	begun := time.Now()
	redis.Restart(t)
	f.redis = dialRedis(t, redis, 1)
	for i := range uint32(pairs) {
		if n := unreadOf(t, clients[i%2], 501+i, 1+i, pair); n != 2 {
			t.Errorf("pair %d has %d unread", i, n)
		}
	}
	w.audit(t, sent)
	for i := range uint32(pairs) {
		if n := unreadOf(t, clients[i%2], 501+i, 1+i, pair); n != 2 {
			t.Errorf("pair %d has %d unread in the end", i, n)
		}
	}
	guarantee(t, "Redis: back without the last it was told", "nothing",
		fmt.Sprint("nothing; Redis agrees with the tables after ", time.Since(begun).Round(time.Millisecond)))
}
