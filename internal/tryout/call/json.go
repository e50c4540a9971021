package call

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// formatJSON is a message as indented JSON with the names of the .proto files, empty lists
// included, and a line break at the end. Bytes are shown as decoded has them, in base64 where it is
// nil.
func formatJSON(m proto.Message, decoded decoder) ([]byte, error) {
	opt := protojson.MarshalOptions{
		UseProtoNames: true, EmitDefaultValues: true, AllowPartial: true,
	}
	raw, err := opt.Marshal(m)
	if err == nil && decoded != nil {
		raw, err = decoded.object(raw, m.ProtoReflect().Descriptor())
	}
	if err != nil {
		return nil, fmt.Errorf("writing %s as JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	var out bytes.Buffer
	// This also evens out the spaces that protojson varies.
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// decoder says how the bytes of a field are shown.
type decoder func(field string, value []byte) string

// object is the JSON of a message with its bytes shown as d has them, and all else as it was.
func (d decoder) object(raw []byte, kind protoreflect.MessageDescriptor) ([]byte, error) {
	in := json.NewDecoder(bytes.NewReader(raw))
	if _, err := in.Token(); err != nil { // the opening brace
		return nil, err
	}
	out := []byte{'{'}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, err
		}
		f := kind.Fields().ByName(protoreflect.Name(fmt.Sprint(name)))
		if f == nil {
			return nil, fmt.Errorf("%s has no field %v", kind.Name(), name)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = fmt.Appendf(out, "%q:", f.Name())
		if value, err = d.value(value, f); err != nil {
			return nil, err
		}
		out = append(out, value...)
	}
	return append(out, '}'), nil
}

// value is object for what one field has.
func (d decoder) value(value []byte, f protoreflect.FieldDescriptor) ([]byte, error) {
	switch {
	case f.Message() != nil && f.IsList():
		var items []json.RawMessage
		if err := json.Unmarshal(value, &items); err != nil {
			return nil, err
		}
		for i := range items {
			item, err := d.object(items[i], f.Message())
			if err != nil {
				return nil, err
			}
			items[i] = item
		}
		return marshalPlain(items)
	case f.Message() != nil:
		return d.object(value, f.Message())
	case f.Kind() == protoreflect.BytesKind:
		var b []byte
		if err := json.Unmarshal(value, &b); err != nil {
			return nil, err
		}
		return marshalPlain(d(string(f.Name()), b))
	}
	return value, nil
}

// marshalPlain is json.Marshal that leaves < and & as they are: nobody puts this into a web page.
func marshalPlain(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(out.Bytes()), err
}

// decoding shows bytes as decodedBytes does, and the texts of messages as people wrote them.
func decoding(texts chat.TextCipher) decoder {
	return func(field string, value []byte) string {
		if field == "msg_data" || field == "latest_msg_data" {
			value = []byte(texts.Readable(string(value)))
		}
		return decodedBytes(value)
	}
}

// decodedBytes is b as text if it is some, and else "base64:" and its base64.
func decodedBytes(b []byte) string {
	isControl := func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r)
	}
	if utf8.Valid(b) && bytes.IndexFunc(b, isControl) < 0 {
		return string(b)
	}
	return "base64:" + base64.StdEncoding.EncodeToString(b)
}
