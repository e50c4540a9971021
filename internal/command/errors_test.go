package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// outcome is what an answer says: its result_code, or -1 when there is no answer. The id of a
// message stands for its code.
func outcome(w *world, answer proto.Message) int {
	w.Helper()
	if answer == nil {
		return -1
	}
	for _, name := range []string{"result_code", "msg_id"} {
		m := answer.ProtoReflect()
		for i := range m.Descriptor().Fields().Len() {
			if f := m.Descriptor().Fields().Get(i); f.TextName() == name {
				return int(m.Get(f).Uint())
			}
		}
	}
	return 0
}

func TestAStorageFailureNeverLooksLikeAnEmptyListOrAWrongPassword(t *testing.T) {
	codes := map[string]int{ // of all others: no answer
		"IMValidateReq": 2, "IMPushShieldReq": 1, "IMQueryPushShieldReq": 1,
		"IMRemoveSessionReq": 1, "IMChangeSignInfoReq": 1,
		"IMChangeAvatarReq": 1, "IMMsgData": 0, "IMGroupCreateReq": 1, "IMGroupChangeMemberReq": 1,
		"IMGroupShieldReq": 1,
	}
	rule(t, func(w *world) {
		w.people()
		if err := w.store.Close(); err != nil {
			w.Fatal(err)
		}
		for _, e := range catalog.Entries() {
			want, ok := codes[e.Name()]
			if !ok {
				want = -1
			}
			if got := outcome(w, w.ask(filled(e.Request))); got != want {
				w.Errorf("%s: %d, want %d", e.Name(), got, want)
			}
		}
	})
}

// doubtful is a ledger that stores and never says so.
type doubtful struct{ chat.Ledger }

func (d doubtful) Append(
	ctx context.Context, b chat.Batch, seq chat.Sequencer,
) (chat.Receipt, error) {
	r, err := d.Ledger.Append(ctx, b, seq)
	return r, errors.Join(err, chat.Errorf(chat.UnknownOutcome, "who knows"))
}

func (doubtful) Outcome(context.Context, chat.CommitID) (bool, error) {
	return false, chat.Errorf(chat.Unavailable, "cannot ask")
}

// dueAt is a context with a deadline that does not end when it comes: what it belongs to is tried
// in any case.
type dueAt struct {
	context.Context
	at time.Time
}

func (d dueAt) Deadline() (time.Time, bool) { return d.at, true }

func TestAMessageOfUnknownOutcomeIsNotAnswered(t *testing.T) {
	ruleWith(t, func(s *chat.Store) { s.Ledger = doubtful{s.Ledger} }, func(w *world) {
		soon, cancel := context.WithCancel(w.ctx)
		cancel()
		w.ctx = soon // over before it begins: not stored for certain
		if got := outcome(w, w.ask(text(1, 2, "x"))); got != 0 {
			w.Errorf("a message that was not tried is answered %d", got)
		}
		w.ctx = dueAt{context.Background(), time.Now().Add(800 * time.Millisecond)}
		if got := outcome(w, w.ask(text(1, 2, "x"))); got != -1 {
			w.Errorf("a message of unknown outcome is answered %d", got)
		}
	})
}

// panicking is a directory with a fault of ours.
type panicking struct{ chat.Directory }

func (panicking) UsersByName(context.Context, []string) (map[string]chat.User, error) {
	panic("a fault of the test's")
}

func (panicking) UsersByID(context.Context, []uint32) (map[uint32]chat.User, error) {
	panic("a fault of the test's")
}

func TestAPanicFailsItsRequestOnly(t *testing.T) {
	ruleWith(t, func(s *chat.Store) { s.Directory = panicking{s.Directory} }, func(w *world) {
		for range 2 {
			login := &impb.IMValidateReq{UserName: new("x"), Password: new("x")}
			if got := outcome(w, w.ask(login)); got != 2 {
				w.Errorf("a login is answered %d", got)
			}
			list := &impb.IMUsersInfoReq{UserId: new(uint32(1)), UserIdList: []uint32{1}}
			if answer := w.ask(list); answer != nil {
				w.Errorf("a list is answered %v", answer)
			}
		}
		if got := outcome(w, w.ask(text(1, 2, "x"))); got != 1 {
			w.Errorf("a message is answered %d", got)
		}
	})
}

func TestAReadThatWaitsForItsPeerGivesUpAtTheDeadline(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		w.peer.deaf = true
		ctx, cancel := context.WithCancel(w.ctx)
		w.ctx = ctx
		waiting := w.sends(filled(&impb.IMUsersInfoReq{}))
		if got := outcome(w, w.ask(text(1, 2, "x"))); got != 1 {
			w.Errorf("a message, which waits for nobody, is answered %d", got)
		}
		cancel()
		if w.await(waiting).ok {
			w.Error("it was answered")
		}
	})
}

func TestRequestsAboutGroupsThatDoNotExistAreNotAnswered(t *testing.T) {
	rule(t, func(w *world) {
		for _, req := range []proto.Message{
			&impb.IMGroupChangeMemberReq{UserId: new(uint32(0)),
				ChangeType: impb.GroupModifyType(1).Enum(), GroupId: new(uint32(9)),
				MemberIdList: []uint32{1}},
			&impb.IMGroupChangeMemberReq{UserId: new(uint32(1)),
				ChangeType: impb.GroupModifyType(2).Enum(), GroupId: new(uint32(9)),
				MemberIdList: []uint32{1}},
			&impb.IMGroupShieldReq{UserId: new(uint32(1)), GroupId: new(uint32(9)),
				ShieldStatus: new(uint32(1))},
			&impb.IMGroupGetShieldReq{GroupId: new(uint32(9)), UserId: []uint32{1}},
			groupText(1, 9, "x"),
		} {
			if answer := w.ask(req); answer != nil {
				w.Errorf("%T: answered %v", req, answer)
			}
		}
	})
}

func TestRefusedChangesEchoWhatWasAsked(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		one := new(uint32(1))
		for _, test := range []struct{ req, want proto.Message }{
			{&impb.IMGroupCreateReq{UserId: one, GroupType: impb.GroupType(1).Enum(),
				GroupName: new(""), GroupAvatar: new(""), MemberIdList: []uint32{3, 2, 3}},
				&impb.IMGroupCreateRsp{UserId: one, ResultCode: one, GroupName: new(""),
					UserIdList: []uint32{2, 3}, AttachData: []byte{}}},
			{&impb.IMGroupCreateReq{UserId: one, GroupType: impb.GroupType(2).Enum(),
				GroupName: new("x"), GroupAvatar: new("")},
				&impb.IMGroupCreateRsp{UserId: one, ResultCode: one, GroupName: new("x"),
					AttachData: []byte{}}},
			{&impb.IMGroupChangeMemberReq{UserId: new(uint32(2)),
				ChangeType: impb.GroupModifyType(1).Enum(), GroupId: one,
				MemberIdList: []uint32{3}},
				&impb.IMGroupChangeMemberRsp{UserId: new(uint32(2)),
					ChangeType: impb.GroupModifyType(1).Enum(), ResultCode: one, GroupId: one,
					AttachData: []byte{}}},
			{&impb.IMGroupChangeMemberReq{UserId: one, ChangeType: impb.GroupModifyType(1).Enum(),
				GroupId: one, MemberIdList: []uint32{2}},
				&impb.IMGroupChangeMemberRsp{UserId: one,
					ChangeType: impb.GroupModifyType(1).Enum(), ResultCode: one, GroupId: one,
					AttachData: []byte{}}},
			{&impb.IMGroupShieldReq{UserId: new(uint32(9)), GroupId: one, ShieldStatus: one},
				&impb.IMGroupShieldRsp{UserId: new(uint32(9)), GroupId: one, ResultCode: one,
					AttachData: []byte{}}},
			{&impb.IMChangeSignInfoReq{UserId: new(uint32(9)), SignInfo: new("x")},
				&impb.IMChangeSignInfoRsp{UserId: new(uint32(9)), ResultCode: one,
					AttachData: []byte{}}},
			{&impb.IMChangeAvatarReq{UserId: one, AvatarUrl: new("a\xff")},
				&impb.IMChangeAvatarRsp{UserId: one, ResultCode: one, AttachData: []byte{}}},
			{&impb.IMPushShieldReq{UserId: one, ShieldStatus: new(uint32(256))},
				&impb.IMPushShieldRsp{UserId: one, ResultCode: one, AttachData: []byte{}}},
			{&impb.IMQueryPushShieldReq{UserId: new(uint32(9))},
				&impb.IMQueryPushShieldRsp{UserId: new(uint32(9)), ResultCode: one,
					AttachData: []byte{}}},
			{&impb.IMRemoveSessionReq{UserId: one, SessionType: impb.SessionType(2).Enum(),
				SessionId: new(uint32(9))},
				&impb.IMRemoveSessionRsp{UserId: one, ResultCode: one,
					SessionType: impb.SessionType(2).Enum(), SessionId: new(uint32(9)),
					AttachData: []byte{}}},
			{&impb.IMValidateReq{UserName: new("x\xff"), Password: new("x")},
				&impb.IMValidateRsp{UserName: new("x\xff"), ResultCode: one,
					ResultString: new("用户名/密码错误"), AttachData: []byte{}}},
		} {
			if answer := w.ask(test.req); !proto.Equal(answer, test.want) {
				w.Errorf("%v\nanswered %v\nwant %v", test.req, answer, test.want)
			}
		}
	})
}

func TestWhatIsNotServedIsCounted(t *testing.T) {
	rule(t, func(w *world) {
		for _, f := range []pdu.Frame{{Command: 0x7777}, {Command: 0x0204, Body: []byte{0xff}}} {
			answered := make(chan bool, 1)
			w.h.Start(w.ctx, peer{}, f, func(_ pdu.Frame, ok bool) { answered <- ok })
			if <-answered {
				w.Errorf("command %#x is answered", f.Command)
			}
		}
		if refused, failed := w.h.Counts(); refused != 2 || failed != 0 {
			w.Errorf("%d refused and %d failed, want 2 and 0", refused, failed)
		}
	})
}

// TestARefusedLoginNamesTheUser in the log, and the peer, however long the name is and whatever is
// in it.
func TestARefusedLoginNamesTheUser(t *testing.T) {
	var log bytes.Buffer
	w := start(t, testdb.Embedded, nil, slog.NewJSONHandler(&log, nil))
	w.people()
	for name, shown := range map[string]string{
		"nobody":                 "nobody",
		"张伟":                     "张伟",
		"a\nlevel=ERROR \u202ex": `a\nlevel=ERROR \u202ex`,
		"\xff\x00":               `\xff\x00`,
		strings.Repeat("n", 33):  strings.Repeat("n", 32) + "…",
		strings.Repeat("语", 1e5): strings.Repeat("语", 32) + "…",
	} {
		log.Reset()
		// As bytes: Go encodes no text that is not UTF-8.
		body := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), name)
		body = protowire.AppendString(protowire.AppendTag(body, 2, protowire.BytesType), "wrong")
		w.await(w.begin(pdu.Frame{Command: 0x0703, Body: body}))
		var line struct{ Level, Msg, User, Peer, Message string }
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, &log)
		}
		if line.Level != "INFO" || line.Msg != "refused" || line.User != shown ||
			line.Peer != "192.0.2.1:1" {
			t.Errorf("of %.40q the log says %.300s, want the user %q", name, &log, shown)
		}
	}
}
