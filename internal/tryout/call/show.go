package call

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// lineWidth is how many cells a line of these texts may take.
const lineWidth = 80

// List prints all requests.
func List(w io.Writer) error {
	t := terminal.Table{{"REQUEST", "COMMAND", "ANSWER", "WHAT IT IS FOR"}}
	for _, e := range catalog.Entries() {
		answer := "none"
		if e.Answer != nil {
			answer = fmt.Sprintf("0x%04x", e.AnswerCommand)
		}
		t = append(t, []string{e.Name(), fmt.Sprintf("0x%04x", e.Command), answer, e.About})
	}
	if err := t.Write(w); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, `
The answer to a ...Req is the ...Rsp of the same name. IMMsgData is answered by
itself, with the id that the message got. More about one:
  dbproxy call --describe IMUsersInfoReq
`)
	return err
}

// Example prints a filled request. Its bytes are in base64, as what is printed is to be sent.
func Example(w io.Writer, e catalog.Entry) error {
	m, err := catalog.Example(e, time.Now())
	if err != nil {
		return err
	}
	text, err := formatJSON(m, nil)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// Describe prints what a request and its answer consist of.
func Describe(w io.Writer, e catalog.Entry) error {
	docs, err := catalog.ReadDocs()
	if err != nil {
		return err
	}
	d := description{docs: docs}
	d.message(e.Request.ProtoReflect().Descriptor(), true)
	switch {
	case e.Answer == nil:
	case catalog.Name(e.Answer) == e.Name():
		d.out.WriteString("\nThe answer is the same message with msg_id filled in.\n")
	default:
		d.message(e.Answer.ProtoReflect().Descriptor(), false)
	}
	for i := 0; i < len(d.parts); i++ { // parts have parts, too
		switch part := d.parts[i].(type) {
		case protoreflect.MessageDescriptor:
			d.message(part, false)
		case protoreflect.EnumDescriptor:
			d.enum(part)
		}
	}
	_, err = w.Write(d.out.Bytes())
	return err
}

// description is a text about messages in the making.
type description struct {
	docs  catalog.Docs
	out   bytes.Buffer
	parts []protoreflect.Descriptor // messages and enums that fields are made of, each once
}

// heading begins the part of the text that is about one message or enum.
func (d *description) heading(of protoreflect.Descriptor) {
	if d.out.Len() > 0 {
		d.out.WriteByte('\n')
	}
	name := string(of.Name())
	about := d.docs.Of(of)
	if !strings.HasPrefix(about, name) {
		about = name + ": " + about
	}
	d.out.WriteString(terminal.Indent(about, "", lineWidth) + "\n")
}

// message writes about a message and its fields; with defaults, also what those get that are left
// out.
func (d *description) message(m protoreflect.MessageDescriptor, defaults bool) {
	d.heading(m)
	nameWidth, typeWidth := 0, 0
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		nameWidth, typeWidth = max(nameWidth, len(f.Name())), max(typeWidth, len(d.typeName(f)))
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		line := fmt.Sprintf("%4d  %-*s  %-*s  %s",
			f.Number(), nameWidth, f.Name(), typeWidth, d.typeName(f), f.Cardinality())
		if text, ok := catalog.Default(f); ok && defaults {
			if text == "" {
				text = "empty"
			}
			line += "; " + text + " if left out"
		}
		d.out.WriteString(line + "\n" + terminal.Indent(d.docs.Of(f), "      ", lineWidth) + "\n")
	}
}

// typeName is the type of a field. One that has a name of its own joins the parts.
func (d *description) typeName(f protoreflect.FieldDescriptor) string {
	var part protoreflect.Descriptor
	switch {
	case f.Message() != nil:
		part = f.Message()
	case f.Enum() != nil:
		part = f.Enum()
	default:
		return f.Kind().String()
	}
	for _, p := range d.parts {
		if p.FullName() == part.FullName() {
			return string(part.Name())
		}
	}
	d.parts = append(d.parts, part)
	return string(part.Name())
}

// enum writes about an enum and its values.
func (d *description) enum(e protoreflect.EnumDescriptor) {
	d.heading(e)
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		about := terminal.Indent(d.docs.Of(v), "      ", lineWidth)
		fmt.Fprintf(&d.out, "%4d  %s\n%s\n", v.Number(), v.Name(), about)
	}
}
