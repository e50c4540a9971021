package input

import (
	"encoding/binary"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
)

// TestBrokenLengths sends frame lengths that cannot be: that connection is closed, the others are
// not touched.
func TestBrokenLengths(t *testing.T) {
	p := rig.Start(t, rig.NewStore(t))
	other := rig.Dial(t, p)
	for _, length := range []uint32{0, 1, 5, 15, 16<<20 + 1, 1 << 31, 0xffffffff} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			w := rig.Connect(t, p)
			w.Fence(t, 1)
			header := pdu.Frame{Command: 0x0301}.Append(nil)
			binary.BigEndian.PutUint32(header, length)
			// What was glued before it is answered.
			glued := rig.FrameOf(t, &impb.IMQueryPushShieldReq{UserId: proto.Uint32(1)},
				2).Append(nil)
			w.Put(t, append(glued, header...))
			if f, err := w.Next(rig.Within(t)); err != nil || f.Seq != 2 {
				t.Errorf("the frame glued before it: %v, %v", f, err)
			}
			if err := w.AwaitClosed(rig.Within(t)); err != nil {
				t.Error(err)
			}
			w.AwaitRefusal(t, p, fmt.Sprintf("frame length %d", length))
			rig.CheckServed(t, other)
		})
	}
}

// TestCutFrames ends connections in the middle of frames.
func TestCutFrames(t *testing.T) {
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t)
		p, other := w.Proxy(0), w.Dial(t, 0)
		whole := rig.FrameOf(t, rig.PairText(1, 2, "never whole"), 1).Append(nil)
		for _, at := range []int{1, 4, 15, 16, 17, len(whole) - 1} {
			t.Run(fmt.Sprint(at), func(t *testing.T) {
				w := rig.Connect(t, p)
				w.Fence(t, 9)
				w.Put(t, whole[:at])
				if err := w.CloseWrite(); err != nil {
					t.Fatal(err)
				}
				if err := w.AwaitClosed(rig.Within(t)); err != nil {
					t.Error(err)
				}
				w.AwaitRefusal(t, p, "inside a frame")
				rig.CheckServed(t, other)
			})
		}
		if n := len(audit.ReadRows(t, w.DB)); n != 0 {
			t.Errorf("%d talks have messages", n)
		}
	})
}

// TestUnknownCommands sends commands that are none: the connection goes on, nothing comes back.
func TestUnknownCommands(t *testing.T) {
	p := rig.Start(t, rig.NewStore(t))
	w := rig.Connect(t, p)
	for i, command := range []uint16{0, 0x0100, 0x0302, 0x0704, 0x7777, 0xffff} {
		w.Put(t, pdu.Frame{Service: 3, Command: command, Seq: 100, Body: []byte{8, 1}}.Append(nil))
		w.Fence(t, uint16(i))
		w.AwaitRefusal(t, p, fmt.Sprintf("0x%04x", command))
	}
	rig.CheckServed(t, rig.Dial(t, p))
}

// TestBrokenBodies sends every request with each required field missing, with every enum out of
// range, and cut short. None is answered except the login, with no more than code 2 and its words.
func TestBrokenBodies(t *testing.T) { rig.OnStores(t, sendBrokenBodies) }

func sendBrokenBodies(t *testing.T, w *rig.Setup) {
	w.Start(t)
	p, other := w.Proxy(0), w.Dial(t, 0)
	for _, e := range catalog.Entries() {
		t.Run(e.Name(), func(t *testing.T) {
			w := rig.Connect(t, p)
			seq := uint16(1)
			for what, body := range brokenBodies(t, e) {
				seq++
				w.Put(t, pdu.Frame{Service: e.Service, Command: e.Command, Seq: seq,
					Body: body}.Append(nil))
				if e.Command == 0x0703 {
					checkFailedLogin(t, w, seq)
				}
				seq++
				w.Fence(t, seq)
				if t.Failed() {
					t.Fatalf("it was %s", what)
				}
			}
			w.AwaitRefusal(t, p, e.Name())
			rig.CheckServed(t, other)
		})
	}
}

// brokenBodies makes bodies that are no request of the entry's kind, by what is wrong with them.
func brokenBodies(t *testing.T, e catalog.Entry) map[string][]byte {
	t.Helper()
	full := rig.FrameOf(t, filled(e.Request), 0).Body
	bodies := map[string][]byte{
		"a broken tag":       append(full[:len(full):len(full)], 0xff),
		"a group not closed": append(full[:len(full):len(full)], 0xab, 0x06),
	}
	fields := e.Request.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Cardinality() != protoreflect.Required {
			continue
		}
		m := filled(e.Request)
		m.ProtoReflect().Clear(f)
		without := rig.FrameOf(t, m, 0).Body
		bodies["without "+string(f.Name())] = without
		if f.Kind() == protoreflect.EnumKind {
			for _, n := range []uint64{0, 3, 16, 1 << 31, 1<<64 - 1} {
				if f.Enum().Values().ByNumber(protoreflect.EnumNumber(n)) != nil {
					continue
				}
				bodies[fmt.Sprintf("with %s %d", f.Name(), n)] = protowire.AppendVarint(
					protowire.AppendTag(without[:len(without):len(without)], f.Number(),
						protowire.VarintType), n)
			}
		}
	}
	// something is required, so the empty body is broken, and so are bodies that are cut
	if len(bodies) > 2 {
		bodies["empty"] = nil
		bodies["cut"] = full[:len(full)-1]
	}
	return bodies
}

// checkFailedLogin takes the answer to a login that cannot be parsed.
func checkFailedLogin(t *testing.T, w *rig.Wire, seq uint16) {
	t.Helper()
	f, err := w.Next(rig.Within(t))
	if err != nil {
		t.Fatal(err)
	}
	want := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 2)
	want = protowire.AppendString(protowire.AppendTag(want, 3, protowire.BytesType),
		"服务端内部错误")
	if f.Command != 0x0704 || f.Service != 7 || f.Seq != seq || string(f.Body) != string(want) {
		t.Fatalf("it is answered with %+v", f)
	}
}

// TestOptionalEnumOutOfRange sends a token for a platform that there is not: it counts as absent,
// so the bare token is stored and not pushed to.
func TestOptionalEnumOutOfRange(t *testing.T) {
	rig.OnStores(t, func(t *testing.T, at *rig.Setup) {
		at.Start(t)
		w := rig.Connect(t, at.Proxy(0))
		req := &impb.IMDeviceTokenReq{UserId: proto.Uint32(1), DeviceToken: proto.String("token"),
			ClientType: new(impb.ClientType(99))}
		w.Put(t, rig.FrameOf(t, req, 1).Append(nil))
		if f, err := w.Next(rig.Within(t)); err != nil || f.Command != 0x0109 || f.Seq != 1 {
			t.Fatalf("got %v, %v", f, err)
		}
		tokens := rig.Call[*impb.IMGetDeviceTokenRsp](t, at.Dial(t, 0),
			&impb.IMGetDeviceTokenReq{UserId: []uint32{1}})
		if len(tokens.GetUserTokenInfo()) != 0 {
			t.Errorf("got %v", tokens)
		}
	})
}

// filled returns a request with every required field set to something plausible: user 1 of seed.sql
// and group 1, user 2 on the other side, the first value of each enum.
func filled(example proto.Message) proto.Message {
	req := catalog.New(example)
	m := req.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Cardinality() != protoreflect.Required {
			continue
		}
		switch f.Kind() {
		case protoreflect.EnumKind:
			m.Set(f, protoreflect.ValueOfEnum(f.Enum().Values().Get(0).Number()))
		case protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString("text"))
		case protoreflect.BytesKind:
			m.Set(f, protoreflect.ValueOfBytes([]byte("some data")))
		default:
			n := uint32(1)
			if f.Name() == "to_session_id" || f.Name() == "to_user_id" {
				n = 2
			}
			m.Set(f, protoreflect.ValueOfUint32(n))
		}
	}
	return req
}
