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
	writeBuffer = 16 << 10 // in which small answers gather, bytes
	writePiece  = 64 << 10 // what a peer must take within WriteTimeout, bytes
)

// outgoing is a frame on its way to the peer.
type outgoing struct {
	frame pdu.Frame
	share int64 // of the budget, which its request holds with a slot; 0: the server's own frame, there is no request
}

// outbox is a connection's queue of frames. It is unbounded: what bounds it are the slots and the budget of the requests.
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

// close lets nothing more in.
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

// send queues the answer of a request. If the connection has ended, nobody will have it.
func (c *conn) send(answer pdu.Frame, share int64) {
	out := outgoing{frame: answer, share: share}
	c.account.queue(int64(answer.Len()))
	if !c.outbox.put(out) {
		c.settle([]outgoing{out})
	}
}

// settle gives back what answers and their requests held, and returns how many they were.
func (c *conn) settle(batch []outgoing) (n int64) {
	var requests, answers int64
	for _, out := range batch {
		if out.share > 0 {
			n++
			requests += out.share
			answers += int64(out.frame.Len())
		}
	}
	c.account.release(requests, answers)
	c.slots.Release(n)
	return n
}

// writeAnswers writes what is put into the outbox, all that is there in one go, until the outbox is closed and empty, or
// the peer takes no more.
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
		err := writeFrames(w, batch)
		n := c.settle(batch)
		if err != nil {
			c.kill(err)
			c.outbox.close()
			rest, _ := c.outbox.take()
			c.settle(rest)
			return
		}
		c.tally.answers.Add(n)
		c.srv.tally.answers.Add(n)
		if closed {
			return
		}
		if len(batch) > 0 {
			silent.Reset(every)
		}
	}
}

// writeFrames writes the frames; large bodies are not copied.
func writeFrames(w *bufio.Writer, batch []outgoing) error {
	for _, out := range batch {
		// The writer keeps its first error and Flush returns it.
		_, _ = w.Write(out.frame.AppendHeader(w.AvailableBuffer()))
		_, _ = w.Write(out.frame.Body)
	}
	return w.Flush()
}

// writerFunc makes an io.Writer of a function.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// write writes p in pieces, each of which the peer must take in time.
func (c *conn) write(p []byte) (written int, err error) {
	for written < len(p) && err == nil {
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout)) // fails when closed, as Write will
		var n int
		n, err = c.nc.Write(p[written:min(written+writePiece, len(p))])
		written += n
	}
	c.tally.bytesOut.Add(int64(written))
	c.srv.tally.bytesOut.Add(int64(written))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = c.srv.notTaken
	}
	return written, err
}
