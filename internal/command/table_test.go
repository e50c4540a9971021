package command_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

func TestEveryRequestOfTheCatalogIsServed(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		for _, e := range catalog.Entries() {
			answer := w.ask(filled(e.Request)) // a command without an action panics
			if (answer != nil) != (e.Answer != nil) {
				w.Errorf("%s: answered %v", e.Name(), answer)
			}
		}
	})
}

func TestUnknownCommandsAreNotAnswered(t *testing.T) {
	rule(t, func(w *world) {
		known := make(map[uint16]bool)
		for _, e := range catalog.Entries() {
			known[e.Command] = true
		}
		for _, c := range []uint16{0, 1, 0x0700, 0x0701, 0x0702, 0x0302, 0xffff} {
			if !known[c] && w.await(w.begin(pdu.Frame{Command: c, Body: []byte("x")})).ok {
				w.Errorf("command 0x%04x was answered", c)
			}
		}
	})
}

// attached is a message's attach_data; ok is false when the field is not there.
func attached(m proto.Message) (data []byte, ok bool) {
	r := m.ProtoReflect()
	f := r.Descriptor().Fields().ByNumber(attachData)
	if f == nil {
		return nil, false
	}
	return r.Get(f).Bytes(), r.Has(f)
}

func TestAttachDataComesBackByteForByte(t *testing.T) {
	every := make([]byte, 0, 70_000)
	for len(every) < cap(every) {
		every = append(every, byte(len(every)))
	}
	rule(t, func(w *world) {
		w.people()
		for _, e := range catalog.Entries() {
			field := e.Request.ProtoReflect().Descriptor().Fields().ByNumber(attachData)
			if field == nil || e.Answer == nil {
				continue
			}
			for _, data := range [][]byte{{}, {0}, []byte("attached"), {0xff, 0xfe, 0}, every} {
				req := filled(e.Request)
				req.ProtoReflect().Set(field, protoreflect.ValueOfBytes(data))
				answer := w.ask(req)
				if answer == nil {
					w.Fatalf("%s: no answer", e.Name())
				}
				if got, ok := attached(answer); !ok || !bytes.Equal(got, data) {
					w.Errorf("%s: %d bytes came back as %.20q, %t", e.Name(), len(data), got, ok)
				}
			}
		}
	})
}

func TestAnswersHaveAttachDataAlsoWhenTheRequestHadNone(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		for _, e := range catalog.Entries() {
			if e.Answer == nil {
				continue
			}
			answer := w.ask(filled(e.Request))
			if answer == nil {
				w.Fatalf("%s: no answer", e.Name())
			}
			// A message is its own answer: it has the field only if the request had.
			if data, ok := attached(answer); ok != (e.Command != 0x0301) || len(data) > 0 {
				w.Errorf("%s: attach_data %q, %t", e.Name(), data, ok)
			}
		}
	})
}

func TestRefusalsHaveAttachDataToo(t *testing.T) {
	rule(t, func(w *world) { // an empty store: nobody and nothing is there
		refused := 0
		for _, e := range catalog.Entries() {
			field := e.Request.ProtoReflect().Descriptor().Fields().ByNumber(attachData)
			if field == nil {
				continue
			}
			req := filled(e.Request)
			req.ProtoReflect().Set(field, protoreflect.ValueOfBytes([]byte("attached")))
			answer := w.ask(req)
			if answer == nil {
				continue
			}
			if data, _ := attached(answer); string(data) != "attached" {
				w.Errorf("%s: attach_data %q", e.Name(), data)
			}
			if f := answer.ProtoReflect().Descriptor().Fields().ByName("result_code"); f != nil &&
				answer.ProtoReflect().Get(f).Uint() == 1 {
				refused++
			}
		}
		if refused < 6 {
			w.Errorf("only %d requests were refused: the test does not test", refused)
		}
	})
}
