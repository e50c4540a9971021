//go:build !race

package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestAllPathsSlow has every answer of MySQL, Redis and msfs come 200 ms later, under load, and
// under more load than can be served then. What cannot be done in time is refused in time, queues
// stay within their bounds, and nothing collapses.
func TestAllPathsSlow(t *testing.T) {
	t.Parallel()
	const longer = 100 * time.Millisecond // each way
	f, redis := rig.NewRedisFleet(t)
	observed(f)
	toMySQL, toRedis, toMsfs := faultproxy.New(t, net.JoinHostPort(f.DB.Host,
		strconv.Itoa(f.DB.Port))), faultproxy.New(t, redis.Addr()),
		faultproxy.New(t, f.Files.Addr())
	f.Conf.MySQL.Host, f.Conf.MySQL.Port = hostPort(t, toMySQL.Addr())
	host, port := hostPort(t, toRedis.Addr())
	f.Conf.Redis = map[string]string{"host": host, "port": strconv.Itoa(port)}
	f.Conf.Msfs = "http://" + toMsfs.Addr() + "/"
	w := rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 1)
	through(t, w, "200 ms on every path", func(ctx context.Context) {
		for _, line := range []*faultproxy.Proxy{toMySQL, toRedis, toMsfs} {
			line.Delay(longer)
			defer line.Delay(0)
		}
		rig.Pause(ctx, rig.Seconds(3, 20))
		flood(t, w, rig.InFull(6000, 1500))
	})
}

// A flood has floodConns connections, each of which sends to floodPairs pairs.
const floodConns, floodPairs = 8, 10

func floodText(i, k int, what string) *impb.IMMsgData {
	return rig.PairText(uint32(20_000+i), uint32(30_000+k%floodPairs),
		fmt.Sprintf("%s %d %d", what, i, k))
}

// flood sends far more messages at once than can be stored in time. Each must be answered, with an
// id or with none, but for those of which the proxy itself says that their outcome is uncertain: a
// COMMIT may take longer than any before it.
func flood(t *testing.T, w *rig.Setup, messages int) {
	t.Helper()
	var mu sync.Mutex
	stored, refused, missing, slowest := 0, 0, 0, time.Duration(0)
	latest := load.Faults().Latest
	const uncertain = `dbproxy_requests_total{command="IMMsgData",outcome="uncertain"}`
	before := rig.Metric(t, w.Proxy(0), uncertain)
	waits, cancel := context.WithTimeout(rig.Within(t), 2*latest)
	defer cancel()
	var flood sync.WaitGroup
	for i := range floodConns {
		c := w.Dial(t, i)
		for k := range messages / floodConns {
			flood.Go(func() {
				begun := time.Now()
				answer, err := client.Call[*impb.IMMsgData](waits, c, floodText(i, k, "flood"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					slowest = max(slowest, time.Since(begun))
				}
				switch {
				case errors.Is(err, context.DeadlineExceeded):
					missing++
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
		longest = max(longest, rig.Metric(t, w.Proxy(0), "dbproxy_queue_length"))
		select {
		case <-ended:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if limit := rig.Metric(t, w.Proxy(0), "dbproxy_queue_limit"); longest > limit {
		t.Errorf("%d changes waited, the limit is %d", longest, limit)
	}
	if stored == 0 {
		t.Error("none of them was stored")
	}
	if slowest > latest {
		t.Errorf("a message was answered after %v", slowest)
	}
	if n := rig.Metric(t, w.Proxy(0), uncertain) - before; missing > n {
		t.Errorf("%d messages are not answered; of %d the outcome is uncertain", missing, n)
	}
	t.Logf("of %d messages at once %d were stored, %d refused and %d not answered, the last after "+
		"%v; %d waited at most", messages, stored, refused, missing,
		slowest.Round(time.Millisecond), longest)
}
