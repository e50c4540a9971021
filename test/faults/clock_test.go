package faults

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// TestMessageServersClocksApart has message servers whose clocks are ten minutes apart, and one
// whose clock jumps by an hour, send in the same talks. Ids, and the order of pages, are those in
// which the messages were stored.
func TestMessageServersClocksApart(t *testing.T) {
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		const each = 60
		w.Start(t)
		sent := audit.NewLedger()
		g := rig.Call[*impb.IMGroupCreateRsp](t, w.Dial(t, 0),
			rig.NewGroup(1, 1, 2, 3)).GetGroupId()
		clocks := []func(i int) time.Duration{
			func(int) time.Duration { return 0 },
			func(int) time.Duration { return -10 * time.Minute },
			func(int) time.Duration { return 10 * time.Minute },
			func(i int) time.Duration { return time.Duration(i%3-1) * time.Hour },
		}
		var servers sync.WaitGroup
		for s, clock := range clocks {
			c := w.Dial(t, s)
			servers.Go(func() {
				for i := range each {
					at := proto.Uint32(uint32(time.Now().Add(clock(i)).Unix()))
					for k, req := range map[lines.Talk]*impb.IMMsgData{
						lines.PairTalk(1, 2): rig.PairText(1, 2, fmt.Sprintf("pair %d %d", s, i)),
						lines.GroupTalk(g): rig.GroupText(uint32(1+s%3), g,
							fmt.Sprintf("group %d %d", s, i)),
					} {
						req.CreateTime = at
						above := sent.Highest(k)
						answer,
							err := client.Call[*impb.IMMsgData](context.WithoutCancel(t.Context()),
							c, req)
						if err != nil {
							t.Error(err)
							return
						}
						if answer.GetMsgId() <= above || answer.GetCreateTime() != *at {
							t.Errorf("%v after id %d is answered %v", k, above, answer)
						}
						sent.Answered(k, answer)
					}
				}
			})
		}
		servers.Wait()
		rows := audit.Check(t, w, sent)
		c := w.Dial(t, 1)
		audit.CheckPaging(t, c, lines.PairTalk(1, 2), rows[lines.PairTalk(1, 2)])
		if n := audit.UnreadOf(t, c, 2, 1, rig.Pair); n != each*len(clocks) {
			t.Errorf("%d of %d are unread", n, each*len(clocks))
		}
	})
}
