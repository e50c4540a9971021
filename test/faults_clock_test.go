package test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestMessageServersClocksApart has message servers whose clocks are ten minutes apart, and one whose clock jumps by an
// hour, send in the same talks. Ids, and the order of pages, are those in which the messages were stored.
func TestMessageServersClocksApart(t *testing.T) {
	onEngines(t, func(t *testing.T, w *place) {
		const each = 60
		w.start(t)
		sent := newLedger()
		g := call[*impb.IMGroupCreateRsp](t, w.dial(t, 0), newGroup(1, 1, 2, 3)).GetGroupId()
		clocks := []func(i int) time.Duration{
			func(int) time.Duration { return 0 },
			func(int) time.Duration { return -10 * time.Minute },
			func(int) time.Duration { return 10 * time.Minute },
			func(i int) time.Duration { return time.Duration(i%3-1) * time.Hour },
		}
		var servers sync.WaitGroup
		for s, clock := range clocks {
			c := w.dial(t, s)
			servers.Go(func() {
				for i := range each {
					at := proto.Uint32(uint32(time.Now().Add(clock(i)).Unix()))
					for k, req := range map[talk]*impb.IMMsgData{
						pairTalk(1, 2): pairText(1, 2, fmt.Sprintf("pair %d %d", s, i)),
						groupTalk(g):   groupText(uint32(1+s%3), g, fmt.Sprintf("group %d %d", s, i)),
					} {
						req.CreateTime = at
						above := sent.highest(k)
						answer, err := client.Call[*impb.IMMsgData](context.WithoutCancel(t.Context()), c, req)
						if err != nil {
							t.Error(err)
							return
						}
						if answer.GetMsgId() <= above || answer.GetCreateTime() != *at {
							t.Errorf("%v after id %d is answered %v", k, above, answer)
						}
						sent.answered(k, answer)
					}
				}
			})
		}
		servers.Wait()
		rows := w.audit(t, sent)
		c := w.dial(t, 1)
		checkPaging(t, c, pairTalk(1, 2), rows[pairTalk(1, 2)])
		if n := unreadOf(t, c, 2, 1, pair); n != each*len(clocks) {
			t.Errorf("%d of %d are unread", n, each*len(clocks))
		}
	})
}
