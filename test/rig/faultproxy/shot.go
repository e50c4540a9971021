package faultproxy

import (
	"math/rand/v2"
	"sync"
)

// Shot is a fault that waits for a certain request. Its methods may be called at any time from any
// goroutine.
type Shot struct {
	kind  kind
	match func(request) bool

	done     chan struct{}  // closed when it has fired once
	released chan struct{}  // closed by Release
	held     sync.WaitGroup // commands that are held

	mu       sync.Mutex // guards what follows, and serialises match and when
	when     When
	disarmed bool
	matched  int
	fired    int
}

type kind int

const (
	before kind = iota
	after
	hold
)

// When says for which matching requests a shot fires; they are counted from 1, over all
// connections.
type When func(match int) bool

// Nth is for the n-th matching request alone.
func Nth(n int) When { return func(match int) bool { return match == n } }

// Every is for every k-th matching request.
func Every(k int) When { return func(match int) bool { return match%k == 0 } }

// Chance is for a share of the matching requests, 0 to 1, by lot; the same seed draws the same
// lots. It belongs to one shot.
func Chance(share float64, seed uint64) When {
	lots := rand.New(rand.NewPCG(seed, 0))
	return func(int) bool { return lots.Float64() < share }
}

// BeforeMySQL ends the connection instead of passing on a query for which match is true. It first
// lets the server close its side; a transaction that was open is rolled back then, or a moment
// after. match may be called for a text of several statements, and must not call the proxy.
func (p *Proxy) BeforeMySQL(match func(query string) bool, when When) *Shot {
	return p.arm(newShot(before, matchQuery(match), when))
}

// AfterMySQL passes such a query on, waits until the server has executed all of it, and ends the
// connection without passing on any of the answer. When the shot has fired, what the query
// committed is visible to all; a transaction that it left open is rolled back then, or a moment
// after. It does not fire if the server ends without an answer.
func (p *Proxy) AfterMySQL(match func(query string) bool, when When) *Shot {
	return p.arm(newShot(after, matchQuery(match), when))
}

// BeforeRedis ends the connection instead of passing on a command for which match is true, and what
// was sent after it. Commands sent before it are executed; their answers may be lost. args are the
// command's name, in upper case, and its arguments; match must not call the proxy.
func (p *Proxy) BeforeRedis(match func(args []string) bool, when When) *Shot {
	return p.arm(newShot(before, matchCommand(match), when))
}

// AfterRedis passes such a command on, with what had come together with it (the rest of its
// pipeline), waits until the server has executed it all, and ends the connection without passing on
// any of their answers. Those to commands sent before may be lost, too. That a command was executed
// does not say that it worked: an EVALSHA's answer may have been NOSCRIPT. It does not fire if the
// server ends without an answer.
func (p *Proxy) AfterRedis(match func(args []string) bool, when When) *Shot {
	return p.arm(newShot(after, matchCommand(match), when))
}

// HoldRedis holds such a command until Release, and on its connection all that is sent after it. It
// has fired when the command is held. It is delivered, and its answer passed on, whether or not the
// client has closed the connection meanwhile; but not after a Cut.
func (p *Proxy) HoldRedis(match func(args []string) bool, when When) *Shot {
	return p.arm(newShot(hold, matchCommand(match), when))
}

func newShot(k kind, match func(request) bool, when When) *Shot {
	return &Shot{kind: k, match: match, when: when, done: make(chan struct{}),
		released: make(chan struct{})}
}

// Done is closed when the shot has fired for the first time: the connection is ended, or the
// command is held.
func (s *Shot) Done() <-chan struct{} { return s.done }

// Fired is how often it has fired.
func (s *Shot) Fired() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fired
}

// Matched is how many requests it has seen that matched, whether or not it was for them.
func (s *Shot) Matched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.matched
}

// Disarm lets all further requests pass. What is ending, or held, stays so.
func (s *Shot) Disarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disarmed = true
}

// Release disarms a shot of HoldRedis and delivers what it holds. When it returns the server has
// been sent it, which may not have read it yet; a frozen proxy makes it wait. It may be called once
// or more often.
func (s *Shot) Release() {
	s.mu.Lock()
	s.disarmed = true
	select {
	case <-s.released:
	default:
		close(s.released)
	}
	s.mu.Unlock()
	s.held.Wait()
}

// takes reports whether a request is the shot's; one to be held counts as such from now until it is
// settled.
func (s *Shot) takes(r request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disarmed || !s.match(r) {
		return false
	}
	s.matched++
	if !s.when(s.matched) {
		return false
	}
	if s.kind == hold {
		s.held.Add(1)
	}
	return true
}

func (s *Shot) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fired++
	if s.fired == 1 {
		close(s.done)
	}
}
