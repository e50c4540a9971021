package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// request is one frame under way in the handler.
type request struct {
	conn    *conn
	command uint16
	seq     uint16
	share   int64 // of the budget
	cancel  context.CancelFunc
	ended   atomic.Bool
}

// start gives a frame, which holds a slot and share bytes of the budget, to the handler.
func (c *conn) start(f pdu.Frame, share int64) {
	c.tally.requests.Add(1)
	c.srv.tally.requests.Add(1)
	ctx, cancel := context.WithTimeout(c.srv.life, c.srv.cfg.RequestTimeout)
	r := &request{conn: c, command: f.Command, seq: f.Seq, share: share, cancel: cancel}
	defer func() {
		if p := recover(); p != nil {
			c.srv.panics.Add(1)
			r.log().Error("handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r.end(pdu.Frame{}, false)
		}
	}()
	c.srv.handler.Start(ctx, c, f, r.finish)
}

// finish is what the handler calls.
func (r *request) finish(answer pdu.Frame, ok bool) {
	if !r.end(answer, ok) {
		r.log().Error("handler finished a request twice, the second is ignored")
	}
}

// end sends the answer, if ok, and lets the request's deadline go. It reports whether it was the first to.
func (r *request) end(answer pdu.Frame, ok bool) (first bool) {
	if r.ended.Swap(true) {
		return false
	}
	r.cancel()
	r.conn.srv.finished.Add(1)
	if ok {
		r.conn.send(answer, r.share)
	} else {
		r.conn.account.release(r.share, 0)
		r.conn.slots.Release(1)
	}
	return true
}

func (r *request) log() *slog.Logger {
	return r.conn.log.With("command", fmt.Sprintf("%#04x", r.command), "seq", r.seq)
}
