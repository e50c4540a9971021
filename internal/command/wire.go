package command

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Lists of messages, people and push tokens are what is answered most, and long. They are encoded
// here as protobuf does, without a message of package impb for each item and its many pointers.

// encoded is an answer that is encoded already, but for its attach data. It goes where a message
// does, and only Handler.encode looks at it.
type encoded struct {
	proto.Message // nil
	body          fields
}

// fields are the encoded fields of a message, in the order of their numbers.
type fields []byte

// number appends a field that is a number.
func (f *fields) number(n protowire.Number, v uint32) {
	*f = protowire.AppendVarint(protowire.AppendTag(*f, n, protowire.VarintType), uint64(v))
}

// text appends a field of text or bytes.
func (f *fields) text(n protowire.Number, s string) {
	*f = protowire.AppendString(protowire.AppendTag(*f, n, protowire.BytesType), s)
}

// message appends a field that is a message.
func (f *fields) message(n protowire.Number, m fields) {
	*f = protowire.AppendBytes(protowire.AppendTag(*f, n, protowire.BytesType), m)
}

// Room for the fields of an item beside its text, in bytes.
const itemBytes = 48

// headOf is the first fields of an answer about a talk.
func headOf(req ofTalk) (f fields) {
	f.number(1, req.GetUserId())
	f.number(2, uint32(req.GetSessionType()))
	f.number(3, req.GetSessionId())
	return f
}

// messageList is f with the messages of a page as fields n.
func (f fields) messageList(n protowire.Number, messages []chat.Message) fields {
	size := len(f)
	for i := range messages {
		size += len(messages[i].Data) + itemBytes
	}
	f = append(make(fields, 0, size), f...)
	var item fields
	for i := range messages {
		m := &messages[i]
		item = item[:0]
		item.number(1, m.ID)
		item.number(2, m.From)
		item.number(3, m.Created)
		item.number(4, uint32(m.Type))
		item.text(5, m.Data)
		f.message(n, item)
	}
	return f
}

// sessionList is the body of an IMRecentContactSessionRsp.
func sessionList(user uint32, sessions []chat.RecentSession) (f fields) {
	f = make(fields, 0, len(sessions)*2*itemBytes+itemBytes)
	f.number(1, user)
	var item fields
	for i := range sessions {
		s := &sessions[i]
		item = item[:0]
		item.number(1, s.Talk.Peer(user))
		item.number(2, uint32(s.Talk.Kind))
		item.number(3, 0) // SESSION_STATUS_OK
		item.number(4, s.Updated)
		item.number(5, s.Last.ID)
		item.text(6, s.Last.Data)
		item.number(7, uint32(s.Last.Type))
		item.number(8, shownSender(user, s.Talk, s.Last))
		f.message(2, item)
	}
	return f
}

// unreadList is the body of an IMUnreadMsgCntRsp.
func unreadList(user uint32, unread chat.Unread) (f fields) {
	f = make(fields, 0, len(unread.Talks)*2*itemBytes+itemBytes)
	f.number(1, user)
	f.number(2, unread.Total)
	var item fields
	for i := range unread.Talks {
		t := &unread.Talks[i]
		item = item[:0]
		item.number(1, t.Talk.Peer(user))
		item.number(2, uint32(t.Talk.Kind))
		item.number(3, t.Unread)
		item.number(4, t.Last.ID)
		item.text(5, t.Last.Data)
		item.number(6, uint32(t.Last.Type))
		item.number(7, shownSender(user, t.Talk, t.Last))
		f.message(3, item)
	}
	return f
}

// tokenList is the body of an IMGetDeviceTokenRsp.
func tokenList(tokens []chat.PushToken) (f fields) {
	var item fields
	for i := range tokens {
		t := &tokens[i]
		item = item[:0]
		item.number(1, t.User)
		item.number(2, uint32(t.Platform))
		item.text(3, t.Token)
		item.number(4, t.Unread)
		item.number(5, 1) // a normal push
		f.message(1, item)
	}
	return f
}

// userList is the body of an IMUsersInfoRsp.
func userList(asker uint32, users []chat.User) (f fields) {
	f.number(1, asker)
	var item fields
	for i := range users {
		u := &users[i]
		item = item[:0]
		item.number(1, u.ID)
		item.number(2, u.Sex)
		item.text(3, u.Nick)
		item.text(4, u.Avatar)
		item.number(5, u.Department)
		item.text(6, u.Email)
		item.text(7, u.Name)
		item.text(8, u.Phone)
		item.text(9, u.Domain)
		item.number(10, u.Status)
		item.text(11, u.Signature)
		f.message(2, item)
	}
	return f
}
