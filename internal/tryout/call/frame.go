package call

import (
	"bytes"
	"fmt"
	"io"
	"net"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// tap is a connection that keeps what passes through it, if it is on. One goroutine writes to it,
// and with it to sent; one reads from it, and writes to received. Both must be done before explain
// is called.
type tap struct {
	net.Conn
	on             bool
	sent, received []byte
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	if t.on {
		t.sent = append(t.sent, b[:n]...)
	}
	return n, err
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if t.on {
		t.received = append(t.received, b[:n]...)
	}
	return n, err
}

// explain writes every frame that passed, in hex, with the meaning of its header's fields.
func (t *tap) explain(w io.Writer) error {
	var out bytes.Buffer
	explainFrames(&out, "sent", t.sent)
	explainFrames(&out, "received", t.received)
	_, err := w.Write(out.Bytes())
	return err
}

func explainFrames(out *bytes.Buffer, direction string, stream []byte) {
	for len(stream) > 0 {
		if len(stream) < pdu.HeaderLen {
			fmt.Fprintf(out, "%s: %d bytes, less than a header\n", direction, len(stream))
			dumpHex(out, stream, 0)
			return
		}
		h := pdu.ParseHeader([pdu.HeaderLen]byte(stream))
		frame := stream
		if h.Length >= pdu.HeaderLen && uint64(h.Length) <= uint64(len(stream)) {
			frame = stream[:h.Length]
		}
		explainFrame(out, direction, h, frame)
		stream = stream[len(frame):]
	}
}

// explainFrame writes one frame. It may be shorter than its header says, and be none at all.
func explainFrame(out *bytes.Buffer, direction string, h pdu.Header, frame []byte) {
	name := commandName(h.Command)
	fmt.Fprintf(out, "%s: %s, %d bytes\n", direction, name, len(frame))
	length := "of the whole frame, in bytes"
	if uint64(h.Length) != uint64(len(frame)) {
		length = fmt.Sprintf("which is not how much came: %d", len(frame))
	}
	service, ok := impb.ServiceID_name[int32(h.Service)]
	if !ok {
		service = "unknown"
	}
	line := func(field []byte, name string, value any, about string) {
		fmt.Fprintf(out, "  %-11s  %-8s  %6v  %s\n", fmt.Sprintf("% x", field), name, value, about)
	}
	line(frame[0:4], "length", h.Length, length)
	line(frame[4:6], "version", h.Version, "1 in this protocol")
	line(frame[6:8], "flag", h.Flag, "not used")
	line(frame[8:10], "service", h.Service, "the area: "+service)
	line(frame[10:12], "command", fmt.Sprintf("0x%04x", h.Command), "says what the body is: "+name)
	line(frame[12:14], "sequence", h.Seq, "chosen by the caller; the answer has the same")
	line(frame[14:16], "reserved", h.Reserved, "not used")
	if len(frame) == pdu.HeaderLen {
		fmt.Fprintln(out, "  no body")
		return
	}
	fmt.Fprintf(out, "  body, %d bytes of protobuf:\n", len(frame)-pdu.HeaderLen)
	dumpHex(out, frame[pdu.HeaderLen:], pdu.HeaderLen)
}

// commandName is the name of the message that goes with a command.
func commandName(command uint16) string {
	switch command {
	case catalog.Heartbeat:
		return "IMHeartBeat"
	case catalog.StopReceiving:
		return "IMStopReceivePacket"
	}
	for _, e := range catalog.Entries() {
		switch {
		case e.Command == command:
			return e.Name()
		case e.Answer != nil && e.AnswerCommand == command:
			return catalog.Name(e.Answer)
		}
	}
	return "unknown"
}

// dumpHex writes bytes, 16 a line, in hex and as text; the first is at that offset of its frame.
func dumpHex(out *bytes.Buffer, b []byte, offset int) {
	for len(b) > 0 {
		row := b[:min(16, len(b))]
		text := bytes.Clone(row)
		for i, c := range text {
			if c < ' ' || c > '~' {
				text[i] = '.'
			}
		}
		fmt.Fprintf(out, "  %06x  %-47s  |%s|\n", offset, fmt.Sprintf("% x", row), text)
		b, offset = b[len(row):], offset+len(row)
	}
}
