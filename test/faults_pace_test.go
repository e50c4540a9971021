package test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// fullFaults says that the long form of the fault tests was asked for: see "make faults".
func fullFaults() bool { return os.Getenv("FAULTS") == "full" }

// inFull is the value for the long form of the fault tests, or the one for the short form.
func inFull[T any](long, short T) T {
	if fullFaults() {
		return long
	}
	return short
}

// pace measures how long answers take to come. It is safe for concurrent use.
type pace struct {
	mu  sync.Mutex
	now lap
}

// lap is what was measured in a stretch of time.
type lap struct {
	answers int
	late    int // later than late
	slowest time.Duration
}

// late is what an answer takes at most when nothing is wrong, on any machine but a very busy one. Nothing depends on it.
const late = 500 * time.Millisecond

// note notes the answer to a request that was sent at begun.
func (p *pace) note(begun time.Time) {
	took := time.Since(begun)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.answers++
	if took > late {
		p.now.late++
	}
	p.now.slowest = max(p.now.slowest, took)
}

func (l lap) String() string {
	return fmt.Sprintf("%d answered, %d of them after more than %v, the slowest after %v", l.answers, l.late, late,
		l.slowest.Round(time.Millisecond))
}

// guarantee reports what a fault did to requests, in the form of docs/guarantees.md.
func guarantee(t *testing.T, fault, meanwhile, back string) {
	t.Helper()
	t.Logf("guarantee: %s | meanwhile %s | back after %s", fault, meanwhile, back)
}
