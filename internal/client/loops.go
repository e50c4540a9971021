package client

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// outgoing is what writeLoop writes next.
type outgoing struct {
	bytes   []byte
	written chan<- error // gets nil when the bytes have left; holds one; may be nil
}

// writeLoop writes what comes through c.out, gathering what is ready into one write, and a
// heartbeat now and then.
func (c *Client) writeLoop() {
	w := bufio.NewWriterSize(c.conn, 64<<10)
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	heartbeat := pdu.Frame{Service: 7, Command: catalog.Heartbeat}.Append(nil)
	var told []chan<- error
	for {
		var o outgoing
		select {
		case <-c.done:
			return
		case <-tick.C:
			o.bytes = heartbeat
		case o = <-c.out:
		}
		told = told[:0]
		for more := true; more; {
			w.Write(o.bytes) // an error comes back from Flush
			if o.written != nil {
				told = append(told, o.written)
			}
			select {
			case o = <-c.out:
			default:
				more = false
			}
		}
		if err := w.Flush(); err != nil {
			c.end(err)
			return
		}
		for _, t := range told {
			t <- nil
		}
	}
}

// readLoop hands out answers until the connection ends; then it fails what is still in flight. It
// alone calls the functions in c.pending.
func (c *Client) readLoop() {
	r := pdu.NewReader(c.conn, maxAnswer)
	for {
		f, err := r.Next()
		if err == nil {
			err = c.take(f)
		}
		if err != nil {
			if err == io.EOF {
				err = fmt.Errorf("closed by the server (%w)", err)
			}
			c.end(err)
			break
		}
	}
	c.mu.Lock()
	left := c.pending
	c.pending = nil
	c.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(left)) {
		left[seq](pdu.Frame{}, c.lost())
	}
}

// take passes a frame to the request that it answers.
func (c *Client) take(f pdu.Frame) error {
	switch f.Command {
	case catalog.Heartbeat:
		return nil
	case catalog.StopReceiving:
		if !c.IsStopping() {
			close(c.stopping)
		}
		return nil
	}
	c.mu.Lock()
	answered, ok := c.pending[f.Seq]
	delete(c.pending, f.Seq)
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("a frame came that answers nothing: command 0x%04x, sequence number %d",
			f.Command, f.Seq)
	}
	answered(f, nil)
	return nil
}

// register takes a free sequence number for a request; answered is called with its answer.
func (c *Client) register(answered func(pdu.Frame, error)) (uint16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		return 0, c.lost()
	}
	seq, err := c.freeSeq()
	if err == nil {
		c.pending[seq] = answered
	}
	return seq, err
}

// forget takes back a registration; false when its function was called already, or is being called.
func (c *Client) forget(seq uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.pending[seq]
	delete(c.pending, seq)
	return ok
}

// freeSeq finds the next sequence number that is not in flight. The caller holds c.mu.
func (c *Client) freeSeq() (uint16, error) {
	if len(c.pending) >= maxInFlight {
		return 0, fmt.Errorf("client: %w", ErrBusy)
	}
	for {
		c.lastSeq++
		if _, used := c.pending[c.lastSeq]; !used && c.lastSeq != 0 {
			return c.lastSeq, nil
		}
	}
}
