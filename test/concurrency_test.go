package test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestFirstMessagesAtOnce has many connections send the first messages of 20 new pairs, in both directions, at the same
// time.
func TestFirstMessagesAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, w *place) {
		w.start(t)
		sent := newLedger()
		firstMessages(t, w, sent, 20, 10)
		checkFirstMessages(t, w, 20, 10)
		w.audit(t, sent)
	})
}

// firstMessages sends messages of new pairs: each pair's each on a connection of its own, half of them in the other direction.
func firstMessages(t *testing.T, w *place, sent *ledger, pairs, each int) {
	t.Helper()
	begin := make(chan struct{})
	ctx := within(t)
	var wg sync.WaitGroup
	for i := range pairs * each {
		// Neighbours are of the same pair, and with different proxies.
		low, c := 1000+uint32(i/each)*2, w.dial(t, i)
		from, to := low, low+1
		if i%2 == 1 {
			from, to = to, from
		}
		wg.Go(func() {
			<-begin
			answer, err := client.Call[*impb.IMMsgData](ctx, c, pairText(from, to, fmt.Sprintf("first %d", i)))
			if err != nil {
				t.Error(err)
				return
			}
			sent.answered(pairTalk(from, to), answer)
		})
	}
	close(begin)
	wg.Wait()
}

// checkFirstMessages sees that the pairs, who are all there are, came about once.
func checkFirstMessages(t *testing.T, w *place, pairs, each int) {
	t.Helper()
	n, last := count(t, w.db, "SELECT count(*) FROM IMRelationShip"), count(t, w.db, "SELECT max(id) FROM IMRelationShip")
	if n != pairs || last != pairs && w.fleet.everyID() {
		t.Errorf("%d relations for %d pairs, the last with id %d", n, pairs, last)
	}
	if n := count(t, w.db, "SELECT count(*) FROM IMRecentSession"); n != 2*pairs {
		t.Errorf("%d sessions for %d pairs", n, pairs)
	}
	for talk, stored := range readRows(t, w.db) {
		if len(stored) != each {
			t.Errorf("%v has %d messages, want %d", talk, len(stored), each)
		}
	}
}

// TestPipelinedKeepOrder sends 200 messages of one pair on one connection without waiting.
func TestPipelinedKeepOrder(t *testing.T) {
	const n = 200
	onEngines(t, func(t *testing.T, w *place) {
		w.start(t)
		c := w.dial(t, 0)
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
		w.audit(t, sent)
	})
}

// TestGroupSendsAtOnce has 500 messages to one group, and then to a few, under way at once, on many connections.
func TestGroupSendsAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, w *place) {
		w.start(t)
		sent := newLedger()
		for _, groups := range []int{1, 5} {
			groupSends(t, w, sent, groups)
		}
		w.audit(t, sent)
	})
}

func groupSends(t *testing.T, w *place, sent *ledger, groups int) {
	t.Helper()
	const conns, sends = 12, 500
	members := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	var ids []uint32
	for i := range groups {
		ids = append(ids, call[*impb.IMGroupCreateRsp](t, w.dial(t, i), newGroup(1, members...)).GetGroupId())
	}
	w.fleet.settle(t)
	var clients []*client.Client
	for i := range conns {
		clients = append(clients, w.dial(t, i))
	}
	ctx := within(t)
	var wg sync.WaitGroup
	for i := range sends {
		wg.Go(func() {
			g := ids[i%groups]
			req := groupText(members[i/groups%len(members)], g, fmt.Sprintf("group %d, message %d", g, i))
			answer, err := client.Call[*impb.IMMsgData](ctx, clients[i%conns], req)
			if err != nil {
				t.Error(err)
				return
			}
			sent.answered(groupTalk(g), answer)
		})
	}
	wg.Wait()
	rows := readRows(t, w.db)
	for _, g := range ids {
		if n := len(rows[groupTalk(g)]); n != sends/groups {
			t.Errorf("group %d has %d messages, want %d", g, n, sends/groups)
		}
	}
}

// TestMembersChangeBesideSends has members leave and come back, by requests to all proxies, while others talk.
func TestMembersChangeBesideSends(t *testing.T) {
	onEngines(t, func(t *testing.T, w *place) {
		w.start(t)
		sent := newLedger()
		(&restless{members: []uint32{1, 2, 3}, changing: []uint32{11, 12, 13, 14}}).run(t, w, sent)
		w.audit(t, sent)
	})
}

// restless is a group in which people come and go.
type restless struct {
	members  []uint32 // who stay, and talk; the first is the creator
	changing []uint32 // who come and go, each by requests on one connection
	group    uint32
}

func (r *restless) run(t *testing.T, w *place, sent *ledger) {
	t.Helper()
	const changes, sends, conns = 20, 60, 6
	r.group = call[*impb.IMGroupCreateRsp](t, w.dial(t, 0), newGroup(r.members[0], r.members...)).GetGroupId()
	ctx := within(t)
	var wg sync.WaitGroup
	for i, user := range r.changing {
		c := w.dial(t, i)
		wg.Go(func() {
			if err := r.comeAndGo(ctx, c, user, changes); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range conns {
		c := w.dial(t, i)
		wg.Go(func() {
			for n := range sends {
				req := groupText(r.members[i%len(r.members)], r.group, fmt.Sprintf("group %d, connection %d, %d", r.group, i, n))
				answer, err := client.Call[*impb.IMMsgData](ctx, c, req)
				if err != nil {
					t.Error(err)
					return
				}
				sent.answered(groupTalk(r.group), answer)
			}
		})
	}
	wg.Wait()
	r.check(t, w, 1+changes*len(r.changing))
}

// comeAndGo has one user join and leave in turn; after an even number of changes the user is out.
func (r *restless) comeAndGo(ctx context.Context, c *client.Client, user uint32, changes int) error {
	for i := range changes {
		kind := impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD
		if i%2 == 1 {
			kind = impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL
		}
		req := &impb.IMGroupChangeMemberReq{UserId: &r.members[0], GroupId: &r.group, ChangeType: kind.Enum(), MemberIdList: []uint32{user}}
		answer, err := client.Call[*impb.IMGroupChangeMemberRsp](ctx, c, req)
		if err != nil {
			return err
		}
		in := slices.Contains(answer.GetCurUserIdList(), user)
		if answer.GetResultCode() != 0 || in != (i%2 == 0) || !slices.Equal(answer.GetChgUserIdList(), []uint32{user}) {
			return fmt.Errorf("change %d of user %d was answered %v", i, user, answer)
		}
		if i%2 == 0 { // who has just joined has nothing unread but what was sent since
			if err := r.ask(ctx, c, user); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask has the unread messages of a user counted.
func (r *restless) ask(ctx context.Context, c *client.Client, user uint32) error {
	_, err := client.Call[*impb.IMUnreadMsgCntRsp](ctx, c, unread(user))
	return err
}

// check looks at the group, as every proxy tells of it.
func (r *restless) check(t *testing.T, w *place, version int) {
	t.Helper()
	w.fleet.settle(t)
	for i := range w.proxies {
		answer := call[*impb.IMGroupInfoListRsp](t, w.dial(t, i), &impb.IMGroupInfoListReq{UserId: &r.members[0],
			GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &r.group, Version: proto.Uint32(0)}}})
		list := answer.GetGroupInfoList()
		if len(list) != 1 || int(list[0].GetVersion()) != version || !slices.Equal(list[0].GetGroupMemberList(), r.members) {
			t.Errorf("proxy %d tells %v, want version %d and members %d", i, answer, version, r.members)
		}
	}
	if n := count(t, w.db, "SELECT userCnt FROM IMGroup WHERE id = ?", r.group); n != len(r.members) {
		t.Errorf("userCnt is %d", n)
	}
}
