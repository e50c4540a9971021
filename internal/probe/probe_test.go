package probe_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a prober at work, whose probes the test answers.
type running struct {
	*testing.T
	*probe.Prober
	begun chan chan bool // a probe sends its channel, and takes from it whether the server is well
	noted chan bool      // what was noted
}

func run(t *testing.T) *running {
	t.Helper()
	r := &running{t, probe.New(), make(chan chan bool), make(chan bool)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Prober.Run(ctx, time.Millisecond, func(ctx context.Context) func() bool {
			answer := make(chan bool)
			var well bool
			select {
			case r.begun <- answer:
			case <-ctx.Done():
			}
			select {
			case well = <-answer:
			case <-ctx.Done():
			}
			return func() bool {
				select {
				case r.noted <- well:
				case <-ctx.Done():
				}
				return well
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// until answers every probe in that way until such an answer was noted.
func (r *running) until(well bool) {
	r.Helper()
	for late := time.After(time.Minute); ; {
		select {
		case answer := <-r.begun:
			answer <- well
		case got := <-r.noted:
			if got == well {
				return
			}
		case <-late:
			r.Fatalf("%t was not noted", well)
		}
	}
}

func TestAServerIsProbedFromSuspicionUntilItIsWell(t *testing.T) {
	t.Parallel()
	r := run(t)
	r.Suspect()
	r.Suspect()
	for _, well := range []bool{false, false, true} {
		r.until(well)
	}
	r.Suspect()
	r.until(true)
}

func TestAProbeThatHangsHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	r := run(t)
	r.Suspect()
	r.until(false)
	<-r.begun // this one hangs
	r.until(true)
}
