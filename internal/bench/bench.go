// Package bench measures servers that speak the protocol: proxies, and originals. A Profile is a
// kind of load, such as pages, or texts to store. Prepare fills a store over the wire with what
// profiles ask for, and Run runs one of them. In closed loop so many requests are in flight all the
// time. In open loop so many are sent in a second, whatever becomes of them, and the time until an
// answer counts from when its request was to be sent: a server that stands still for a second
// cannot hide it. Grow measures kinds of request at each point of a Dimension, such as how many
// talks there are. What a load writes stays in the store, between users that it was given.
//
// A connection (conn) is a goroutine that sends and reads; in open loop one more goroutine sends on
// all connections (run.pace). What they learn is counted in a tally, which makes a Result. A kind
// has how a request is encoded and what its answer must be; users.go lays out who talks with whom.
package bench

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Options say how a load is run. Check says what they may be.
type Options struct {
	Addrs    []string      // of servers that share a store; connections are spread over them
	Users    Users         // between whom it writes
	Conns    int           // connections
	InFlight int           // requests on each that wait for their answers, in closed loop
	Rate     float64       // requests a second on all, in open loop; 0: closed loop
	Warmup   time.Duration // how long it runs before it counts
	For      time.Duration // how long it counts
	Size     int           // bytes of each text
	Timeout  time.Duration // after which a request counts as not answered
	Password string        // of all users, for logins; empty: there are none
	// Anyway is to use a store that has messages of others between these users.
	Anyway bool
	// Progress shows what is being done, and how far it has come, until stop is called; nil: nobody
	// wants to know.
	Progress func(what string, at func() string) (stop func())
}

// Defaults are options that load a server on a small machine.
func Defaults() Options {
	return Options{
		Users: Users{1_000_001, 1_001_000}, Conns: 16, InFlight: 8, Warmup: time.Second,
		For: 5 * time.Second, Size: 100, Timeout: 10 * time.Second,
	}
}

// maxWaiting bounds what one connection sends before it reads, in bytes: what a server does not
// read may not keep it from reading the server's answers.
const maxWaiting = 128 << 10

// Check returns an error if an option is out of its bounds, or too little for a profile.
func (o *Options) Check(profiles []Profile) error {
	for _, b := range []struct {
		what            string
		value, min, max float64
	}{
		{"connections", float64(o.Conns), 1, 10_000},
		{"requests in flight", float64(o.InFlight), 1, 1000},
		{"requests a second", o.Rate, 0, 1e6},
		{"seconds", o.For.Seconds(), 0.1, 3600},
		{"seconds of warm-up", o.Warmup.Seconds(), 0, 600},
		{"bytes of text", float64(o.Size), float64(len(mark)), 4096},
		{"seconds to wait for an answer", o.Timeout.Seconds(), 0.1, 60},
	} {
		if b.value < b.min || b.value > b.max {
			return fmt.Errorf("%s %s: it must be from %s to %s", figure(b.value), b.what,
				figure(b.min), figure(b.max))
		}
	}
	for i := range profiles {
		p := &profiles[i]
		if err := o.Users.check(p); err != nil {
			return err
		}
		if n := o.inFlight(p) * (o.Size + 64); n > maxWaiting && o.Rate == 0 {
			return fmt.Errorf("%s: %d requests in flight with texts of %d bytes are more than a "+
				"connection may have, which is %d bytes", p.Name, o.inFlight(p), o.Size, maxWaiting)
		}
		if p.needs.logins && o.Password == "" {
			return fmt.Errorf("%s: logins want the users' password", p.Name)
		}
	}
	return nil
}

// figure is a number for people, which may be no whole one.
func figure(n float64) string {
	if n == math.Trunc(n) {
		return Digits(n)
	}
	return strconv.FormatFloat(n, 'g', -1, 64)
}

// inFlight is how many requests of a profile wait on each connection in closed loop.
func (o *Options) inFlight(p *Profile) int {
	if p.inFlight > 0 {
		return p.inFlight
	}
	return o.InFlight
}

// person is a user who exists.
type person struct {
	id   uint32
	name string // for logins
}

// Bench is a load on a store that is prepared for some profiles.
type Bench struct {
	Options
	people []person // those of the users who exist, if a profile wants to know
	groups []group  // those that the load writes and reads
	talks  []pair   // those of a point of a dimension
	// Filled is what was written to prepare the store.
	Filled Filled
}

// Filled counts what was written to prepare a store.
type Filled struct {
	Texts  int `json:"texts"`
	Groups int `json:"groups"`
	Tokens int `json:"tokens"`
}

// showing is Options.Progress, which may be nil.
func (o *Options) showing(what string, at func() string) (stop func()) {
	if o.Progress == nil {
		return func() {}
	}
	return o.Progress(what, at)
}
