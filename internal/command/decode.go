package command

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
)

// decode parses a request as proto2 does in C++: a value outside of an enum's list counts as if it had not been sent,
// so a required field is missing then and an optional one absent. (Go's protobuf lets any number through.)
func decode(example proto.Message, body []byte) (proto.Message, error) {
	msg := catalog.New(example)
	if err := proto.Unmarshal(body, msg); err != nil {
		return nil, err
	}
	m := msg.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Kind() != protoreflect.EnumKind || !m.Has(f) || known(f, m.Get(f).Enum()) {
			continue
		}
		n, ok := lastKnown(f, body)
		switch {
		case ok:
			m.Set(f, protoreflect.ValueOfEnum(n))
		case f.Cardinality() == protoreflect.Required:
			return nil, fmt.Errorf("%s is %d, which is none of the values of %s", f.Name(), m.Get(f).Enum(), f.Enum().Name())
		default:
			m.Clear(f)
		}
	}
	return msg, nil
}

func known(f protoreflect.FieldDescriptor, n protoreflect.EnumNumber) bool {
	return f.Enum().Values().ByNumber(n) != nil
}

// lastKnown finds the last value in a message's bytes that is in the field's list: it is the one that counts when the
// field was sent several times.
func lastKnown(f protoreflect.FieldDescriptor, body []byte) (last protoreflect.EnumNumber, ok bool) {
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		if n < 0 {
			return last, ok
		}
		body = body[n:]
		if num == f.Number() && typ == protowire.VarintType {
			if v, _ := protowire.ConsumeVarint(body); known(f, protoreflect.EnumNumber(v)) {
				last, ok = protoreflect.EnumNumber(v), true
			}
		}
		if n = protowire.ConsumeFieldValue(num, typ, body); n < 0 {
			return last, ok
		}
		body = body[n:]
	}
	return last, ok
}
