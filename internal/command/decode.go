package command

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
)

// decode parses a request as proto2 does in C++: a value that is not in its enum's list counts as
// if it had not been sent. Then a required field is missing, and an optional one absent. (Go's
// protobuf lets any number through.)
func decode(example proto.Message, body []byte) (proto.Message, error) {
	msg := catalog.New(example)
	if n := listed(msg.ProtoReflect().Descriptor().Fields(), body); n > maxListed {
		return nil, fmt.Errorf("%d bytes beside message and attach data, at most %d are taken", n,
			maxListed)
	}
	if err := proto.Unmarshal(body, msg); err != nil {
		return nil, err
	}
	m := msg.ProtoReflect()
	for _, f := range enumsOf(m.Descriptor()) {
		if !m.Has(f) || known(f, m.Get(f).Enum()) {
			continue
		}
		n, ok := lastKnown(f, body)
		switch {
		case ok:
			m.Set(f, protoreflect.ValueOfEnum(n))
		case f.Cardinality() == protoreflect.Required:
			return nil, fmt.Errorf("%s is %d, which is none of the values of %s", f.Name(),
				m.Get(f).Enum(), f.Enum().Name())
		default:
			m.Clear(f)
		}
	}
	return msg, nil
}

// enums are the fields of each kind of request that are enums, by its descriptor. A request is
// decoded far more often than there are kinds of it.
var enums sync.Map

func enumsOf(request protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	if found, ok := enums.Load(request); ok {
		return found.([]protoreflect.FieldDescriptor)
	}
	var found []protoreflect.FieldDescriptor
	for i := range request.Fields().Len() {
		if f := request.Fields().Get(i); f.Kind() == protoreflect.EnumKind {
			found = append(found, f)
		}
	}
	enums.Store(request, found)
	return found
}

// maxListed is how many bytes a request may have beside its fields of type bytes. It is enough for
// 150,000 ids. There is a limit because decoded lists take many times their size.
const maxListed = 1 << 20

// listed returns the size of all fields of a body that are not of type bytes.
func listed(fields protoreflect.FieldDescriptors, body []byte) int {
	rest := len(body)
	if rest <= maxListed {
		return rest
	}
	for b := body; len(b) > 0; {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			break
		}
		if f := fields.ByNumber(num); f != nil && f.Kind() == protoreflect.BytesKind {
			rest -= n
		}
		b = b[n:]
	}
	return rest
}

func known(f protoreflect.FieldDescriptor, n protoreflect.EnumNumber) bool {
	return f.Enum().Values().ByNumber(n) != nil
}

// lastKnown finds the last value in a message's bytes that is in the field's list. If the field was
// sent several times, it is the one that counts.
func lastKnown(
	f protoreflect.FieldDescriptor, body []byte,
) (last protoreflect.EnumNumber, ok bool) {
	for len(body) > 0 {
		num, typ, tag := protowire.ConsumeTag(body)
		_, _, n := protowire.ConsumeField(body)
		if n < 0 {
			break
		}
		if num == f.Number() && typ == protowire.VarintType {
			if v, _ := protowire.ConsumeVarint(body[tag:]); known(f, protoreflect.EnumNumber(v)) {
				last, ok = protoreflect.EnumNumber(v), true
			}
		}
		body = body[n:]
	}
	return last, ok
}
