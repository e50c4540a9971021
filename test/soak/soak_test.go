//go:build !race

package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

var (
	soakFor = flag.Duration("soak", 15*time.Second,
		"how long TestSoak has load; from 2m on with a fault every 30s")
	soakReport = flag.String("soakreport", "", "the `file` that TestSoak writes its report to")
)

// soak is load of all kinds on a few proxies, while one thing after the other breaks. Its fields
// belong to the test's goroutine, but for those that mu guards.
type soak struct {
	*rig.Setup
	*load.Load
	brief              bool                    // faults last a second, and come at once
	mysql, replica     *servers.DatabaseServer // on Galera nil, as are all that follow
	redis              *servers.Redis
	toMySQL, toReplica *faultproxy.Proxy
	toRedis            *faultproxy.Proxy

	began time.Time // the load

	mu      sync.Mutex // guards samples, which a goroutine of watch adds
	samples []soakSample
}

// TestSoak breaks something every 30 seconds, drawn from all that can break, under mixed load on
// three proxies, on MySQL with a replica, Redis and msfs. Nothing is lost or doubled, service is
// back by itself after each fault, and memory and goroutines of the proxy that lives through it all
// do not grow.
func TestSoak(t *testing.T) {
	if *soakFor < 2*time.Minute {
		t.Parallel()
	}
	s := newSoak(t)
	s.Start(t, "--admin", "127.0.0.1:0")
	var happened []*soakFault
	s.Run(t, func(ctx context.Context) {
		s.began = time.Now()
		stop := s.watch(ctx, t)
		defer stop()
		happened = s.breakThings(t)
	})
	s.Audit(t, true)
	audit.Resources(t, s.Setup)
	if !s.brief {
		s.auditFlat(t)
	}
	verdict := "Passed: nothing was lost, doubled, out of order or counted wrong."
	if t.Failed() {
		verdict = "FAILED: the test's output says what was found."
	}
	report := fmt.Sprintf("%s, %s\n\n%s\n%s\n",
		s.began.Format(time.DateTime), runtime.Version(), s.report(happened), verdict)
	t.Log("\n" + report)
	if *soakReport != "" {
		if err := os.WriteFile(*soakReport, []byte(report), 0o600); err != nil {
			t.Error(err)
		}
	}
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{
		mysql: servers.StartMariaDB(t, "--server-id=1", "--log-bin=binlog"),
		redis: servers.StartRedis(t), brief: *soakFor < 2*time.Minute,
	}
	f := rig.NewFleetOn(t, s.mysql)
	s.replica = servers.Replica(t, s.mysql, 0)
	s.toMySQL, s.toReplica = faultproxy.New(t, s.mysql.Addr()), faultproxy.New(t, s.replica.Addr())
	s.toRedis = faultproxy.New(t, s.redis.Addr())
	f.Conf.Replica = f.Conf.MySQL
	f.Conf.MySQL.Port = faultproxy.PortOf(t, s.toMySQL)
	f.Conf.Replica.Port = faultproxy.PortOf(t, s.toReplica)
	port := fmt.Sprint(faultproxy.PortOf(t, s.toRedis))
	f.Conf.Redis = map[string]string{"host": "127.0.0.1", "port": port}
	f.Redis = rig.DialRedis(t, s.redis, 1)
	s.Setup = rig.OpenFleet(t, f)
	s.Proxies, s.Flushed = make([]*harness.Proxy, 3), true
	s.Load = s.mixed(*soakFor)
	return s
}

// mixed makes the load, which lasts so long.
func (s *soak) mixed(lasts time.Duration) *load.Load {
	profile := load.Mixed()
	if !s.brief {
		profile.Latest = rig.RequestLimit + 10*time.Second
	}
	l := load.New(s.Setup, profile)
	l.Limit = lasts + 10*rig.Patience
	return l
}

// last waits for as long as a fault is to last.
func (s *soak) last(d time.Duration) {
	if s.brief {
		d = time.Second
	}
	rig.Pause(s.Ctx, d)
}

// anew starts the proxy that has ended.
func (s *soak) anew(t *testing.T) {
	s.Start(t, "--admin", "127.0.0.1:0")
	s.Find()
}

// victim is one of the proxies that may be ended: the first one lives on, so that its memory can be
// watched.
func (s *soak) victim() *harness.Proxy { return s.Proxies[1+rand.IntN(len(s.Proxies)-1)] }

// soakFaults is all that can happen.
var soakFaults = []struct {
	name   string
	happen func(t *testing.T, s *soak)
}{
	{"proxy killed (kill -9), restarted", func(t *testing.T, s *soak) {
		s.victim().Kill()
		s.anew(t)
	}},
	{"proxy stopped (SIGTERM), restarted", func(t *testing.T, s *soak) {
		p := s.victim()
		if err := p.Stop(s.Ctx); err != nil {
			t.Error(err)
		}
		s.anew(t)
	}},
	{"MySQL killed for 3 s", func(t *testing.T, s *soak) {
		s.mysql.Kill(t)
		s.last(3 * time.Second)
		s.mysql.Restart(t)
	}},
	{"MySQL frozen for 5 s", func(t *testing.T, s *soak) {
		s.mysql.Freeze(t)
		s.last(5 * time.Second)
		s.mysql.Thaw(t)
	}},
	{"MySQL's connections cut", func(_ *testing.T, s *soak) { s.toMySQL.Cut() }},
	{"every 5th COMMIT cut before it ran, 5 s", func(_ *testing.T, s *soak) {
		shot := s.toMySQL.BeforeMySQL(faultproxy.IsCommit, faultproxy.Every(5))
		s.last(5 * time.Second)
		shot.Disarm()
	}},
	{"every 5th COMMIT cut after it ran, 5 s", func(_ *testing.T, s *soak) {
		shot := s.toMySQL.AfterMySQL(faultproxy.IsCommit, faultproxy.Every(5))
		s.last(5 * time.Second)
		shot.Disarm()
	}},
	{"MySQL 200 ms away for 5 s", func(_ *testing.T, s *soak) { s.faraway(s.toMySQL) }},
	{"replica stopped for 5 s", func(t *testing.T, s *soak) {
		s.replica.Kill(t)
		s.last(5 * time.Second)
		s.replica.Restart(t)
	}},
	{"replica frozen for 5 s", func(t *testing.T, s *soak) {
		s.replica.Freeze(t)
		s.last(5 * time.Second)
		s.replica.Thaw(t)
	}},
	{"Redis killed for 3 s, back with old data", func(t *testing.T, s *soak) {
		s.redis.Do(t, "SAVE")
		s.last(3 * time.Second)
		s.redis.Kill(t)
		s.last(3 * time.Second)
		s.redis.Restart(t)
	}},
	{"Redis restarted empty", func(t *testing.T, s *soak) {
		answer := s.redis.Do(t, "CONFIG", "GET", "dir")
		dir, err := answer.AsStrMap()
		if err != nil {
			t.Fatal(err)
		}
		// What another fault has saved.
		if err := os.RemoveAll(filepath.Join(dir["dir"], "dump.rdb")); err != nil {
			t.Fatal(err)
		}
		s.redis.Restart(t)
	}},
	{"Redis frozen for 5 s", func(t *testing.T, s *soak) {
		s.redis.Freeze(t)
		s.last(5 * time.Second)
		s.redis.Thaw(t)
	}},
	{"Redis flushed", func(t *testing.T, s *soak) { s.redis.Do(t, "FLUSHALL") }},
	{"Redis' connections cut", func(_ *testing.T, s *soak) { s.toRedis.Cut() }},
	{"Redis 200 ms away for 5 s", func(_ *testing.T, s *soak) { s.faraway(s.toRedis) }},
	{"msfs down for 5 s", func(_ *testing.T, s *soak) {
		s.Fleet.Files.Trouble(msfs.Trouble{Down: true})
		s.last(5 * time.Second)
		s.Fleet.Files.Trouble(msfs.Trouble{})
	}},
}

func (s *soak) faraway(p *faultproxy.Proxy) {
	p.Delay(200 * time.Millisecond)
	s.last(5 * time.Second)
	p.Delay(0)
}

// soakFault is one that happened.
type soakFault struct {
	name         string
	begun, ended time.Time
	probed       time.Duration // from its end until all proxies did all they were asked

	// Of the requests from then on until the next fault; report counts them.
	tally  load.Tally
	failed time.Time // when the last one was sent that failed
}

// normal is how long after the end of the fault the last request was sent that failed, and all
// proxies served again.
func (f *soakFault) normal() time.Duration { return max(f.probed, f.failed.Sub(f.ended)) }

// breakThings has one thing after the other break, all of them before any does so again, and
// returns what happened.
func (s *soak) breakThings(t *testing.T) (happened []*soakFault) {
	every, quiet := 30*time.Second, 20*time.Second
	if s.brief {
		every, quiet = 2*time.Second, 2*time.Second
	}
	end := s.began.Add(*soakFor)
	var deck []int
	for next := s.began.Add(every); next.Before(end.Add(-quiet)); next = next.Add(every) {
		rig.Pause(s.Ctx, time.Until(next))
		if len(deck) == 0 {
			deck = rand.Perm(len(soakFaults))
		}
		what := soakFaults[deck[0]]
		deck = deck[1:]
		f := &soakFault{name: what.name, begun: time.Now()}
		what.happen(t, s)
		f.ended = time.Now()
		s.probe(t, f)
		happened = append(happened, f)
		t.Logf("%v: %s: served again after %v",
			f.begun.Sub(s.began).Round(time.Second), f.name, f.probed.Round(time.Millisecond))
	}
	rig.Pause(s.Ctx, time.Until(end))
	return happened
}

// probe waits until each proxy has stored a message, and answered with it, on a connection of its
// own.
func (s *soak) probe(t *testing.T, f *soakFault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.Ctx, rig.Patience)
	defer cancel()
	var probing sync.WaitGroup
	for i := range s.Proxies {
		probing.Go(func() {
			for !s.serves(i) {
				if ctx.Err() != nil {
					t.Errorf("%s: proxy %d does not serve %v later", f.name, i, rig.Patience)
					return
				}
				rig.Pause(ctx, 10*time.Millisecond)
			}
		})
	}
	probing.Wait()
	f.probed = time.Since(f.ended)
}

// serves asks a proxy for both.
func (s *soak) serves(i int) bool {
	c, err := s.Load.Dial(i)
	if err != nil {
		return false
	}
	defer c.Close()
	k := lines.PairTalk(20000+uint32(i), 21000)
	id, _ := c.Store(k, k.Message(k.Low))
	return id != 0 && s.Shows(c, k, id)
}
