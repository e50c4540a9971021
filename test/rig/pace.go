package rig

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// FullFaults says that the long form of the fault tests was asked for: see "make faults".
func FullFaults() bool { return os.Getenv("FAULTS") == "full" }

// InFull is the value for the long form of the fault tests, or the one for the short form.
func InFull[T any](long, short T) T {
	if FullFaults() {
		return long
	}
	return short
}

// Pace measures how long answers take to come. It is safe for concurrent use.
type Pace struct {
	mu  sync.Mutex
	now Lap
}

// Lap is what was measured in a stretch of time.
type Lap struct {
	answers int
	late    int // later than late
	slowest time.Duration
}

// late is what an answer takes at most when nothing is wrong, on any machine but a very busy one. Nothing depends on it.
const late = 500 * time.Millisecond

// Note notes the answer to a request that was sent at begun.
func (p *Pace) Note(begun time.Time) {
	took := time.Since(begun)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.answers++
	if took > late {
		p.now.late++
	}
	p.now.slowest = max(p.now.slowest, took)
}

func (l Lap) String() string {
	return fmt.Sprintf("%d answered, %d of them after more than %v, the slowest after %v", l.answers, l.late, late,
		l.slowest.Round(time.Millisecond))
}

// Guarantee reports what a fault did to requests, in the form of docs/guarantees.md.
func Guarantee(t *testing.T, fault, meanwhile, back string) {
	t.Helper()
	t.Logf("guarantee: %s | meanwhile %s | back after %s", fault, meanwhile, back)
}

// Lap returns what was measured since it was called last.
func (p *Pace) Lap() Lap {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.now
	p.now = Lap{}
	return l
}

func Short(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// Seconds is how long something lasts in either form.
func Seconds(short, long int) time.Duration { return time.Duration(InFull(long, short)) * time.Second }

// Pause waits as long as a fault is to last.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
