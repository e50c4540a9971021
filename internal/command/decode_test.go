package command_test

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// askRaw sends a body as it is and returns the answer, nil for none.
func (w *world) askRaw(e catalog.Entry, body []byte) proto.Message {
	w.Helper()
	return w.decode(e, w.await(w.begin(pdu.Frame{Command: e.Command, Seq: 7, Body: body})))
}

// wantUnparsable checks that an answer is that to a body that does not parse: none, and to a login
// a bare result.
func wantUnparsable(w *world, what string, e catalog.Entry, answer proto.Message) {
	w.Helper()
	if e.Command != 0x0703 {
		if answer != nil {
			w.Errorf("%s: answered %v", what, answer)
		}
		return
	}
	rsp, ok := answer.(*impb.IMValidateRsp)
	if !ok || rsp.GetResultCode() != 2 || rsp.GetResultString() != "服务端内部错误" ||
		rsp.UserName != nil || rsp.AttachData != nil || rsp.UserInfo != nil {
		w.Errorf("%s: answered %v", what, answer)
	}
}

// fieldsOf calls f for every field of a request.
func fieldsOf(e catalog.Entry, f func(protoreflect.FieldDescriptor)) {
	fields := e.Request.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f(fields.Get(i))
	}
}

func TestABodyWithoutARequiredFieldDoesNotParse(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		for _, e := range catalog.Entries() {
			fieldsOf(e, func(f protoreflect.FieldDescriptor) {
				if f.Cardinality() != protoreflect.Required {
					return
				}
				req := filled(e.Request)
				req.ProtoReflect().Clear(f)
				wantUnparsable(w, fmt.Sprintf("%s without %s", e.Name(), f.Name()), e, w.ask(req))
			})
		}
	})
}

func TestARequiredEnumOutsideItsListIsMissing(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		for _, e := range catalog.Entries() {
			fieldsOf(e, func(f protoreflect.FieldDescriptor) {
				if f.Kind() != protoreflect.EnumKind || f.Cardinality() != protoreflect.Required {
					return
				}
				for _, n := range []protoreflect.EnumNumber{-1, 0, 3, 99, 1 << 30} {
					if f.Enum().Values().ByNumber(n) != nil {
						continue
					}
					req := filled(e.Request)
					req.ProtoReflect().Set(f, protoreflect.ValueOfEnum(n))
					wantUnparsable(w, fmt.Sprintf("%s with %s %d", e.Name(), f.Name(), n), e,
						w.ask(req))
				}
			})
		}
		for _, table := range []string{"IMRelationShip", "IMRecentSession", "IMProxyTalk"} {
			if n := w.raw.Count("SELECT COUNT(*) FROM " + table); n > 0 {
				w.Errorf("%d rows in %s", n, table)
			}
		}
	})
}

func TestANestedMessageWithoutARequiredFieldDoesNotParse(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		answer := w.ask(&impb.IMGroupInfoListReq{UserId: new(uint32(1)),
			GroupVersionList: []*impb.GroupVersionInfo{{GroupId: new(uint32(1))}}})
		if answer != nil {
			w.Errorf("answered %v", answer)
		}
	})
}

// enums is a body's field, once for every number.
func enums(body []byte, field protowire.Number, numbers ...int64) []byte {
	for _, n := range numbers {
		body = protowire.AppendVarint(protowire.AppendTag(body, field, protowire.VarintType),
			uint64(n))
	}
	return body
}

func TestOfAnEnumSentSeveralTimesTheLastValidCounts(t *testing.T) {
	rule(t, func(w *world) {
		e := entryOf(w, &impb.IMRemoveSessionReq{})
		rest, err := proto.MarshalOptions{AllowPartial: true}.Marshal(
			&impb.IMRemoveSessionReq{UserId: new(uint32(1)), SessionId: new(uint32(2))})
		if err != nil {
			w.Fatal(err)
		}
		for _, test := range []struct {
			sent []int64
			want impb.SessionType // 0: none
		}{
			{[]int64{1}, 1},
			{[]int64{1, 2}, 2},
			{[]int64{2, 1}, 1},
			{[]int64{2, 99}, 2},
			{[]int64{99, 1}, 1},
			{[]int64{1, 2, 0, -1, 77}, 2},
			{[]int64{99, 98}, 0},
			{[]int64{-1}, 0},
			{nil, 0},
			{[]int64{1<<32 + 2}, 2}, // as in C++: a varint is cut to 32 bits
		} {
			for name, body := range map[string][]byte{"before the rest": append(enums(nil, 2,
				test.sent...), rest...), "after the rest": enums(rest[:len(rest):len(rest)], 2,
				test.sent...)} {
				got := impb.SessionType(0)
				if answer := w.askRaw(e, body); answer != nil {
					got = answer.(*impb.IMRemoveSessionRsp).GetSessionType()
				}
				if got != test.want {
					w.Errorf("%v %s: counted as %d, want %d", test.sent, name, got, test.want)
				}
			}
		}
	})
}

func TestAnOptionalEnumOutsideItsListIsAbsent(t *testing.T) {
	rule(t, func(w *world) {
		e := entryOf(w, &impb.IMDeviceTokenReq{})
		for user, test := range map[uint32]struct {
			sent []int64
			want string
		}{
			1: {nil, "tok"},
			2: {[]int64{0x11}, "ios:tok"},
			3: {[]int64{99}, "tok"},
			4: {[]int64{0x12, 99}, "android:tok"},
			5: {[]int64{99, 0x11, 0, 98}, "ios:tok"},
			6: {[]int64{0x11, 0x12}, "android:tok"},
			7: {[]int64{0}, "tok"},
			8: {[]int64{1}, "tok"},
			9: {[]int64{0x11, 2}, "tok"},
		} {
			body, err := proto.Marshal(&impb.IMDeviceTokenReq{UserId: &user,
				DeviceToken: new("tok")})
			if err != nil {
				w.Fatal(err)
			}
			if w.askRaw(e, enums(body, 3, test.sent...)) == nil {
				w.Errorf("%v: no answer", test.sent)
			}
			w.raw.Want(fmt.Sprint("SELECT device FROM IMProxyDevice WHERE userId=", user),
				test.want)
		}
	})
}

func TestBodiesOfOtherFormsParseAsInProto2(t *testing.T) {
	rule(t, func(w *world) {
		w.people()
		e := entryOf(w, &impb.IMQueryPushShieldReq{})
		one := enums(nil, 1, 1) // user_id
		bytesField := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType),
			[]byte("x"))
		for name, test := range map[string]struct {
			body   []byte
			parses bool
		}{
			"as usual":         {one, true},
			"an unknown field": {enums(one[:len(one):len(one)], 500, 7), true},
			"an unknown text": {append(protowire.AppendBytes(protowire.AppendTag(nil,
				9, protowire.BytesType), []byte("x")), one...), true},
			"a field sent twice": {enums(nil, 1, 77, 1), true},
			"a number too long": {append(protowire.AppendTag(nil, 1,
				protowire.VarintType), 0x81, 0x80, 0x00), true},
			"empty":                {nil, false},
			"of another type only": {bytesField, false},
			"of another type, and right": {append(bytesField[:len(bytesField):len(bytesField)],
				one...), true},
			"cut off": {one[:1], false},
			"a text longer than the body": {append(one[:len(one):len(one)], 0xa2, 0x01, 0x7f),
				false},
			"field number 0":                {append(one[:len(one):len(one)], 0x00, 0x00), false},
			"an end of a group never begun": {append(one[:len(one):len(one)], 0x0c), false},
			"noise":                         {bytes.Repeat([]byte{0xff}, 11), false},
		} {
			answer := w.askRaw(e, test.body)
			if (answer != nil) != test.parses {
				w.Errorf("%s: answered %v", name, answer)
			}
			if rsp, ok := answer.(*impb.IMQueryPushShieldRsp); ok &&
				(rsp.GetUserId() != 1 || rsp.GetResultCode() != 0) {
				w.Errorf("%s: answered %v", name, rsp)
			}
		}
	})
}
