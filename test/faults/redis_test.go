//go:build !race

package faults

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// redisFault is something that happens to Redis under load.
type redisFault struct {
	name string
	// gaps says that ids may be left out, because nobody can know whether Redis gave them out.
	gaps bool
	// loses says that Redis may not have all it had: what was lost comes back as it is touched.
	loses bool
	// single says that what is lost is single keys: counters may be wrong until it is noticed,
	// which takes a second.
	single bool
	// happen makes it happen, and end, while the load goes on.
	happen func(t *testing.T, s *siege)
}

// siege is a setup whose Redis is in trouble, with its load.
type siege struct {
	*rig.Setup
	load  *load.Load
	ctx   context.Context   // of the load
	redis *servers.Redis    // nil: a Redis of another kind
	line  *faultproxy.Proxy // between the proxies and it
}

// TestRedisFaults has things happen to Redis while proxies are at work. Nothing of that shows:
// every message is stored and answered, in order, unread counters are exact all the time, and Redis
// follows by itself.
func TestRedisFaults(t *testing.T) {
	for _, f := range []redisFault{
		{name: "killed, and back with its data", gaps: true, loses: true,
			happen: func(t *testing.T, s *siege) {
				s.redis.Do(t, "SAVE")
				s.redis.Kill(t)
				s.goOn(time.Second)
				s.redis.Restart(t)
			}},
		{name: "frozen", gaps: true, happen: func(t *testing.T, s *siege) {
			s.redis.Freeze(t)
			s.goOn(rig.InFull(10*time.Second, 3*time.Second))
			s.redis.Thaw(t)
		}},
		{name: "flushed", loses: true, happen: func(t *testing.T, s *siege) {
			for range rig.InFull(20, 3) {
				s.redis.Do(t, "FLUSHALL")
				s.goOn(300 * time.Millisecond)
			}
		}},
		{name: "restarted empty", gaps: true, loses: true, happen: func(t *testing.T, s *siege) {
			s.redis.Restart(t)
		}},
		{name: "restored from an old snapshot", gaps: true, loses: true,
			happen: func(t *testing.T, s *siege) {
				s.redis.Do(t, "SAVE")
				s.goOn(rig.InFull(10*time.Second, 2500*time.Millisecond)) // more than a beat
				s.redis.Restart(t)
			}},
		{name: "out of memory", gaps: true, happen: func(t *testing.T, s *siege) {
			s.redis.Do(t, "CONFIG", "SET", "maxmemory", "1")
			s.goOn(rig.InFull(10*time.Second, 2*time.Second))
			s.redis.Do(t, "CONFIG", "SET", "maxmemory", "0")
		}},
		{name: "evicting", gaps: true, loses: true, single: true,
			happen: func(t *testing.T, s *siege) {
				s.redis.Do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-random")
				for range rig.InFull(50, 5) {
					s.redis.Do(t, "CONFIG", "SET", "maxmemory",
						strconv.Itoa(s.redisSays(t, "used_memory")-20_000))
					s.goOn(200 * time.Millisecond)
				}
				rig.Await(t, "an eviction", func() bool {
					return s.redisSays(t, "evicted_keys") > 0
				})
				s.redis.Do(t, "CONFIG", "SET", "maxmemory", "0")
				s.awaitBeats(t, 5)
			}},
		{name: "its connections cut", gaps: true, happen: func(t *testing.T, s *siege) {
			for range rig.InFull(50, 5) {
				s.line.Cut()
				s.goOn(200 * time.Millisecond)
			}
		}},
		{name: "answers of scripts lost", gaps: true, happen: func(t *testing.T, s *siege) {
			shot := s.line.AfterRedis(isScript, faultproxy.Every(50))
			s.goOn(rig.InFull(10*time.Second, 2*time.Second))
			rig.Await(t, "a lost answer", func() bool { return shot.Fired() > 0 })
			shot.Disarm()
		}},
		{name: "scripts lost", happen: func(t *testing.T, s *siege) {
			shot := s.line.BeforeRedis(isScript, faultproxy.Every(50))
			s.goOn(rig.InFull(10*time.Second, 2*time.Second))
			rig.Await(t, "a lost script", func() bool { return shot.Fired() > 0 })
			shot.Disarm()
		}},
		{name: "scripts done seconds after they timed out", gaps: true,
			happen: func(t *testing.T, s *siege) {
				for range rig.InFull(10, 2) {
					shot := s.line.HoldRedis(isScript, faultproxy.Nth(1))
					rig.Await(t, "a script to hold", func() bool { return shot.Fired() > 0 })
					s.goOn(1500 * time.Millisecond)
					shot.Release()
				}
			}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			fleet, redis := rig.NewRedisFleet(t)
			line := faultproxy.New(t, redis.Addr())
			host, port := hostPort(t, line.Addr())
			fleet.Conf.Redis = map[string]string{"host": host, "port": strconv.Itoa(port)}
			s := newSiege(t, fleet)
			s.redis, s.line = redis, line
			s.under(t, f)
		})
	}
}

func isScript(args []string) bool { return args[0] == "EVALSHA" || args[0] == "EVAL" }

// newSiege makes one with two proxies, which are not started yet.
func newSiege(t *testing.T, f *rig.Fleet) *siege {
	t.Helper()
	observed(f)
	s := &siege{Setup: rig.OpenFleet(t, f)}
	s.Proxies = make([]*harness.Proxy, 2)
	return s
}

// goOn lets the load go on for a while, and do something in any case.
func (s *siege) goOn(d time.Duration) {
	begun := time.Now()
	s.load.Await(s.ctx, 50)
	for time.Since(begun) < d && s.ctx.Err() == nil {
		time.Sleep(min(20*time.Millisecond, d))
	}
}

// redisSays is a number that Redis shows with INFO.
func (s *siege) redisSays(t *testing.T, field string) int {
	t.Helper()
	info := s.redis.Do(t, "INFO")
	text, err := info.ToString()
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(text, "\n"+field+":")
	number, _, _ := strings.Cut(after, "\r")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// awaitBeats waits until the proxies have probed Redis so often: see
// internal/counters/redis/epoch.go.
func (s *siege) awaitBeats(t *testing.T, beats int) {
	t.Helper()
	beat := func() int {
		return rig.Count(t, s.DB,
			"SELECT coalesce(max(value), 0) FROM IMProxyMark WHERE name = 'beat:unread'")
	}
	enough := beat() + beats
	rig.Await(t, "the proxies' probes of Redis", func() bool { return beat() >= enough })
}

// under has a fault happen under load, and audits what it left.
func (s *siege) under(t *testing.T, f redisFault) {
	t.Helper()
	s.Start(t)
	profile := load.Crash()
	profile.Unsure = f.single
	s.load = load.New(s.Setup, profile)
	s.load.Sent.Gaps, s.Flushed = f.gaps, f.loses
	var meanwhile, afterwards string
	var back time.Duration
	s.load.Run(t, func(ctx context.Context) {
		s.ctx = ctx
		s.load.Await(ctx, rig.InFull(3000, 300))
		begun := time.Now()
		f.happen(t, s)
		ended := time.Now()
		meanwhile = s.load.Lap(begun, ended)
		s.load.Sent.Answered(lines.PairTalk(1, 2),
			rig.Submit(t, s.Dial(t, 1), rig.PairText(1, 2, "after "+f.name)))
		back = time.Since(ended)
		s.load.Await(ctx, rig.InFull(3000, 300))
		afterwards = s.load.Lap(ended, time.Now())
	})
	s.load.Audit(t, f.loses)
	audit.Resources(t, s.Setup)
	t.Logf("afterwards %v", afterwards)
	rig.Guarantee(t, "Redis: "+f.name,
		fmt.Sprint(meanwhile, "; ", s.load.Tolerated(),
			" refused for want of time, none otherwise"),
		fmt.Sprintf("%v (a message answered); Redis agrees with the tables %v after the load",
			back.Round(time.Millisecond), s.load.Agreed.Round(time.Millisecond)))
}
