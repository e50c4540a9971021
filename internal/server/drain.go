package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// Frames of the server's own have this service and sequence number 0.
const (
	serviceOther     = 7
	cmdHeartbeat     = 0x0701 // both ways; no body
	cmdStopReceiving = 0x0702 // to the peer: send your requests elsewhere
)

// stopReceivingBody is IMStopReceivePacket{result: 0}: field 1, a varint, is 0.
const stopReceivingBody = "\x08\x00"

var (
	errDrained  = errors.New("drained")
	errDeadline = errors.New("drain deadline passed")
)

// stuckGrace is how long Serve waits, after it has closed everything, for a Start that does not
// heed its context.
const stuckGrace = 100 * time.Millisecond

// drain tells every peer to stop sending, and closes each connection once it is quiet. When three
// quarters of DrainTimeout are over nothing more is read; at its end all that is left is closed.
func (s *Server) drain() error {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	within := func(d time.Duration) bool {
		select {
		case <-done:
			return true
		case <-time.After(d):
			return false
		}
	}

	s.each(func(c *conn) {
		c.outbox.put(outgoing{frame: pdu.Frame{
			Service: serviceOther, Command: cmdStopReceiving, Body: []byte(stopReceivingBody),
		}})
		c.stopWhenQuiet()
	})
	lastQuarter := s.cfg.DrainTimeout / 4
	if within(s.cfg.DrainTimeout - lastQuarter) {
		return nil
	}
	s.each(func(c *conn) { c.stop(errDrained) })
	if within(lastQuarter - lastQuarter/5) {
		return nil
	}
	s.end(errDeadline) // handlers give up, and may still say so
	if within(lastQuarter / 5) {
		return nil
	}
	left := 0
	s.each(func(c *conn) {
		left++
		c.kill(errDeadline)
	})
	within(stuckGrace)
	return fmt.Errorf("%w after %v: %d connections were not done", errDeadline, s.cfg.DrainTimeout,
		left)
}
