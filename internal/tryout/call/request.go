package call

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Request makes a request of kind e from its JSON and from data. What can be left out is filled in;
// when something else is missing, that is an error.
func Request(e catalog.Entry, text string, data Data) (proto.Message, error) {
	req := catalog.New(e.Request)
	opt := protojson.UnmarshalOptions{AllowPartial: true}
	if err := opt.Unmarshal([]byte(text), req); err != nil {
		return nil, jsonError(e, err)
	}
	if err := data.fill(req); err != nil {
		return nil, err
	}
	if missing := catalog.Fill(req, time.Now()); len(missing) > 0 {
		hint := ""
		if slices.Contains(missing, "msg_data") {
			hint = " (--text TEXT fills msg_data)"
		}
		return nil, fmt.Errorf("%s lacks %s%s; \"dbproxy call --describe %[1]s\" explains, "+
			"--example shows how", e.Name(), strings.Join(missing, ", "), hint)
	}
	return req, nil
}

// jsonError says what is wrong with the JSON for a request, and what its fields are if that helps.
func jsonError(e catalog.Entry, err error) error {
	// The library begins with its name and one of two kinds of space, so that nobody compares its
	// texts.
	what := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	what = strings.TrimSpace(strings.TrimPrefix(what, "proto:"))
	what = fieldNamed.ReplaceAllStringFunc(what, func(field string) string {
		return " field " + protoName(e.Request.ProtoReflect().Descriptor(),
			strings.TrimPrefix(field, " field "))
	})
	if strings.Contains(what, "invalid value for") {
		return fmt.Errorf("the JSON for %s is wrong: %s; "+
			"\"dbproxy call --describe %[1]s\" says what it may be", e.Name(), what)
	}
	if !strings.Contains(what, "unknown field") {
		return fmt.Errorf("the JSON for %s is wrong: %s; "+
			"\"dbproxy call --example %[1]s\" shows how it may look", e.Name(), what)
	}
	var names []string
	fields := e.Request.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		names = append(names, string(fields.Get(i).Name()))
	}
	return fmt.Errorf("the JSON for %s is wrong: %s; it has %s",
		e.Name(), what, strings.Join(names, ", "))
}

// fieldNamed finds the field that the library speaks of, by its name in JSON's usual form.
var fieldNamed = regexp.MustCompile(` field [A-Za-z0-9]+`)

// protoName is the name that a field of a message, or of one within it, has in proto/ and in all
// that we print, given its name in JSON's usual form: msg_type for msgType.
func protoName(m protoreflect.MessageDescriptor, name string) string {
	fields := m.Fields()
	if f := fields.ByJSONName(name); f != nil {
		return string(f.Name())
	}
	for i := range fields.Len() {
		if within := fields.Get(i).Message(); within != nil && within != m {
			if found := protoName(within, name); found != name {
				return found
			}
		}
	}
	return name
}

// Data is the data of a message, its msg_data, as the flags of "dbproxy call" give it.
type Data struct {
	Text, File string // the text, or the name of a file that has the data
	Seconds    uint32 // how long the sound in File is, if it is a voice message
	// IsText and IsVoice say that --text and --voice were given, whatever their values.
	IsText, IsVoice bool
}

// fill puts the data into the request, which must be of a kind that has data.
func (d Data) fill(req proto.Message) error {
	switch {
	case d.IsText && d.File != "":
		return errors.New("--text and --file both say what the data is; give one of them")
	case d.IsVoice && d.File == "":
		return errors.New("--voice is the duration of a voice message; " +
			"name the file with its sound, too: --file hello.spx")
	case !d.IsText && d.File == "":
		return nil
	}
	m, ok := req.(*impb.IMMsgData)
	if !ok {
		return fmt.Errorf("%s has no data for --text or --file to fill; IMMsgData has",
			catalog.Name(req))
	}
	if m.MsgData != nil {
		return errors.New("msg_data is in the JSON already; " +
			"leave it out, or leave --text and --file out")
	}
	m.MsgData = []byte(d.Text)
	if d.File != "" {
		sound, err := os.ReadFile(d.File)
		if err != nil {
			return fmt.Errorf("--file: %w", err)
		}
		m.MsgData = sound
	}
	if !d.IsVoice {
		return nil
	}
	if m.MsgType == nil {
		m.MsgType = impb.MsgType_MSG_TYPE_SINGLE_AUDIO.Enum()
	}
	switch *m.MsgType {
	case impb.MsgType_MSG_TYPE_SINGLE_AUDIO, impb.MsgType_MSG_TYPE_GROUP_AUDIO:
	default:
		return fmt.Errorf("--voice does not go with msg_type %v; leave msg_type out, "+
			"or for a group give MSG_TYPE_GROUP_AUDIO", *m.MsgType)
	}
	m.MsgData = append(binary.BigEndian.AppendUint32(nil, d.Seconds), m.MsgData...)
	return nil
}

// outOfList returns the enum fields of m whose number is no value of their enum. The server takes
// them for missing.
func outOfList(m protoreflect.Message) (fields []string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Enum() != nil && !f.IsList() && f.Enum().Values().ByNumber(v.Enum()) == nil {
			fields = append(fields, fmt.Sprintf("%s %d", f.Name(), v.Enum()))
		}
		return true
	})
	return fields
}
