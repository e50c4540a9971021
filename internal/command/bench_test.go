package command

import (
	"testing"

	"google.golang.org/protobuf/proto"

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
	page := &impb.IMGetMsgListRsp{UserId: new(uint32(1)),
		SessionType: impb.SessionType_SESSION_TYPE_SINGLE.Enum(), SessionId: new(uint32(2)),
		MsgIdBegin: new(uint32(0))}
	for i := range uint32(20) {
		page.MsgList = append(page.MsgList, &impb.MsgInfo{MsgId: &i, FromSessionId: new(uint32(1)),
			CreateTime: new(uint32(1_700_000_000)), MsgData: make([]byte, 100),
			MsgType: impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum()})
	}
	text := aText()
	for name, of := range map[string]struct{ req, answer proto.Message }{
		"text": {text, text},
		"page": {&impb.IMGetMsgListReq{AttachData: make([]byte, 16)}, page},
	} {
		h, c := &Handler{maxFrame: 16 << 20}, &call{req: of.req}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.encode(c, of.answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
