package server

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// readRequests reads frames and starts their requests until reading ends. It returns why that was.
func (c *conn) readRequests() error {
	frames := pdu.NewReader(readerFunc(c.read), c.srv.cfg.MaxFrame)
	frames.Admit = c.admit
	defer func() { c.next.claim.release() }()
	for c.reading.Err() == nil {
		f, err := frames.Next()
		c.sending.rest()
		c.admitted, c.took = 0, 0
		if err != nil {
			if bad := (*pdu.LengthError)(nil); errors.As(err, &bad) {
				c.srv.badFrames.Add(1)
				c.log.Info("protocol error, closing the connection", "reason", err.Error())
			}
			return err
		}
		c.framed += int64(f.Len())
		if f.Command == cmdHeartbeat {
			c.next.claim.release()
			continue
		}
		if c.slots.Acquire(c.reading, 1) != nil {
			break
		}
		r := c.next
		c.next = c.newRequest()
		c.start(r, f)
	}
	return context.Cause(c.reading)
}

// unsure is how much of the time that a frame has taken does not count as its peer's: it may have
// been this machine that was late.
const unsure = 250 * time.Millisecond

// admit waits until the frame that is being read may have so many bytes of memory in all; length is
// how long the frame is, in bytes. Then the peer's pace is measured anew.
func (c *conn) admit(bytes, length int) error {
	// the pace of a frame that has just begun is not known
	more, needs := bytes-c.admitted, quickly+1
	if c.admitted == 0 {
		more += requestOverhead
		c.frameEnds.Store(c.framed + int64(length))
	} else { // all that was admitted before has come
		left := float64(length-c.admitted) / float64(c.admitted)
		needs = time.Duration(left * float64(max(0, c.took-unsure)))
	}
	if err := c.next.claim.grow(c.reading, int64(more), needs); err != nil {
		return cmp.Or(context.Cause(c.reading), err)
	}
	c.admitted = bytes
	c.sending.rest()
	return nil
}

// readerFunc makes an io.Reader of a function.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// read reads what has come, and waits for it as long as the clocks allow. The clocks run only in
// here: while the reader is elsewhere, they stand still.
func (c *conn) read(p []byte) (int, error) {
	if c.admitted > 0 {
		c.arriving.Store(&c.next.claim)
		defer c.arriving.Store(nil)
	}
	for {
		due, reason, err := c.setClock()
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		n, err := c.nc.Read(p)
		if c.admitted > 0 {
			c.took += time.Since(begun)
		}
		c.sending.moved += int64(n)
		c.tally.bytesIn.Add(int64(n))
		c.srv.tally.bytesIn.Add(int64(n))
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		now := time.Now()
		switch {
		case now.Before(due): // it was woken
		case reason == errDrained && c.hasPending():
		case reason == c.srv.slowFrame && !c.sending.tooSlow(now):
		default:
			return 0, reason
		}
	}
}

// setClock returns the deadline of the next read and the reason for which the connection is closed
// if it passes, or an error if reading has ended. It has the read return then, or before: a
// deadline that is set already is kept, since to set one takes long.
func (c *conn) setClock() (due time.Time, reason, err error) {
	cfg := &c.srv.cfg
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading.Err() != nil {
		return due, nil, context.Cause(c.reading)
	}
	now := time.Now()
	due, reason = now.Add(cfg.IdleTimeout), c.srv.idle
	if c.draining {
		due, reason = now.Add(cfg.DrainQuiet), errDrained
	} else if inside := c.tally.bytesIn.Load() > c.framed; inside {
		if c.sending.tooSlow(now) {
			return due, nil, c.srv.slowFrame
		}
		if end, bounded := c.sending.due(now); bounded && end.Before(due) {
			due, reason = end, c.srv.slowFrame
		}
	}
	if c.wakes.After(now) && !c.wakes.After(due) {
		return due, reason, nil
	}
	c.wakes = due
	return due, reason, c.nc.SetReadDeadline(due)
}
