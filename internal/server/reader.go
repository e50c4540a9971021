package server

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// readRequests reads frames and starts their requests until reading ends, and returns why it did.
func (c *conn) readRequests() error {
	frames := pdu.NewReader(readerFunc(c.read), c.srv.cfg.MaxFrame)
	frames.Admit = c.admit
	for c.reading.Err() == nil {
		f, err := frames.Next()
		share := c.share
		c.srv.arriving.Release(c.large)
		c.share, c.large, c.frameDue = 0, 0, time.Time{}
		if err != nil {
			c.account.release(share, 0)
			if bad := (*pdu.LengthError)(nil); errors.As(err, &bad) {
				c.srv.badFrames.Add(1)
				c.log.Warn("protocol error, closing the connection", "reason", err.Error())
			}
			return err
		}
		if f.Command == cmdHeartbeat {
			c.account.release(share, 0)
			continue
		}
		if c.slots.Acquire(c.reading, 1) != nil {
			c.account.release(share, 0)
			break
		}
		c.start(f, share)
	}
	return context.Cause(c.reading)
}

// admit waits until the process has memory for a frame of frameLen bytes, and starts the frame's clock.
func (c *conn) admit(frameLen int) error {
	n := int64(frameLen) + requestOverhead
	if frameLen > pdu.SmallFrame {
		large := min(n, max(1, c.srv.cfg.MaxPending/2))
		if c.srv.arriving.Acquire(c.reading, large) != nil {
			return context.Cause(c.reading)
		}
		c.large = large
	}
	if c.account.budget.admit(c.reading, n) != nil {
		return context.Cause(c.reading)
	}
	c.share = n
	c.frameDue = time.Now().Add(c.srv.cfg.FrameTimeout)
	return nil
}

// readerFunc makes an io.Reader of a function.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// read reads what has come, waiting for it as long as the clocks allow. They run only in here: while the reader is
// elsewhere, they stand still.
func (c *conn) read(p []byte) (int, error) {
	for {
		due, reason, err := c.setClock()
		if err != nil {
			return 0, err
		}
		n, err := c.nc.Read(p)
		c.tally.bytesIn.Add(int64(n))
		c.srv.tally.bytesIn.Add(int64(n))
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		woken := time.Now().Before(due)
		if woken || reason == errDrained && c.inFlight() {
			continue
		}
		return 0, reason
	}
}

// setClock sets the deadline of the next read. It returns when that is and what it means if it passes, or an error if
// reading has ended.
func (c *conn) setClock() (due time.Time, reason, err error) {
	cfg := &c.srv.cfg
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading.Err() != nil {
		return due, nil, context.Cause(c.reading)
	}
	now := time.Now()
	switch {
	case c.draining:
		due, reason = now.Add(cfg.DrainQuiet), errDrained
	case !c.frameDue.IsZero() && c.frameDue.Before(now.Add(cfg.IdleTimeout)):
		due, reason = c.frameDue, c.srv.slowFrame
	default:
		due, reason = now.Add(cfg.IdleTimeout), c.srv.idle
	}
	return due, reason, c.nc.SetReadDeadline(due)
}
