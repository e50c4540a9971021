package order

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// TestOriginalAtWork has two proxies and an original write to the same pair and group at the same time, while other
// originals set a counter of ids to 0. Nothing is lost or doubled, no id is given twice, and all is counted.
func TestOriginalAtWork(t *testing.T) {
	t.Parallel()
	const sends, inFlight = 30, 16 // of the original; of each proxy, in each talk
	f, _ := rig.NewRedisFleet(t)
	o := original.New(t, f)
	clients := []*client.Client{rig.Dial(t, f.Start(t)), rig.Dial(t, f.Start(t))}
	relation, g := o.Relate(1, 2), o.CreateGroup(1, 1, 2, 3)
	if answer := rig.Call[*impb.IMMsgData](t, clients[0], rig.PairText(5, 6, "of proxies only")); answer.GetMsgId() != 1 {
		t.Fatalf("answered %v", answer)
	}
	sent := audit.NewLedger()
	sent.Mixed = true
	sent.Answered(bench.PairTalk(5, 6),
		&impb.IMMsgData{FromUserId: proto.Uint32(5), MsgId: proto.Uint32(1), MsgData: []byte("of proxies only")})

	ctx, stop := context.WithCancel(rig.Within(t))
	var proxies sync.WaitGroup
	var serial atomic.Uint32
	for _, c := range clients {
		for k, req := range map[bench.Talk]func(string) *impb.IMMsgData{
			bench.PairTalk(1, 2): func(text string) *impb.IMMsgData { return rig.PairText(1, 2, text) },
			bench.PairTalk(5, 6): func(text string) *impb.IMMsgData { return rig.PairText(5, 6, text) },
			bench.GroupTalk(g):   func(text string) *impb.IMMsgData { return rig.GroupText(2, g, text) },
		} {
			proxies.Go(func() {
				keepSending(ctx, t, c, inFlight, sent, k, func() *impb.IMMsgData {
					return req(fmt.Sprint("of a proxy ", serial.Add(1)))
				})
			})
		}
	}
	for i := range sends {
		text := fmt.Sprint("of an original ", i)
		id := o.Send(relation, 1, 2, text)
		sent.Answered(bench.PairTalk(1, 2), &impb.IMMsgData{FromUserId: proto.Uint32(1), MsgId: &id, MsgData: []byte(text)})
		text += " to a group"
		id = o.SendGroup(g, 2, text)
		sent.Answered(bench.GroupTalk(g), &impb.IMMsgData{FromUserId: proto.Uint32(2), MsgId: &id, MsgData: []byte(text)})
		o.Redis.Exec(t, "SET", fmt.Sprint("msg_id_", relation+1), "0") // the relation of 5 and 6
		o.Add(g, uint32(100+i))
	}
	stop()
	proxies.Wait()

	rows := audit.ReadRows(t, f.DB.Admin)
	for _, k := range []bench.Talk{bench.PairTalk(1, 2), bench.GroupTalk(g)} { // an original takes an id before it stores
		slices.SortFunc(rows[k], func(a, b audit.Row) int { return cmp.Compare(a.Id, b.Id) })
	}
	sent.Check(t, rows)
	m := original.Beside(t, f, clients[0])
	m.WantUnread(2, 1, rig.Pair, len(rows[bench.PairTalk(1, 2)]))
	m.WantUnread(6, 5, rig.Pair, len(rows[bench.PairTalk(5, 6)]))
	m.WantUnread(3, g, rig.Group, len(rows[bench.GroupTalk(g)]))
	original.WantEqual(t, "the count", o.Number("HGET", fmt.Sprint(g, "_im_group_msg"), "count"), len(rows[bench.GroupTalk(g)]))
	original.WantEqual(t, "the pair's id", o.Number("GET", fmt.Sprint("msg_id_", relation)), len(rows[bench.PairTalk(1, 2)]))
	original.WantEqual(t, "members", len(m.GroupInfo(g).GetGroupMemberList()), 3+sends)
	original.WantEqual(t, "relations", rig.Count(t, f.DB.Admin, "SELECT COUNT(*) FROM IMRelationShip"), 2)
	original.WantEqual(t, "sessions of pairs", rig.Count(t, f.DB.Admin, "SELECT COUNT(*) FROM IMRecentSession WHERE type=1"), 4)
}

// keepSending keeps messages of a talk in flight on a connection until ctx ends, and then waits for their answers: all
// must be stored, in the order sent.
func keepSending(
	ctx context.Context, t *testing.T, c *client.Client, inFlight int, sent *audit.Ledger, k bench.Talk, next func() *impb.IMMsgData,
) {
	room := make(chan struct{}, inFlight)
	sending, last := rig.Within(t), uint32(0)
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			awaitAnswers(t, k, room)
			return
		}
		err := c.Start(sending, next(), func(m proto.Message, err error) {
			defer func() { <-room }()
			if err != nil {
				sent.Fault(err.Error())
				return
			}
			answer := m.(*impb.IMMsgData)
			if answer.GetMsgId() <= last {
				sent.Fault(fmt.Sprintf("%v: id %d came after %d", k, answer.GetMsgId(), last))
			}
			last = answer.GetMsgId()
			sent.Answered(k, answer)
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// awaitAnswers waits until nothing is in flight any more.
func awaitAnswers(t *testing.T, k bench.Talk, room chan struct{}) {
	ctx := rig.Within(t)
	for range cap(room) {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			t.Errorf("%v: there are messages without an answer", k)
			return
		}
	}
}
