// Package probe asks a server again and again whether it is well, from when trouble is suspected
// until it is well again.
package probe

import (
	"context"
	"sync"
	"time"
)

// Prober has a server probed once trouble is suspected. It is safe for concurrent use.
type Prober struct {
	suspected chan struct{} // holds one
}

// New returns a prober, which probes nothing before Run runs.
func New() *Prober { return &Prober{make(chan struct{}, 1)} }

// Suspect says that something has failed. It never waits.
func (p *Prober) Suspect() {
	select {
	case p.suspected <- struct{}{}:
	default: // a probe is wanted already
	}
}

// Run calls probe when trouble was suspected, and from then on again and again until the server is
// well. The time between two calls is at least every. A call does not wait for the one before it to
// return: a probe that hangs must not keep the next one from seeing that all is well.
//
// The function note, which probe returns, takes down what was found, and reports whether the server
// is well. Run calls one note at a time. It leaves out the note of a probe when that of a later one
// has been taken down.
//
// Run returns nil when ctx has ended and no probe is pending.
func (p *Prober) Run(
	ctx context.Context, every time.Duration, probe func(context.Context) (note func() (well bool)),
) error {
	type found struct {
		number int
		note   func() bool
	}
	var probes sync.WaitGroup
	defer probes.Wait()
	results := make(chan found)
	tick := time.NewTicker(every)
	defer tick.Stop()
	begun, noted := 0, 0 // numbers of probes
	well, wanted, mayProbe := true, false, true
	for {
		if wanted && mayProbe {
			wanted, mayProbe = false, false
			begun++
			number := begun
			probes.Go(func() {
				select {
				case results <- found{number, probe(ctx)}:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.suspected:
			wanted = true
		case <-tick.C:
			wanted, mayProbe = wanted || !well, true
		case f := <-results:
			if f.number > noted {
				noted, well = f.number, f.note()
			}
		}
	}
}
