package server

import "time"

// Config has the server's limits and clocks. Every one must be positive, but for the rates, which
// may be 0: start from DefaultConfig.
type Config struct {
	// MaxFrame is the longest frame accepted, in bytes, header included. A longer one ends its
	// connection.
	MaxFrame uint32
	// MaxPending is how many bytes of pending requests and their answers the process holds before
	// it stops reading. Half of it belongs to the connections in equal parts, the other half goes
	// to whoever needs more. It may be exceeded by two frames, of which one comes quickly, and by
	// one answer.
	MaxPending int64
	// ConnShare is the most of MaxPending, in percent, that one connection may hold. While it holds
	// as much it is not read on. A single frame or answer may be longer.
	ConnShare int
	// MaxConns is how many connections are served at once. When all are taken, a new one gets the
	// slot of one that has been quiet for QuietTimeout, which is closed; if there is none, the new
	// one is closed as soon as it is accepted.
	MaxConns int
	// MaxInFlight is how many requests of one connection may be pending at once, each from Start
	// until its answer is written. While there are as many, the connection is not read.
	MaxInFlight int

	// RequestTimeout is the time a handler has for one request.
	RequestTimeout time.Duration
	// HeartbeatEvery is how long the server may be silent on a connection before it sends a
	// heartbeat.
	HeartbeatEvery time.Duration
	// IdleTimeout is how long a peer may be silent before its connection is closed; one byte is
	// enough to begin anew. While the server itself does not read, this clock stands still.
	IdleTimeout time.Duration
	// QuietTimeout is after how long without a request, heartbeats aside, and without an answer
	// that is owed to it, a connection may lose its slot to a new one when all are taken.
	QuietTimeout time.Duration
	// MinSendRate is how many bytes a second a peer must send of a frame that it has begun, and
	// MinTakeRate how many it must take of answers that wait for it. A peer that is slower
	// throughout RateWindow is closed. 0 means that any rate will do.
	MinSendRate, MinTakeRate int64
	RateWindow               time.Duration
	// DrainTimeout is how long Serve goes on after its context has ended, at the most. In the last
	// quarter of it nothing new is read: it is for the requests that are pending.
	DrainTimeout time.Duration
	// DrainQuiet is how long a connection without pending requests must be silent while draining
	// before it is closed.
	DrainQuiet time.Duration
}

// DefaultConfig returns the limits for production: frames of 16 MiB, 256 MiB pending, of which a
// connection may have 12 in 100, 1024 connections with 1024 requests each; 5 s for a request, a
// heartbeat every 5 s, 30 s of silence, 2 minutes without a request while others want the
// connection; at least 16 KiB/s, over 10 s; 4 s to drain, 300 ms of quiet.
func DefaultConfig() Config {
	return Config{
		MaxFrame:       16 << 20,
		MaxPending:     256 << 20,
		ConnShare:      12,
		MaxConns:       1024,
		MaxInFlight:    1024,
		RequestTimeout: 5 * time.Second,
		HeartbeatEvery: 5 * time.Second,
		IdleTimeout:    30 * time.Second,
		QuietTimeout:   2 * time.Minute,
		MinSendRate:    16 << 10,
		MinTakeRate:    16 << 10,
		RateWindow:     10 * time.Second,
		DrainTimeout:   4 * time.Second,
		DrainQuiet:     300 * time.Millisecond,
	}
}
