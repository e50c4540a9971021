package command

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestEncodedListsAreWhatProtobufMakes takes apart what is encoded here, and has protobuf make the
// same again: no field is missing, in another order, or of another kind.
func TestEncodedListsAreWhatProtobufMakes(t *testing.T) {
	const most = ^uint32(0)
	long := string(bytes.Repeat([]byte("é"), 5000))
	messages := []chat.Message{
		{ID: most, From: most, Type: chat.GroupVoice, Created: most, Data: long}, {},
		{ID: 1, From: 2, Type: chat.PairText, Created: 3, Data: "x"},
	}
	talks := []chat.Talk{chat.PairTalk(most, 7), chat.GroupTalk(most), chat.PairTalk(7, 1)}
	var sessions []chat.RecentSession
	unread := chat.Unread{Total: most}
	for i, m := range messages {
		sessions = append(sessions, chat.RecentSession{
			Session: chat.Session{Talk: talks[i], Updated: m.Created}, Last: m})
		unread.Talks = append(unread.Talks,
			chat.UnreadTalk{Count: chat.Count{Talk: talks[i], Unread: m.ID}, Last: m})
	}
	users := []chat.User{{}, {
		ID: most, Name: long, Nick: "n", Sex: most, Domain: "d", Phone: "p", Email: "e",
		Avatar: "a", Department: most, Status: most, Signature: "s",
	}}
	req := &impb.IMGetMsgListReq{UserId: new(uint32(7)), SessionId: new(most),
		SessionType: impb.SessionType_SESSION_TYPE_GROUP.Enum()}
	page := headOf(req)
	page.number(4, most)
	for name, test := range map[string]struct {
		body   fields
		answer proto.Message
		items  func(proto.Message) int
		want   int
	}{
		"page": {page.messageList(5, messages), &impb.IMGetMsgListRsp{},
			func(m proto.Message) int { return len(m.(*impb.IMGetMsgListRsp).MsgList) }, 3},
		"by id": {headOf(req).messageList(4, messages), &impb.IMGetMsgByIdRsp{},
			func(m proto.Message) int { return len(m.(*impb.IMGetMsgByIdRsp).MsgList) }, 3},
		"sessions": {sessionList(7, sessions), &impb.IMRecentContactSessionRsp{},
			func(m proto.Message) int {
				return len(m.(*impb.IMRecentContactSessionRsp).ContactSessionList)
			}, 3},
		"unread": {unreadList(7, unread), &impb.IMUnreadMsgCntRsp{},
			func(m proto.Message) int {
				return len(m.(*impb.IMUnreadMsgCntRsp).UnreadinfoList)
			}, 3},
		"users": {userList(7, users), &impb.IMUsersInfoRsp{},
			func(m proto.Message) int { return len(m.(*impb.IMUsersInfoRsp).UserInfoList) }, 2},
	} {
		test.body.text(attachData, "attached")
		if err := proto.Unmarshal(test.body, test.answer); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := test.items(test.answer); n != test.want {
			t.Errorf("%s: %d items, want %d", name, n, test.want)
		}
		if unknown := test.answer.ProtoReflect().GetUnknown(); len(unknown) > 0 {
			t.Errorf("%s has fields that its message does not have: %x", name, unknown)
		}
		again, err := proto.Marshal(test.answer)
		if err != nil || !bytes.Equal(again, test.body) {
			t.Errorf("%s: protobuf makes\n%x, %v, not\n%x", name, again, err, test.body)
		}
	}
}
