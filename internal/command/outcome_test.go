package command_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/command"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// observed compares what was observed since the last time.
func (w *world) observed(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.outcomes.take()); diff != "" {
		w.Errorf("observed (-want +got):\n%s", diff)
	}
}

func TestOutcomesAreObservedBeforeTheAnswer(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		for _, test := range []struct {
			req  proto.Message
			want string
		}{
			{text(1, 2, "x"), "IMMsgData answered"},
			{&impb.IMMsgDataReadAck{UserId: new(uint32(2)), SessionId: new(uint32(1)),
				SessionType: impb.SessionType(1).Enum(), MsgId: new(uint32(1))},
				"IMMsgDataReadAck answered"}, // what has no answer, too
			{filled(&impb.IMUsersInfoReq{}), "IMUsersInfoReq answered"},
			{text(1, 2, "a\xff"), "IMMsgData refused"},
			{groupText(1, 9, "x"), "IMMsgData refused"},
			{&impb.IMChangeSignInfoReq{UserId: new(uint32(9)), SignInfo: new("x")},
				"IMChangeSignInfoReq refused"},
		} {
			w.ask(test.req)
			w.observed(test.want)
		}
		w.await(w.begin(pdu.Frame{Command: 0x7777}))
		w.observed("unknown unknown")
		w.await(w.begin(pdu.Frame{Command: 0x0204, Body: []byte{0xff}}))
		w.observed("IMUsersInfoReq unparsable")

		over, cancel := context.WithCancel(w.ctx)
		cancel()
		alive := w.ctx
		w.ctx = over
		w.ask(text(1, 2, "too late"))
		w.observed("IMMsgData dropped")
		w.ask(filled(&impb.IMUsersInfoReq{}))
		w.observed("IMUsersInfoReq dropped")
		w.ctx = alive

		if err := w.store.Close(); err != nil {
			w.Fatal(err)
		}
		for _, e := range catalog.Entries() {
			w.ask(filled(e.Request))
			w.observed(e.Name() + " failed")
		}
	})
}

// TestNobodyFailsWhoIsGone: requests whose connection was closed while they waited for memory are
// no failures of ours, and have no answer.
func TestNobodyFailsWhoIsGone(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		w.peer.gone = true
		list := &impb.IMGetMsgListReq{
			UserId: new(uint32(1)), SessionType: impb.SessionType(1).Enum(),
			SessionId:  new(uint32(2)),
			MsgIdBegin: new(uint32(0)), MsgCnt: new(uint32(10)),
		}
		if a := w.await(w.begin(frame(w, list))); a.ok {
			w.Errorf("answered %+v", a)
		}
		w.observed("IMGetMsgListReq gone")
		if refused, failed := w.h.Counts(); refused != 0 || failed != 0 {
			w.Errorf("%d refused, %d failed", refused, failed)
		}
	})
}

func TestAnOutcomeThatNobodyKnowsIsUncertain(t *testing.T) {
	ruleWith(t, func(s *chat.Store) { s.Ledger = doubtful{s.Ledger} }, func(w *world) {
		w.ctx = dueAt{context.Background(), time.Now().Add(800 * time.Millisecond)}
		w.ask(text(1, 2, "x"))
		w.observed("IMMsgData uncertain")
	})
}

func TestAPanicIsObservedAsAFailure(t *testing.T) {
	ruleWith(t, func(s *chat.Store) { s.Directory = panicking{s.Directory} }, func(w *world) {
		w.ask(&impb.IMUsersInfoReq{UserId: new(uint32(1)), UserIdList: []uint32{1}})
		w.observed("IMUsersInfoReq failed")
	})
}

// TestAChangeWhoseAnswerIsTooLongIsNotToldAsRefused: it was done, and its answer is longer than
// MaxFrame.
func TestAChangeWhoseAnswerIsTooLongIsNotToldAsRefused(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		w.h = command.New(w.svc, command.Options{
			Log: slog.New(slog.DiscardHandler), Observe: w.outcomes.add, MaxFrame: 1024,
		})
		add := func(users uint32) proto.Message {
			req := &impb.IMGroupChangeMemberReq{
				UserId: new(uint32(1)), ChangeType: impb.GroupModifyType(1).Enum(),
				GroupId: new(uint32(1)),
			}
			for user := range users {
				req.MemberIdList = append(req.MemberIdList, 1<<31+users+user)
			}
			return w.ask(req)
		}
		if got := outcome(w, add(10)); got != 0 {
			w.Errorf("members that fit are answered %d", got)
		}
		if answer := add(100); answer != nil {
			w.Errorf("more than fits is answered %v", answer)
		}
		w.observed("IMGroupChangeMemberReq answered", "IMGroupChangeMemberReq too_long")
		if n := w.raw.Count("SELECT COUNT(*) FROM IMGroupMember WHERE groupId=1"); n != 112 {
			w.Errorf("the group has %d members, want 112", n)
		}
	})
}
