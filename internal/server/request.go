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

// request is one frame, from its first bytes until its answer is written. It is the Peer of its
// handler.
type request struct {
	conn  *conn
	claim claim
	// Set by the reader before Start, and never changed.
	command uint16
	seq     uint16
	due     deadline
	// Only the handler's goroutine uses these, until it calls finish.
	reading bool  // it holds one of its connection's read slots
	extra   int64 // bytes that it has reserved beside its frame

	ended atomic.Bool
}

// String implements Peer.
func (r *request) String() string { return r.conn.peer }

// Conn implements Peer.
func (r *request) Conn() uint64 { return r.conn.number }

// Reserve implements Peer.
func (r *request) Reserve(ctx context.Context, bytes int64) error {
	if !r.reading {
		if err := r.conn.reads.Acquire(ctx, 1); err != nil {
			return err
		}
		r.reading = true
	}
	select {
	case <-r.conn.account.gone:
		return ErrGone
	default:
	}
	if r.extra > 0 {
		r.claim.releasePart(r.extra)
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

// TryReserve implements Peer.
func (r *request) TryReserve(bytes int64) bool {
	select {
	case <-r.conn.account.gone:
		return false
	default:
	}
	if !r.reading {
		r.reading = r.conn.reads.TryAcquire(1)
	}
	if !r.reading || r.extra > 0 || bytes > 0 && !r.claim.tryReserve(bytes) {
		return false
	}
	r.extra = bytes
	return true
}

// start gives the frame of a request to the handler. The request holds a slot and its memory
// already.
func (c *conn) start(r *request, f pdu.Frame) {
	now := time.Now()
	c.asked.Store(now.UnixNano())
	c.tally.requests.Add(1)
	c.srv.tally.requests.Add(1)
	r.command, r.seq = f.Command, f.Seq
	r.due.life, r.due.at = c.srv.life, now.Add(c.srv.cfg.RequestTimeout)
	defer func() {
		if p := recover(); p != nil {
			c.srv.panics.Add(1)
			r.log().Error("handler panicked", "panic", fmt.Sprint(p), "stack",
				string(debug.Stack()))
			r.end(pdu.Frame{}, false)
		}
	}()
	c.srv.handler.Start(&r.due, r, f, r.finish)
}

// finish is what the handler calls when it is done.
func (r *request) finish(answer pdu.Frame, ok bool) {
	if !r.end(answer, ok) {
		r.log().Error("handler finished a request twice, the second is ignored")
	}
}

// end ends the request: it sends the answer, if ok, and releases what is not needed any more. It
// reports whether it was the first call; later ones do nothing.
func (r *request) end(answer pdu.Frame, ok bool) (first bool) {
	if r.ended.Swap(true) {
		return false
	}
	r.due.end()
	if r.reading {
		r.conn.reads.Release(1)
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
