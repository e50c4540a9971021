package checkup

import (
	"context"
	"sync"
	"time"
)

// Lookout looks at a server when it is suspected of trouble, until it is well again.
type Lookout struct {
	suspected chan struct{} // holds one
}

// NewLookout returns a lookout. Run must run.
func NewLookout() *Lookout { return &Lookout{make(chan struct{}, 1)} }

// Suspect says that something has failed. It never waits. A nil Lookout does not care.
func (l *Lookout) Suspect() {
	if l == nil {
		return
	}
	select {
	case l.suspected <- struct{}{}:
	default: // it is to look already
	}
}

// Run calls look when something was suspected and then, until all is well, every so often, whether
// the looks before have come to an end or not: one that hangs does not keep the next one from seeing
// that all is well. What look returns notes what was found, and reports whether all is well. Notes
// are made one after the other; that of a look is left out when a later look was noted before. Run
// returns when ctx ends and no look is under way.
func (l *Lookout) Run(ctx context.Context, every time.Duration, look func(context.Context) (note func() (well bool))) error {
	type found struct {
		number int
		note   func() bool
	}
	var looks sync.WaitGroup
	defer looks.Wait()
	results := make(chan found)
	tick := time.NewTicker(every)
	defer tick.Stop()
	begun, noted := 0, 0 // looks
	well, wanted, mayLook := true, false, true
	for {
		if wanted && mayLook {
			wanted, mayLook = false, false
			begun++
			number := begun
			looks.Go(func() {
				select {
				case results <- found{number, look(ctx)}:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.suspected:
			wanted = true
		case <-tick.C:
			wanted, mayLook = wanted || !well, true
		case f := <-results:
			if f.number > noted {
				noted, well = f.number, f.note()
			}
		}
	}
}
