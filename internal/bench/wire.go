package bench

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Requests are encoded here by hand, and answers are looked through without being decoded: a load
// shares a machine with the server that it measures, and must cost little.

// number appends a field with a number to a message.
func number(dst []byte, field protowire.Number, value uint32) []byte {
	dst = protowire.AppendTag(dst, field, protowire.VarintType)
	return protowire.AppendVarint(dst, uint64(value))
}

// text appends a field with a text to a message.
func text[T string | []byte](dst []byte, field protowire.Number, value T) []byte {
	dst = protowire.AppendTag(dst, field, protowire.BytesType)
	return append(protowire.AppendVarint(dst, uint64(len(value))), value...)
}

// glance is what an answer has at the first look.
type glance struct {
	entries int    // of the list that was looked for
	value   uint64 // of the number that was looked for; 0: there is none
}

var errNoMessage = errors.New("the answer is no message of protobuf")

// look looks an answer through for the entries of one of its fields, and for the number in another
// one; the field 0 is none.
func look(body []byte, list, value protowire.Number) (g glance, err error) {
	for len(body) > 0 {
		field, typ, n := protowire.ConsumeTag(body)
		if n < 0 {
			return g, errNoMessage
		}
		body = body[n:]
		switch typ {
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(body)
			if n = size; n >= 0 && field == value {
				g.value = v
			}
		case protowire.BytesType:
			length, size := protowire.ConsumeVarint(body)
			if size < 0 || length > uint64(len(body)-size) {
				return g, errNoMessage
			}
			if n = size + int(length); field == list {
				g.entries++
			}
		default:
			n = protowire.ConsumeFieldValue(field, typ, body)
		}
		if n < 0 {
			return g, errNoMessage
		}
		body = body[n:]
	}
	return g, nil
}

// wants returns an error if a list has not as many entries as it should.
func (g glance) wants(n int, what string) error {
	if g.entries != n {
		return fmt.Errorf("it has %d %s, not %d", g.entries, what, n)
	}
	return nil
}
