//go:build !race

package test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestAllPathsSlow has every answer of MySQL, Redis and msfs come 200 ms later, under load, and under more load than can
// be served then. What cannot be done in time is refused in time, queues stay within their bounds, and nothing collapses.
func TestAllPathsSlow(t *testing.T) {
	t.Parallel()
	const longer = 100 * time.Millisecond // each way
	f, redis := newRedisFleet(t)
	observed(f)
	toMySQL, toRedis, toMsfs := faultproxy.New(t, net.JoinHostPort(f.db.Host, strconv.Itoa(f.db.Port))), faultproxy.New(t, redis.Addr()), faultproxy.New(t, f.files.Addr())
	f.conf.MySQL.Host, f.conf.MySQL.Port = hostPort(t, toMySQL.Addr())
	host, port := hostPort(t, toRedis.Addr())
	f.conf.Redis = map[string]string{"host": host, "port": strconv.Itoa(port)}
	f.conf.Msfs = "http://" + toMsfs.Addr() + "/"
	w := openFleet(t, f)
	w.proxies = make([]*harness.Proxy, 1)
	w.through(t, "200 ms on every path", func(ctx context.Context) {
		for _, line := range []*faultproxy.Proxy{toMySQL, toRedis, toMsfs} {
			line.Delay(longer)
			defer line.Delay(0)
		}
		pause(ctx, seconds(3, 20))
		w.flood(t, inFull(6000, 1500))
	})
}

// What a flood is made of: connections, each of which sends to so many pairs.
const floodConns, floodPairs = 8, 10

func floodText(i, k int, what string) *impb.IMMsgData {
	return pairText(uint32(20_000+i), uint32(30_000+k%floodPairs), fmt.Sprintf("%s %d %d", what, i, k))
}

// flood sends far more messages at once than can be stored in time. Each must be answered, with an id or with none.
func (w *place) flood(t *testing.T, messages int) {
	t.Helper()
	var mu sync.Mutex
	stored, refused, slowest := 0, 0, time.Duration(0)
	var flood sync.WaitGroup
	for i := range floodConns {
		c := w.dial(t, i)
		for k := range messages / floodConns {
			flood.Go(func() {
				begun := time.Now()
				answer, err := client.Call[*impb.IMMsgData](within(t), c, floodText(i, k, "flood"))
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, time.Since(begun))
				switch {
				case err != nil:
					t.Error(err)
				case answer.GetMsgId() == 0:
					refused++
				default:
					stored++
				}
			})
		}
	}
	longest := 0
	ended := make(chan struct{})
	go func() { defer close(ended); flood.Wait() }()
	for over := false; !over; {
		longest = max(longest, metric(t, w.proxy(0), "dbproxy_queue_length"))
		select {
		case <-ended:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if limit := metric(t, w.proxy(0), "dbproxy_queue_limit"); longest > limit {
		t.Errorf("%d changes waited, the limit is %d", longest, limit)
	}
	if stored == 0 {
		t.Error("none of them was stored")
	}
	if slowest > latestAnswer() {
		t.Errorf("a message was answered after %v", slowest)
	}
	t.Logf("of %d messages at once %d were stored and %d refused, the last after %v; %d waited at most", messages, stored, refused,
		slowest.Round(time.Millisecond), longest)
}
