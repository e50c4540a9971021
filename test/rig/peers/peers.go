// Package peers has what peers of a server do in tests: hogs, which harm others where they can, and
// polite ones, which send and read beside them and must not be harmed.
package peers

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// Wait is how long a polite peer may wait beside any others. Ask fails at five times that.
const Wait = time.Second

// Ask sends a frame and returns the answer to it, heartbeats left aside, and how long that took. It
// sets the connection's deadline. The test fails when the answer does not come in time, or another
// frame comes.
func Ask(
	t testing.TB, c net.Conn, frames *pdu.Reader, f pdu.Frame,
) (answer pdu.Frame, took time.Duration) {
	t.Helper()
	begun := time.Now()
	err := c.SetDeadline(begun.Add(5 * Wait))
	if err == nil {
		_, err = c.Write(f.Append(nil))
	}
	for err == nil {
		if answer, err = frames.Next(); err == nil && answer.Command != catalog.Heartbeat {
			break
		}
	}
	took = time.Since(begun)
	if err != nil || answer.Seq != f.Seq {
		t.Fatalf("a polite peer sent command 0x%04x with number %d, and after %v "+
			"has command 0x%04x with number %d: %v",
			f.Command, f.Seq, took, answer.Command, answer.Seq, err)
	}
	return answer, took
}

// Push writes b so many times, or until the connection ends. Nobody reads the answers.
func Push(w io.Writer, b []byte, times int) {
	for range times {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// Sip reads n bytes every so often, until the connection ends.
func Sip(r io.Reader, n int64, every time.Duration) {
	for {
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			return
		}
		time.Sleep(every)
	}
}

// Dribble announces 16 MiB, sends 20 KB of them, and then a byte a second until the connection
// ends.
func Dribble(w io.Writer) {
	_, err := w.Write(Begun(16<<20, 20_000))
	for ; err == nil; time.Sleep(time.Second) {
		_, err = w.Write([]byte{1})
	}
}

// Begun returns the first sent bytes of a frame that has length bytes.
func Begun(length uint32, sent int) []byte {
	b := pdu.Frame{Service: 3, Command: 0x0301, Body: make([]byte, sent-pdu.HeaderLen)}.Append(nil)
	binary.BigEndian.PutUint32(b, length)
	return b
}
