package server

import (
	"bufio"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

const (
	// writeBuffer is the size of the buffer in which small answers gather, in bytes.
	writeBuffer = 16 << 10
	// writePiece is after how many bytes what was written is released, and how many are written in
	// one call.
	writePiece = 64 << 10
)

// outgoing is a frame on its way to the peer.
type outgoing struct {
	frame   pdu.Frame
	request *request // holds a slot, and the answer's memory; nil: it is the server's own frame
}

// outbox is a connection's queue of frames. It has no limit of its own: its requests hold slots and
// memory, which are limited.
type outbox struct {
	wake chan struct{} // holds a token when there is something new to see; capacity 1

	mu     sync.Mutex
	queue  []outgoing // guarded by mu
	closed bool       // guarded by mu
}

// put appends a frame, unless the outbox is closed. It never waits.
func (o *outbox) put(out outgoing) (queued bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	o.queue = append(o.queue, out)
	o.signal()
	return true
}

// close makes the outbox refuse frames from now on.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.signal()
}

// take empties the queue, and reports whether more can come.
func (o *outbox) take() (batch []outgoing, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch, o.queue = o.queue, nil
	return batch, o.closed
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// send queues the answer of a request. If the connection has ended, the answer is dropped.
func (c *conn) send(answer pdu.Frame, r *request) {
	out := outgoing{frame: answer, request: r}
	r.claim.answer(int64(answer.Len()))
	if !c.outbox.put(out) {
		c.release([]outgoing{out})
	}
}

// release releases the memory and slots of answers that were written or dropped, and forgets them.
// It returns how many answers they were.
func (c *conn) release(batch []outgoing) (n int64) {
	c.account.sent(batch)
	for i := range batch {
		if batch[i].request != nil {
			n++
		}
		batch[i] = outgoing{}
	}
	c.slots.Release(n)
	return n
}

// writeAnswers writes what is put into the outbox until the outbox is closed and empty, or the peer
// takes no more.
func (c *conn) writeAnswers() {
	every := c.srv.cfg.HeartbeatEvery
	silent := time.NewTimer(every)
	defer silent.Stop()
	w := bufio.NewWriterSize(writerFunc(c.write), writeBuffer)
	for {
		select {
		case <-c.outbox.wake:
		case <-silent.C:
			c.outbox.put(outgoing{frame: pdu.Frame{Service: serviceOther, Command: cmdHeartbeat}})
		}
		batch, closed := c.outbox.take()
		if err := c.writeFrames(w, batch); err != nil {
			c.kill(err)
			c.outbox.close()
			rest, _ := c.outbox.take()
			c.release(rest)
			return
		}
		if closed {
			return
		}
		if len(batch) > 0 {
			silent.Reset(every)
		}
	}
}

// writeFrames writes the frames, without copying large bodies. After each writePiece bytes it
// releases what was written.
func (c *conn) writeFrames(w *bufio.Writer, batch []outgoing) error {
	defer c.taking.rest()
	for len(batch) > 0 {
		n, bytes := 0, 0
		for n < len(batch) && bytes < writePiece {
			frame := &batch[n].frame
			// The writer keeps its first error and Flush returns it.
			_, _ = w.Write(frame.AppendHeader(w.AvailableBuffer()))
			_, _ = w.Write(frame.Body)
			bytes += frame.Len()
			n++
		}
		if err := w.Flush(); err != nil {
			c.release(batch)
			return err
		}
		answers := c.release(batch[:n])
		c.tally.answers.Add(answers)
		c.srv.tally.answers.Add(answers)
		batch = batch[n:]
	}
	return nil
}

// writerFunc makes an io.Writer of a function.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// write writes p as fast as the peer takes it. If the peer takes it too slowly, it ends the
// connection.
func (c *conn) write(p []byte) (written int, err error) {
	for written < len(p) {
		now := time.Now()
		// A deadline that is set already is kept, since to set one takes long: then the write
		// returns before it is due, and goes on.
		due, bounded := c.taking.due(now)
		if bounded && (!c.returns.After(now) || c.returns.After(due)) {
			c.returns = due
			_ = c.nc.SetWriteDeadline(due) // fails when closed, as Write will
		}
		n, err := c.nc.Write(p[written:min(written+writePiece, len(p))])
		written += n
		c.taking.moved += int64(n)
		c.tally.bytesOut.Add(int64(n))
		c.srv.tally.bytesOut.Add(int64(n))
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if (late || err == nil) && c.taking.tooSlow(time.Now()) {
			c.end(c.srv.notTaken)
			return written, c.srv.notTaken
		}
		if err != nil && !late {
			return written, err
		}
	}
	return written, nil
}
