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

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
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
	s := &soak{Setup: rig.OnGalera(t, servers.StartGalera(t)), brief: !rig.FullFaults()}
	lasts := rig.Seconds(6, 60)
	s.Load = s.mixed(lasts)
	s.Removed = true
	s.Start(t)
	var others sync.WaitGroup
	s.Run(t, func(ctx context.Context) {
		for range s.Proxies {
			s.Go(s.remove)
		}
		halt, stop := context.WithTimeout(ctx, lasts)
		defer stop()
		others.Go(func() { s.meet(halt, t) })
		others.Go(func() { s.doctors(halt, t) })
		<-halt.Done()
		others.Wait()
	})
	s.Audit(t, true)
	var all load.Tally
	for kind, n := range s.outcomes() {
		t.Logf("%s: %+v", kind, *n)
		all.Done, all.Refused = all.Done+n.Done, all.Refused+n.Failed()
	}
	if all.Refused*100 >= all.Done {
		t.Errorf("%d requests were done, %d were not", all.Done, all.Refused)
	}
	rig.Guarantee(t, fmt.Sprintf("two nodes of Galera write in the same talks for %v",
		rig.Short(lasts)),
		fmt.Sprintf("%d requests done, %d refused or without answer", all.Done, all.Refused), "0 s")
}

// remove removes a session of a pair that others write to.
func (s *soak) remove(c *lines.Line) {
	k := load.Pairs[rand.IntN(len(load.Pairs))]
	req := &impb.IMRemoveSessionReq{UserId: &k.Low, SessionType: rig.Pair.Enum(),
		SessionId: &k.High}
	begun := time.Now()
	if _, err := c.Call(s.Ctx, req); err != nil && c.On() {
		s.Sent.Fault(fmt.Sprintf("the removal of a session had no answer after %v: %v",
			time.Since(begun), err))
	}
}

// meet has pairs send their first messages at the same time, one user through each proxy.
func (s *soak) meet(ctx context.Context, t *testing.T) {
	for n := uint32(0); ctx.Err() == nil; n++ {
		k := lines.PairTalk(30000+2*n, 30001+2*n)
		var sending sync.WaitGroup
		for i := range s.Proxies {
			c, err := s.Load.Dial(i)
			if err != nil {
				t.Error(err)
				return
			}
			sending.Go(func() {
				defer c.Close()
				for range 3 {
					c.Store(k, k.Message(k.Low))
				}
			})
		}
		sending.Wait()
	}
}

// doctors has a doctor repair through each node in turn, what a race of original servers has left,
// and in the end nothing is wrong.
func (s *soak) doctors(ctx context.Context, t *testing.T) {
	for i := 0; ; i++ {
		wrong := ctx.Err() == nil
		if wrong {
			s.miscount(t, s.Groups[i%len(s.Groups)])
		}
		conf := rig.WriteConfig(t, s.Fleet.ConfAt(i))
		text, err := harness.Run(rig.Within(t), rig.Binary, "", "doctor", "--repair", "--yes",
			"--config", conf)
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
