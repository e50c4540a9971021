package server

import "time"

// Config has the server's limits and clocks. Every one must be positive: start from DefaultConfig.
type Config struct {
	// MaxFrame is the longest frame accepted, in bytes, header included. A longer one ends its connection.
	MaxFrame uint32
	// MaxPending is how many bytes of requests and their answers the process holds before it stops reading. It may be
	// exceeded by one frame, as a frame is admitted whenever the budget is not full, and by answers, which never wait.
	MaxPending int64
	// MaxConns is how many connections are served at once. One more is closed as soon as it is accepted.
	MaxConns int
	// MaxInFlight is how many requests of one connection may be under way at once, from Start until the answer is
	// written. While there are as many, the connection is not read.
	MaxInFlight int

	// RequestTimeout is the time a handler has for one request.
	RequestTimeout time.Duration
	// HeartbeatEvery is how long the server may be silent on a connection before it sends a heartbeat.
	HeartbeatEvery time.Duration
	// IdleTimeout is how long a peer may be silent, one byte being enough, before its connection is closed. While the
	// server itself does not read, this clock stands still.
	IdleTimeout time.Duration
	// FrameTimeout is how long an admitted frame may take to arrive. Without it, peers that dribble could hold the half
	// of the budget that is for large frames.
	FrameTimeout time.Duration
	// WriteTimeout is how long a peer may take to accept the next 64 KiB of its answers, or the last of them, before its
	// connection is closed.
	WriteTimeout time.Duration
	// DrainTimeout is how long Serve goes on after its context ended, at the most. The last quarter of it is for what is
	// in flight; nothing new is read then.
	DrainTimeout time.Duration
	// DrainQuiet is how long a connection with nothing in flight must be silent while draining before it is closed.
	DrainQuiet time.Duration
}

// DefaultConfig returns the limits for production: frames of 16 MiB, 256 MiB pending, 1024 connections with 1024
// requests each; 5 s for a request, a heartbeat every 5 s, 30 s of silence, 30 s for a frame, 30 s for a peer to take
// answers; 4 s to drain, 300 ms of quiet.
func DefaultConfig() Config {
	return Config{
		MaxFrame:       16 << 20,
		MaxPending:     256 << 20,
		MaxConns:       1024,
		MaxInFlight:    1024,
		RequestTimeout: 5 * time.Second,
		HeartbeatEvery: 5 * time.Second,
		IdleTimeout:    30 * time.Second,
		FrameTimeout:   30 * time.Second,
		WriteTimeout:   30 * time.Second,
		DrainTimeout:   4 * time.Second,
		DrainQuiet:     300 * time.Millisecond,
	}
}
