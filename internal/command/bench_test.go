package command

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// aText is a message of 100 bytes as a message server sends it.
func aText() *impb.IMMsgData {
	return &impb.IMMsgData{
		FromUserId: new(uint32(1)), ToSessionId: new(uint32(2)), MsgId: new(uint32(0)),
		CreateTime: new(uint32(1_700_000_000)), MsgType: impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum(),
		MsgData: make([]byte, 100), AttachData: make([]byte, 16),
	}
}

func BenchmarkDecode(b *testing.B) {
	requests := map[string]proto.Message{
		"text": aText(),
		"page": &impb.IMGetMsgListReq{UserId: new(uint32(1)),
			SessionType: impb.SessionType_SESSION_TYPE_SINGLE.Enum(), SessionId: new(uint32(2)),
			MsgIdBegin: new(uint32(0)), MsgCnt: new(uint32(20)), AttachData: make([]byte, 16)},
		"login": &impb.IMValidateReq{UserName: new("somebody"), Password: new("secret"),
			AttachData: make([]byte, 16)},
	}
	for name, req := range requests {
		body, err := proto.Marshal(req)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(req, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	of := &impb.IMGetMsgListReq{UserId: new(uint32(1)), SessionId: new(uint32(2)),
		SessionType: impb.SessionType_SESSION_TYPE_SINGLE.Enum(), AttachData: make([]byte, 16)}
	var messages []chat.Message
	for i := range uint32(20) {
		messages = append(messages, chat.Message{ID: i, From: 1, Created: 1_700_000_000,
			Type: chat.PairText, Data: string(make([]byte, 100))})
	}
	text := aText()
	for name, test := range map[string]struct {
		req    proto.Message
		answer func() proto.Message
	}{
		"text": {text, func() proto.Message { return text }},
		"page": {of, func() proto.Message {
			head := headOf(of)
			head.number(4, 0)
			return encoded{body: head.messageList(5, messages)}
		}},
	} {
		h, c := &Handler{maxFrame: 16 << 20}, &call{req: test.req}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.encode(c, test.answer()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
