package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// wire is a bare connection: bytes go out as they are, frames come in, heartbeats left aside. It is for what the client
// would not send, and for looking at frames as they are. It belongs to one goroutine.
type wire struct {
	*net.TCPConn
	frames chan pdu.Frame // closed at the end
	end    error          // why it ended: io.EOF when the server closed; to be read after frames is closed
	quit   chan struct{}  // closed by Close
}

func dialWire(ctx context.Context, addr string) (*wire, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{TCPConn: conn.(*net.TCPConn), frames: make(chan pdu.Frame), quit: make(chan struct{})}
	go func() {
		defer close(w.frames)
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
			case w.frames <- f:
			case <-w.quit:
				return
			}
		}
	}()
	return w, nil
}

// Close closes the connection and ends its reader.
func (w *wire) Close() error {
	err := w.TCPConn.Close()
	close(w.quit)
	for range w.frames {
	}
	return err
}

// next waits for the next frame.
func (w *wire) next(ctx context.Context) (pdu.Frame, error) {
	select {
	case f, ok := <-w.frames:
		if !ok {
			return f, fmt.Errorf("the connection ended: %w", w.end)
		}
		return f, nil
	case <-ctx.Done():
		return pdu.Frame{}, context.Cause(ctx)
	}
}

// awaitClosed waits until the server closes the connection; a frame that comes instead is an error.
func (w *wire) awaitClosed(ctx context.Context) error {
	f, err := w.next(ctx)
	switch {
	case err == nil:
		return fmt.Errorf("the server sent command 0x%04x instead of closing", f.Command)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}
