package command_test

import (
	"log/slog"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// FuzzRequest sends any body under any command. Whatever comes, a request is finished once, nothing
// panics, and an answer is one that the caller can read.
func FuzzRequest(f *testing.F) {
	byCommand := make(map[uint16]catalog.Entry)
	for _, e := range catalog.Entries() {
		byCommand[e.Command] = e
		seed := func(m proto.Message) {
			body, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(e.Command, body)
		}
		seed(catalog.New(e.Request))
		seed(filled(e.Request))
		fields := e.Request.ProtoReflect().Descriptor().Fields()
		if field := fields.ByNumber(attachData); field != nil {
			attached := filled(e.Request)
			attached.ProtoReflect().Set(field, protoreflect.ValueOfBytes([]byte("\x00\xff")))
			seed(attached)
		}
	}
	for _, typ := range []chat.MsgType{
		chat.PairText, chat.PairVoice, chat.GroupText, chat.GroupVoice,
	} {
		body, err := proto.Marshal(message(1, 2-uint32(typ.TalkKind())/2, typ,
			"\x00\x00\x00\x01sound"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(0x0301), body)
	}
	f.Add(uint16(0x0701), []byte(nil))
	f.Add(uint16(0xffff), []byte("\xff"))

	w := start(f, testdb.Embedded, nil, slog.DiscardHandler)
	w.people()
	f.Fuzz(func(t *testing.T, command uint16, body []byte) {
		w := *w
		w.TB = t
		a := w.await(w.begin(pdu.Frame{Command: command, Seq: 7, Body: body}))
		if a.ok {
			w.decode(byCommand[command], a)
		}
	})
}
