package server

import "time"

// pace is the clock of a peer that must send or take at least so many bytes a second. It measures
// over windows of some seconds, so that a peer may pause. It belongs to one goroutine.
type pace struct {
	rate   int64 // bytes a second; 0: any
	window time.Duration

	begun time.Time // of the window; zero while nothing is to be sent or taken
	moved int64     // bytes in it
}

// due is when the window ends, if there is a rate. A window begins if there is none.
func (p *pace) due(now time.Time) (due time.Time, bounded bool) {
	if p.rate == 0 {
		return due, false
	}
	if p.begun.IsZero() {
		p.begun, p.moved = now, 0
	}
	return p.begun.Add(p.window), true
}

// tooSlow is whether the window is over and too little was moved in it. If it is over and enough
// was moved, the next one begins.
func (p *pace) tooSlow(now time.Time) bool {
	if p.rate == 0 || p.begun.IsZero() || now.Before(p.begun.Add(p.window)) {
		return false
	}
	if float64(p.moved) < float64(p.rate)*p.window.Seconds() {
		return true
	}
	p.begun, p.moved = now, 0
	return false
}

// rest ends the window: everything was sent or taken, or it is the server now that keeps the peer
// waiting.
func (p *pace) rest() { p.begun = time.Time{} }
