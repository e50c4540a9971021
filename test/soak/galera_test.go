//go:build !race

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestGaleraLoad has load of all kinds on two nodes of a Galera at the same time, in the same
// talks: messages to pairs and groups, first messages, acks, members who come and go, sessions
// removed, and doctors that repair. Nothing breaks. Nothing is lost, doubled or out of order, and
// next to nothing is refused, though of two nodes that commit the same talk one has to run its
// batch again.
func TestGaleraLoad(t *testing.T) {
	t.Parallel()
	s := newGaleraSoak(t)
	s.Start(t)
	s.noteAddrs()
	s.people(t)
	s.Fleet.AwaitNodes(t)
	lasts := rig.Seconds(6, 60)
	ctx, cancel := context.WithTimeout(t.Context(), lasts+10*rig.Patience)
	defer cancel()
	s.ctx, s.began = ctx, time.Now()
	var load sync.WaitGroup
	s.load(&load)
	for i := range s.Proxies {
		load.Go(func() { s.keep(i, func(v *soakVisit) { v.remove() }) })
	}
	load.Go(func() { s.meet(t) })
	load.Go(func() { s.doctors(t) })
	s.pause(lasts)
	close(s.halt)
	load.Wait()
	if ctx.Err() != nil {
		t.Errorf("the load did not end: %v", context.Cause(ctx))
	}
	s.auditAll(t)
	done, refused := 0, 0
	for kind, n := range s.outcomes {
		t.Logf("%s: %d done, %d refused, %d without answer, %d lost, the slowest after %v",
			kind, n.done, n.refused,
			n.silent, n.lost, n.slowest.Round(time.Millisecond))
		done, refused = done+n.done, refused+n.failed()
	}
	if refused*100 >= done {
		t.Errorf("%d requests were done, %d were not", done, refused)
	}
	rig.Guarantee(t, fmt.Sprintf("two nodes of Galera write in the same talks for %v", rig.Short(lasts)),
		fmt.Sprintf("%d requests done, %d refused or without answer", done, refused), "0 s")
}

func newGaleraSoak(t *testing.T) *soak {
	t.Helper()
	return &soak{
		Setup: rig.OnGalera(t, servers.StartGalera(t)), brief: !rig.FullFaults(), halt: make(chan struct{}),
		sent: audit.NewLedger(), open: make(map[string]bench.Talk), refused: make(map[string]bench.Talk),
		sounds: make(map[bench.Talk]map[uint32]string), outcomes: make(map[string]*soakTally),
		now: new(soakFault),
	}
}

// remove removes a session of a pair that others write to.
func (v *soakVisit) remove() {
	k := load.CrashPairs[rand.IntN(len(load.CrashPairs))]
	req := &impb.IMRemoveSessionReq{UserId: &k.Low, SessionType: rig.Pair.Enum(), SessionId: &k.High}
	begun := time.Now()
	if _, err := v.c.Call(v.s.ctx, req); err != nil && v.on() {
		v.s.sent.Fault(fmt.Sprintf("the removal of a session had no answer after %v: %v",
			time.Since(begun), err))
	}
}

// meet has pairs send their first messages at the same time, one user through each proxy.
func (s *soak) meet(t *testing.T) {
	for n := uint32(0); s.on(); n++ {
		k := bench.PairTalk(30000+2*n, 30001+2*n)
		var sending sync.WaitGroup
		for i := range s.Proxies {
			v := s.visit(s.ctx, i)
			if v == nil {
				t.Errorf("proxy %d took no connection", i)
				return
			}
			sending.Go(func() {
				defer v.leave()
				for range 3 {
					v.store(k, rig.PairText(k.Low, k.High, ""))
				}
			})
		}
		sending.Wait()
	}
}

// doctors has a doctor repair through each node in turn, what a race of original servers has left,
// and in the end nothing is wrong.
func (s *soak) doctors(t *testing.T) {
	for i := 0; ; i++ {
		wrong := s.on()
		if wrong {
			s.miscount(t, s.groups[i%len(s.groups)])
		}
		conf := rig.WriteConfig(t, s.Fleet.ConfAt(i))
		text, err := harness.Run(rig.Within(t), rig.Binary, "", "doctor", "--repair", "--yes", "--config", conf)
		if err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		if !wrong {
			return
		}
	}
}

// miscount makes a group's number of members wrong. Others write that row, too, and may come first.
func (s *soak) miscount(t *testing.T, group uint32) {
	const query = "UPDATE IMGroup SET userCnt = userCnt + 1 WHERE id = ?"
	for {
		_, err := s.DB.ExecContext(rig.Within(t), query, group)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), rig.Deadlock) {
			t.Errorf("%s: %v", query, err)
			return
		}
	}
}
