package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// Connect opens a bare connection, closed when the test ends.
func Connect(t *testing.T, p *harness.Proxy) *Wire {
	t.Helper()
	w, err := DialWire(t.Context(), p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// Put writes bytes.
func (w *Wire) Put(t *testing.T, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

// Fence has a question answered and fails the test when another frame comes before that answer.
func (w *Wire) Fence(t *testing.T, seq uint16) {
	t.Helper()
	w.Put(t, FrameOf(t, &impb.IMQueryPushShieldReq{UserId: proto.Uint32(1)}, seq).Append(nil))
	f, err := w.Next(Within(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.Command != 0x010f || f.Seq != seq {
		t.Fatalf("command 0x%04x with sequence number %d came instead of the answer to %d",
			f.Command, f.Seq, seq)
	}
}

// FrameOf makes the frame of a request, complete or not.
func FrameOf(t *testing.T, req proto.Message, seq uint16) pdu.Frame {
	t.Helper()
	e, err := catalog.Lookup(catalog.Name(req))
	if err != nil {
		t.Fatal(err)
	}
	body, err := proto.MarshalOptions{AllowPartial: true}.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	return pdu.Frame{Service: e.Service, Command: e.Command, Seq: seq, Body: body}
}

// AwaitRefusal waits for the line of the log that says why something of this connection was
// refused.
func (w *Wire) AwaitRefusal(t *testing.T, p *harness.Proxy, what string) {
	t.Helper()
	peer := w.LocalAddr().String()
	_, err := p.Log.Await(Within(t), func(l harness.Line) bool {
		return l.Text("peer") == peer && l.Message != "connection opened" &&
			strings.Contains(l.Raw, what)
	})
	if err != nil {
		t.Errorf("no line of the log has %s and %q: %v", peer, what, err)
	}
}

// Wire is a bare connection: bytes go out as they are, frames come in, heartbeats left aside. It is
// for what the client would not send, and for reading frames as they are. It belongs to one
// goroutine.
type Wire struct {
	*net.TCPConn
	Frames chan pdu.Frame // closed at the end
	// end is why it ended: io.EOF when the server closed. It is to be read after Frames is closed.
	end  error
	quit chan struct{} // closed by Close
}

// DialWire makes a bare connection to a proxy. The caller closes it.
func DialWire(ctx context.Context, addr string) (*Wire, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &Wire{TCPConn: conn.(*net.TCPConn), Frames: make(chan pdu.Frame),
		quit: make(chan struct{})}
	go func() {
		defer close(w.Frames)
		for r := pdu.NewReader(conn, 64<<20); ; {
			f, err := r.Next()
			if err != nil {
				w.end = err
				return
			}
			if f.Command == catalog.Heartbeat {
				continue
			}
			select {
			case w.Frames <- f:
			case <-w.quit:
				return
			}
		}
	}()
	return w, nil
}

// Close closes the connection and ends its reader.
func (w *Wire) Close() error {
	err := w.TCPConn.Close()
	close(w.quit)
	for range w.Frames {
	}
	return err
}

// Next waits for the next frame.
func (w *Wire) Next(ctx context.Context) (pdu.Frame, error) {
	select {
	case f, ok := <-w.Frames:
		if !ok {
			return f, fmt.Errorf("the connection ended: %w", w.end)
		}
		return f, nil
	case <-ctx.Done():
		return pdu.Frame{}, context.Cause(ctx)
	}
}

// AwaitClosed waits until the server closes the connection; a frame that comes instead is an error.
func (w *Wire) AwaitClosed(ctx context.Context) error {
	f, err := w.Next(ctx)
	switch {
	case err == nil:
		return fmt.Errorf("the server sent command 0x%04x instead of closing", f.Command)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}
