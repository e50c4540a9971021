package order

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
)

// TestAStoppedProxyIsSeenWhenItGoesOn stops a proxy without Redis for so long that the other one
// takes itself for alone. What the first answers when it goes on, the other shows at once.
func TestAStoppedProxyIsSeenWhenItGoesOn(t *testing.T) {
	t.Parallel()
	const forgotten = 12 * time.Second // longer than a proxy counts as alive
	w := rig.ThreeWithoutRedis.At(t)
	c, stopped := rig.Dial(t, w.Fleet.Start(t)), w.Fleet.Start(t)
	other := rig.Dial(t, stopped)
	newest := func() uint32 {
		page := rig.Call[*impb.IMGetMsgListRsp](t, c,
			rig.Page(1, impb.SessionType_SESSION_TYPE_SINGLE, 2, 0, 1))
		return page.GetMsgList()[0].GetMsgId()
	}
	rig.SendText(t, c, "first")
	for i := range rig.InFull(3, 1) {
		signal := func(s syscall.Signal) {
			t.Helper()
			if err := syscall.Kill(stopped.Pid(), s); err != nil {
				t.Fatal(err)
			}
		}
		signal(syscall.SIGSTOP)
		var answer *impb.IMMsgData
		var err error
		var sent sync.WaitGroup
		sent.Go(func() { // it lies in the stopped proxy's socket
			answer, err = client.Call[*impb.IMMsgData](rig.Within(t), other,
				rig.PairText(2, 1, fmt.Sprint("of the stopped one ", i)))
		})
		for begun := time.Now(); time.Since(begun) < forgotten; {
			newest() // and keeps what it has read
			rig.Pause(t.Context(), 10*time.Millisecond)
		}
		signal(syscall.SIGCONT)
		answered := make(chan struct{})
		go func() { sent.Wait(); close(answered) }()
		for waits := true; waits; {
			newest()
			select {
			case <-answered:
				waits = false
			default:
			}
		}
		got := newest()
		if id := answer.GetMsgId(); err != nil || got < id { // 0: it came too late to be stored
			t.Errorf("round %d: message %d is answered, %v; the newest is %d", i, id, err, got)
		}
		text := rig.PairText(2, 1, fmt.Sprint("of one that goes on ", i))
		id := rig.Call[*impb.IMMsgData](t, other, text).GetMsgId()
		if got := newest(); id == 0 || got != id {
			t.Errorf("round %d: then message %d is answered; the newest is %d", i, id, got)
		}
	}
}
