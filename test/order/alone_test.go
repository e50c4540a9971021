package order

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
)

// TestASecondProxyIsSeenAtOnce: a proxy that is alone on a database without Redis asks nobody
// whether what it keeps of a talk still counts. As soon as another one stores a message there, it
// shows that message.
func TestASecondProxyIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	w := rig.ThreeWithoutRedis.At(t)
	first := w.Fleet.Start(t)
	c := rig.Dial(t, first)
	newest := func() uint32 {
		page := rig.Call[*impb.IMGetMsgListRsp](t, c,
			rig.Page(1, impb.SessionType_SESSION_TYPE_SINGLE, 2, 0, 1))
		if len(page.GetMsgList()) == 0 {
			return 0
		}
		return page.GetMsgList()[0].GetMsgId()
	}
	rig.SendText(t, c, "alone")
	for i := range rig.InFull(20, 4) {
		for range 100 {
			newest() // and keeps what it has read
		}
		second := w.Fleet.Start(t)
		other := rig.Dial(t, second)
		for k := range 20 {
			newest()
			text := rig.PairText(2, 1, fmt.Sprintf("text %d of the other %d", k, i))
			stored := rig.Call[*impb.IMMsgData](t, other, text).GetMsgId()
			if got := newest(); stored == 0 || got != stored {
				t.Fatalf("round %d: the other has stored message %d, the newest is %d", i, stored,
					got)
			}
		}
		if err := second.Stop(rig.Within(t)); err != nil {
			t.Fatal(err)
		}
	}
}
