package test

import (
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestFirstMessagesAtOnce has many connections send the first messages of 20 new pairs at the same time.
func TestFirstMessagesAtOnce(t *testing.T) {
	const pairs, each = 20, 10
	p := start(t, newStore(t))
	begin := make(chan struct{})
	sent := newLedger()
	var wg sync.WaitGroup
	for i := range pairs * each {
		c := dial(t, p)
		low := 1000 + uint32(i%pairs)*2
		from, to := low, low+1
		if i/pairs%2 == 1 {
			from, to = to, from
		}
		wg.Go(func() {
			<-begin
			text := fmt.Sprintf("first %d", i)
			answer, err := client.Call[*impb.IMMsgData](within(t), c, pairText(from, to, text))
			if err != nil {
				t.Error(err)
				return
			}
			sent.answered(pairTalk(from, to), answer)
		})
	}
	close(begin)
	wg.Wait()

	db := store(t, p.Data)
	if n := count(t, db, "SELECT count(*) FROM IMRelationShip"); n != pairs {
		t.Errorf("%d relations for %d pairs", n, pairs)
	}
	if n := count(t, db, "SELECT count(*) FROM IMRecentSession"); n != 2*pairs {
		t.Errorf("%d sessions for %d pairs", n, pairs)
	}
	rows := readRows(t, db)
	sent.audit(t, rows)
	for talk, stored := range rows {
		if len(stored) != each {
			t.Errorf("%v has %d messages, want %d", talk, len(stored), each)
		}
	}
}

// TestPipelinedKeepOrder sends 200 messages of one pair on one connection without waiting.
func TestPipelinedKeepOrder(t *testing.T) {
	const n = 200
	p := start(t, newStore(t))
	c := dial(t, p)
	type outcome struct {
		answer proto.Message
		err    error
	}
	came := make(chan outcome, n)
	for i := range n {
		req := pairText(1, 2, fmt.Sprintf("message %d", i+1))
		err := c.Start(within(t), req, func(a proto.Message, err error) { came <- outcome{a, err} })
		if err != nil {
			t.Fatal(err)
		}
	}
	sent := newLedger()
	for i := range n {
		o := <-came
		if o.err != nil {
			t.Fatal(o.err)
		}
		answer := o.answer.(*impb.IMMsgData)
		if want := fmt.Sprintf("message %d", i+1); string(answer.GetMsgData()) != want || answer.GetMsgId() != uint32(i+1) {
			t.Fatalf("answer %d is for %q with id %d", i+1, answer.GetMsgData(), answer.GetMsgId())
		}
		sent.answered(pairTalk(1, 2), answer)
	}
	sent.audit(t, readRows(t, store(t, p.Data)))
}

// TestGroupSendsAtOnce has 500 messages to a few groups under way at once, on many connections.
func TestGroupSendsAtOnce(t *testing.T) {
	const groups, conns, sends = 5, 10, 500
	p := start(t, newStore(t))
	members := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	first := dial(t, p)
	var ids []uint32
	for range groups {
		ids = append(ids, call[*impb.IMGroupCreateRsp](t, first, newGroup(1, members...)).GetGroupId())
	}
	clients := make([]*client.Client, conns)
	for i := range clients {
		clients[i] = dial(t, p)
	}
	sent := newLedger()
	var wg sync.WaitGroup
	for i := range sends {
		wg.Go(func() {
			g := ids[i%groups]
			req := groupText(members[i/groups%len(members)], g, fmt.Sprintf("group message %d", i))
			answer, err := client.Call[*impb.IMMsgData](within(t), clients[i%conns], req)
			if err != nil {
				t.Error(err)
				return
			}
			sent.answered(groupTalk(g), answer)
		})
	}
	wg.Wait()
	rows := readRows(t, store(t, p.Data))
	sent.audit(t, rows)
	for _, g := range ids {
		if n := len(rows[groupTalk(g)]); n != sends/groups {
			t.Errorf("group %d has %d messages, want %d", g, n, sends/groups)
		}
	}
}
