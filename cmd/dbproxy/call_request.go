package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// request makes a request of kind e from JSON, which args has or points to, the data given by flags, and defaults.
func (c *calling) request(ctx context.Context, e catalog.Entry, args []string) (proto.Message, error) {
	text := "{}"
	if len(args) > 0 {
		text = args[0]
	}
	if text == "-" {
		if terminal.Is(c.in) {
			fmt.Fprintln(c.notes, "Type the JSON of the request; Ctrl-D ends it.")
		}
		b, err := terminal.Interruptible(ctx, func() ([]byte, error) { return io.ReadAll(c.in) })
		if err != nil {
			return nil, fmt.Errorf("reading JSON from standard input: %w", err)
		}
		if text = string(b); strings.TrimSpace(text) == "" {
			return nil, errors.New("standard input is empty; \"-\" reads JSON from it")
		}
	}
	req := catalog.New(e.Request)
	if err := (protojson.UnmarshalOptions{AllowPartial: true}).Unmarshal([]byte(text), req); err != nil {
		return nil, jsonError(e, err)
	}
	if err := c.data.fill(req); err != nil {
		return nil, err
	}
	if missing := catalog.Fill(req, time.Now()); len(missing) > 0 {
		hint := ""
		if slices.Contains(missing, "msg_data") {
			hint = " (--text TEXT fills msg_data)"
		}
		return nil, fmt.Errorf("%s lacks %s%s; \"dbproxy call --describe %[1]s\" explains, --example shows how",
			e.Name(), strings.Join(missing, ", "), hint)
	}
	return req, nil
}

// jsonError says what is wrong with the JSON for a request, and what its fields are if that helps.
func jsonError(e catalog.Entry, err error) error {
	// The library begins with its name and a space of one kind or the other, so that nobody compares its texts.
	what := strings.TrimSpace(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto:"))
	if !strings.Contains(what, "unknown field") {
		return fmt.Errorf("the JSON for %s is wrong: %s; \"dbproxy call --example %[1]s\" shows how it may look", e.Name(), what)
	}
	var names []string
	fields := e.Request.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		names = append(names, string(fields.Get(i).Name()))
	}
	return fmt.Errorf("the JSON for %s is wrong: %s; it has %s", e.Name(), what, strings.Join(names, ", "))
}

// callData is a message's data as flags give it.
type callData struct {
	text, file      string
	seconds         uint32
	isText, isVoice bool // the flags --text and --voice were given, whatever their values
}

// fill puts the data into the request, which must be one that has a place for it.
func (d callData) fill(req proto.Message) error {
	switch {
	case d.isText && d.file != "":
		return errors.New("--text and --file both say what the data is; give one of them")
	case d.isVoice && d.file == "":
		return errors.New("--voice is the duration of a voice message; name the file with its sound, too: --file hello.spx")
	case !d.isText && d.file == "":
		return nil
	}
	m, ok := req.(*impb.IMMsgData)
	if !ok {
		return fmt.Errorf("%s has no data for --text or --file to fill; IMMsgData has", catalog.Name(req))
	}
	if m.MsgData != nil {
		return errors.New("msg_data is in the JSON already; leave it out, or leave --text and --file out")
	}
	m.MsgData = []byte(d.text)
	if d.file != "" {
		sound, err := os.ReadFile(d.file)
		if err != nil {
			return fmt.Errorf("--file: %w", err)
		}
		m.MsgData = sound
	}
	if !d.isVoice {
		return nil
	}
	if m.MsgType == nil {
		m.MsgType = impb.MsgType_MSG_TYPE_SINGLE_AUDIO.Enum()
	}
	switch *m.MsgType {
	case impb.MsgType_MSG_TYPE_SINGLE_AUDIO, impb.MsgType_MSG_TYPE_GROUP_AUDIO:
	default:
		return fmt.Errorf("--voice does not go with msg_type %v; leave msg_type out, or for a group give MSG_TYPE_GROUP_AUDIO",
			*m.MsgType)
	}
	m.MsgData = append(binary.BigEndian.AppendUint32(nil, d.seconds), m.MsgData...)
	return nil
}

// outOfList returns the enum fields of m whose number is no value of their enum: the server takes them for missing.
func outOfList(m protoreflect.Message) (fields []string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Enum() != nil && !f.IsList() && f.Enum().Values().ByNumber(v.Enum()) == nil {
			fields = append(fields, fmt.Sprintf("%s %d", f.Name(), v.Enum()))
		}
		return true
	})
	return fields
}
