package server

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// request is one frame, from its first bytes until its answer is written, and its handler's Peer.
type request struct {
	conn    *conn
	claim   claim
	command uint16
	seq     uint16
	cancel  context.CancelFunc
	placed  bool  // it has one of its connection's places
	extra   int64 // what it has reserved beside its frame
	ended   atomic.Bool
}

// String implements Peer.
func (r *request) String() string { return r.conn.peer }

// Conn implements Peer.
func (r *request) Conn() uint64 { return r.conn.number }

// Reserve implements Peer.
func (r *request) Reserve(ctx context.Context, bytes int64) error {
	if !r.placed {
		if err := r.conn.places.Acquire(ctx, 1); err != nil {
			return err
		}
		r.placed = true
	}
	select {
	case <-r.conn.account.gone:
		return ErrGone
	default:
	}
	if r.extra > 0 {
		r.claim.giveBack(r.extra)
		r.extra = 0
	}
	if bytes == 0 {
		return nil
	}
	err := r.claim.reserve(ctx, bytes)
	if err == nil {
		r.extra = bytes
	}
	return err
}

// start gives the frame of a request, which holds a slot and memory, to the handler.
func (c *conn) start(r *request, f pdu.Frame) {
	c.asked.Store(time.Now().UnixNano())
	c.tally.requests.Add(1)
	c.srv.tally.requests.Add(1)
	ctx, cancel := context.WithTimeout(c.srv.life, c.srv.cfg.RequestTimeout)
	r.command, r.seq, r.cancel = f.Command, f.Seq, cancel
	defer func() {
		if p := recover(); p != nil {
			c.srv.panics.Add(1)
			r.log().Error("handler panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r.end(pdu.Frame{}, false)
		}
	}()
	c.srv.handler.Start(ctx, r, f, r.finish)
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
	if r.placed {
		r.conn.places.Release(1)
	}
	r.conn.srv.finished.Add(1)
	if ok {
		r.conn.send(answer, r)
	} else {
		r.claim.release()
		r.conn.slots.Release(1)
	}
	return true
}

func (r *request) log() *slog.Logger {
	return r.conn.log.With("command", fmt.Sprintf("%#04x", r.command), "seq", r.seq)
}
