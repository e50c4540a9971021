package server

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// tally counts what has passed.
type tally struct {
	requests, answers, bytesIn, bytesOut atomic.Int64
}

// Stats is what a Server has counted. The first group only ever grows.
type Stats struct {
	Requests  int64 // frames given to the handler
	Answers   int64 // answers written
	BytesIn   int64 // read from peers, heartbeats and bad frames included
	BytesOut  int64 // written to peers, the server's own frames included
	Opened    int64 // connections served
	Refused   int64 // connections closed at once because there were too many
	BadFrames int64 // connections closed because of a frame's length
	Panics    int64 // requests whose handler panicked

	// Closed is how many of the connections served have ended, by why. It has every reason that
	// there is: "peer" (the peer closed it), "idle" (nothing came for IdleTimeout), "slow_frame"
	// (MinSendRate), "not_taken" (the peer did not take its answers: MinTakeRate), "held_most"
	// (others waited for the memory that it held), "made_room" (it was quiet, and a new one needed
	// its slot), "bad_frame" (a length that cannot be), "drained" (the server stopped), "deadline"
	// (it stopped, and could not wait any longer), "error" (anything else, such as a reset).
	Closed map[string]int64

	Connections int   // open now
	InFlight    int64 // requests that the handler has not finished yet
	// bytes of pending requests and of unsent answers now, reserved memory included
	Pending int64
	Unsent  int64 // bytes of unsent answers now
}

// closeReason is why a connection ended, for counting.
type closeReason uint8

const (
	byPeer closeReason = iota
	byIdle
	bySlowFrame
	byNotTaken
	byHeldMost
	byMadeRoom
	byBadFrame
	byDrain
	byDeadline
	byError
	closeReasons // how many there are
)

func (r closeReason) String() string {
	return [closeReasons]string{
		"peer", "idle", "slow_frame", "not_taken", "held_most", "made_room", "bad_frame", "drained",
		"deadline", "error",
	}[r]
}

// closeReason tells which reason an error is with which a connection ended.
func (s *Server) closeReason(cause error) closeReason {
	bad := (*pdu.LengthError)(nil)
	switch {
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF):
		return byPeer
	case errors.Is(cause, s.idle):
		return byIdle
	case errors.Is(cause, s.slowFrame):
		return bySlowFrame
	case errors.Is(cause, s.notTaken):
		return byNotTaken
	case errors.Is(cause, errHeldMost):
		return byHeldMost
	case errors.Is(cause, errMadeRoom):
		return byMadeRoom
	case errors.As(cause, &bad):
		return byBadFrame
	case errors.Is(cause, errDrained):
		return byDrain
	case errors.Is(cause, errDeadline):
		return byDeadline
	default:
		return byError
	}
}

// Stats returns the counts so far. They are taken one after the other, not at one instant.
func (s *Server) Stats() Stats {
	finished := s.finished.Load() // before Requests, so that the difference is never negative
	stats := Stats{
		Requests:  s.tally.requests.Load(),
		Answers:   s.tally.answers.Load(),
		BytesIn:   s.tally.bytesIn.Load(),
		BytesOut:  s.tally.bytesOut.Load(),
		Opened:    s.opened.Load(),
		Refused:   s.refused.Load(),
		BadFrames: s.badFrames.Load(),
		Panics:    s.panics.Load(),
		Closed:    make(map[string]int64, closeReasons),
	}
	stats.InFlight = stats.Requests - finished
	for r := range closeReasons {
		stats.Closed[r.String()] = s.closed[r].Load()
	}
	s.mu.Lock()
	stats.Connections = len(s.conns)
	s.mu.Unlock()
	s.budget.mu.Lock()
	stats.Pending, stats.Unsent = s.budget.used, s.budget.unsent
	s.budget.mu.Unlock()
	return stats
}
