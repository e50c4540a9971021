package order

import (
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// TestFirstMessagesAtOnce has many connections send the first messages of 20 new pairs, in both
// directions, at the same time.
func TestFirstMessagesAtOnce(t *testing.T) {
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t)
		sent := audit.NewLedger()
		firstMessages(t, w, sent, 20, 10)
		checkFirstMessages(t, w, 20, 10)
		audit.Check(t, w, sent)
	})
}

// firstMessages sends messages of new pairs: each pair's each on a connection of its own, half of
// them in the other direction.
func firstMessages(t *testing.T, w *rig.Setup, sent *audit.Ledger, pairs, each int) {
	t.Helper()
	begin := make(chan struct{})
	ctx := rig.Within(t)
	var wg sync.WaitGroup
	for i := range pairs * each {
		// Neighbours are of the same pair, and with different proxies.
		low, c := 1000+uint32(i/each)*2, w.Dial(t, i)
		from, to := low, low+1
		if i%2 == 1 {
			from, to = to, from
		}
		wg.Go(func() {
			<-begin
			answer, err := client.Call[*impb.IMMsgData](ctx, c,
				rig.PairText(from, to, fmt.Sprintf("first %d", i)))
			if err != nil {
				t.Error(err)
				return
			}
			sent.Answered(lines.PairTalk(from, to), answer)
		})
	}
	close(begin)
	wg.Wait()
}

// checkFirstMessages checks that each pair has one relation and two sessions, and that nobody else
// has any.
func checkFirstMessages(t *testing.T, w *rig.Setup, pairs, each int) {
	t.Helper()
	n, last := rig.Count(t, w.DB, "SELECT count(*) FROM IMRelationShip"),
		rig.Count(t, w.DB, "SELECT max(id) FROM IMRelationShip")
	if n != pairs || last != pairs && w.Fleet.EveryID() {
		t.Errorf("%d relations for %d pairs, the last with id %d", n, pairs, last)
	}
	if n := rig.Count(t, w.DB, "SELECT count(*) FROM IMRecentSession"); n != 2*pairs {
		t.Errorf("%d sessions for %d pairs", n, pairs)
	}
	for talk, stored := range audit.ReadRows(t, w.DB) {
		if len(stored) != each {
			t.Errorf("%v has %d messages, want %d", talk, len(stored), each)
		}
	}
}

// TestPipelinedKeepOrder sends 200 messages of one pair on one connection without waiting.
func TestPipelinedKeepOrder(t *testing.T) {
	const n = 200
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t)
		c := w.Dial(t, 0)
		type outcome struct {
			answer proto.Message
			err    error
		}
		came := make(chan outcome, n)
		for i := range n {
			req := rig.PairText(1, 2, fmt.Sprintf("message %d", i+1))
			err := c.Start(rig.Within(t), req, func(a proto.Message, err error) {
				came <- outcome{a, err}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		sent := audit.NewLedger()
		for i := range n {
			o := <-came
			if o.err != nil {
				t.Fatal(o.err)
			}
			answer := o.answer.(*impb.IMMsgData)
			if want := fmt.Sprintf("message %d", i+1); string(answer.GetMsgData()) != want ||
				answer.GetMsgId() != uint32(i+1) {
				t.Fatalf("answer %d is for %q with id %d", i+1, answer.GetMsgData(),
					answer.GetMsgId())
			}
			sent.Answered(lines.PairTalk(1, 2), answer)
		}
		audit.Check(t, w, sent)
	})
}

// TestGroupSendsAtOnce has 500 messages to one group, and then to a few, pending at once, on many
// connections.
func TestGroupSendsAtOnce(t *testing.T) {
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t)
		sent := audit.NewLedger()
		for _, groups := range []int{1, 5} {
			groupSends(t, w, sent, groups)
		}
		audit.Check(t, w, sent)
	})
}

func groupSends(t *testing.T, w *rig.Setup, sent *audit.Ledger, groups int) {
	t.Helper()
	const conns, sends = 12, 500
	members := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	var ids []uint32
	for i := range groups {
		ids = append(ids, rig.Call[*impb.IMGroupCreateRsp](t, w.Dial(t, i),
			rig.NewGroup(1, members...)).GetGroupId())
	}
	w.Fleet.AwaitNodes(t)
	var clients []*client.Client
	for i := range conns {
		clients = append(clients, w.Dial(t, i))
	}
	ctx := rig.Within(t)
	var wg sync.WaitGroup
	for i := range sends {
		wg.Go(func() {
			g := ids[i%groups]
			req := rig.GroupText(members[i/groups%len(members)], g,
				fmt.Sprintf("group %d, message %d", g, i))
			answer, err := client.Call[*impb.IMMsgData](ctx, clients[i%conns], req)
			if err != nil {
				t.Error(err)
				return
			}
			sent.Answered(lines.GroupTalk(g), answer)
		})
	}
	wg.Wait()
	rows := audit.ReadRows(t, w.DB)
	for _, g := range ids {
		if n := len(rows[lines.GroupTalk(g)]); n != sends/groups {
			t.Errorf("group %d has %d messages, want %d", g, n, sends/groups)
		}
	}
}

// TestMembersChangeBesideSends has members leave and come back, by requests to all proxies, while
// others talk.
func TestMembersChangeBesideSends(t *testing.T) {
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t)
		sent := audit.NewLedger()
		(&restless{members: []uint32{1, 2, 3}, changing: []uint32{11, 12, 13, 14}}).run(t, w, sent)
		audit.Check(t, w, sent)
	})
}
