package server

import "sync/atomic"

// tally counts what passed.
type tally struct {
	requests, answers, bytesIn, bytesOut atomic.Int64
}

// Stats is what a Server has counted. The first group only ever grows.
type Stats struct {
	Requests  int64 // frames given to the handler
	Answers   int64 // answers written
	BytesIn   int64 // read from peers, heartbeats and bad frames included
	BytesOut  int64 // written to peers, the server's own frames included
	Refused   int64 // connections closed at once because there were too many
	BadFrames int64 // connections closed because of a frame's length
	Panics    int64 // requests whose handler panicked

	Connections int   // open now
	Pending     int64 // bytes of requests under way and of unsent answers, now
	Unsent      int64 // bytes of unsent answers, now
}

// Stats returns the counts so far. They are taken one after the other, not at one instant.
func (s *Server) Stats() Stats {
	stats := Stats{
		Requests:  s.tally.requests.Load(),
		Answers:   s.tally.answers.Load(),
		BytesIn:   s.tally.bytesIn.Load(),
		BytesOut:  s.tally.bytesOut.Load(),
		Refused:   s.refused.Load(),
		BadFrames: s.badFrames.Load(),
		Panics:    s.panics.Load(),
	}
	s.mu.Lock()
	stats.Connections = len(s.conns)
	s.mu.Unlock()
	s.budget.mu.Lock()
	stats.Pending, stats.Unsent = s.budget.used, s.budget.unsent
	s.budget.mu.Unlock()
	return stats
}
