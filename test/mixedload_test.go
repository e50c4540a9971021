package test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestOriginalAtWork has two proxies and an original write to the same pair and group at the same time, while other
// originals set a counter of ids to 0. Nothing is lost or doubled, no id is given twice, and all is counted.
func TestOriginalAtWork(t *testing.T) {
	t.Parallel()
	const sends, inFlight = 30, 16 // of the original; of each proxy, in each talk
	f, _ := newRedisFleet(t)
	o := original{f, t}
	clients := []*client.Client{dial(t, f.start(t)), dial(t, f.start(t))}
	relation, g := o.relate(1, 2), o.createGroup(1, 1, 2, 3)
	if answer := call[*impb.IMMsgData](t, clients[0], pairText(5, 6, "of proxies only")); answer.GetMsgId() != 1 {
		t.Fatalf("answered %v", answer)
	}
	sent := newLedger()
	sent.mixed = true
	sent.answered(pairTalk(5, 6),
		&impb.IMMsgData{FromUserId: proto.Uint32(5), MsgId: proto.Uint32(1), MsgData: []byte("of proxies only")})

	ctx, stop := context.WithCancel(within(t))
	var proxies sync.WaitGroup
	var serial atomic.Uint32
	for _, c := range clients {
		for k, req := range map[talk]func(string) *impb.IMMsgData{
			pairTalk(1, 2): func(text string) *impb.IMMsgData { return pairText(1, 2, text) },
			pairTalk(5, 6): func(text string) *impb.IMMsgData { return pairText(5, 6, text) },
			groupTalk(g):   func(text string) *impb.IMMsgData { return groupText(2, g, text) },
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
		id := o.send(relation, 1, 2, text)
		sent.answered(pairTalk(1, 2), &impb.IMMsgData{FromUserId: proto.Uint32(1), MsgId: &id, MsgData: []byte(text)})
		text += " to a group"
		id = o.sendGroup(g, 2, text)
		sent.answered(groupTalk(g), &impb.IMMsgData{FromUserId: proto.Uint32(2), MsgId: &id, MsgData: []byte(text)})
		o.redis.do(t, "SET", fmt.Sprint("msg_id_", relation+1), "0") // the relation of 5 and 6
		o.add(g, uint32(100+i))
	}
	stop()
	proxies.Wait()

	rows := readRows(t, f.db.Admin)
	for _, k := range []talk{pairTalk(1, 2), groupTalk(g)} { // an original takes an id before it stores
		slices.SortFunc(rows[k], func(a, b row) int { return cmp.Compare(a.id, b.id) })
	}
	sent.audit(t, rows)
	m := mixed{o, clients[0]}
	m.wantUnread(2, 1, pair, len(rows[pairTalk(1, 2)]))
	m.wantUnread(6, 5, pair, len(rows[pairTalk(5, 6)]))
	m.wantUnread(3, g, group, len(rows[groupTalk(g)]))
	wantEqual(t, "the count", o.number("HGET", fmt.Sprint(g, "_im_group_msg"), "count"), len(rows[groupTalk(g)]))
	wantEqual(t, "the pair's id", o.number("GET", fmt.Sprint("msg_id_", relation)), len(rows[pairTalk(1, 2)]))
	wantEqual(t, "members", len(m.groupInfo(g).GetGroupMemberList()), 3+sends)
	wantEqual(t, "relations", count(t, f.db.Admin, "SELECT COUNT(*) FROM IMRelationShip"), 2)
	wantEqual(t, "sessions of pairs", count(t, f.db.Admin, "SELECT COUNT(*) FROM IMRecentSession WHERE type=1"), 4)
}

// keepSending keeps messages of a talk in flight on a connection until ctx ends, and then waits for their answers: all
// must be stored, in the order sent.
func keepSending(
	ctx context.Context, t *testing.T, c *client.Client, inFlight int, sent *ledger, k talk, next func() *impb.IMMsgData,
) {
	room := make(chan struct{}, inFlight)
	sending, last := within(t), uint32(0)
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
				sent.fault(err.Error())
				return
			}
			answer := m.(*impb.IMMsgData)
			if answer.GetMsgId() <= last {
				sent.fault(fmt.Sprintf("%v: id %d came after %d", k, answer.GetMsgId(), last))
			}
			last = answer.GetMsgId()
			sent.answered(k, answer)
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// awaitAnswers waits until nothing is in flight any more.
func awaitAnswers(t *testing.T, k talk, room chan struct{}) {
	ctx := within(t)
	for range cap(room) {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			t.Errorf("%v: there are messages without an answer", k)
			return
		}
	}
}
