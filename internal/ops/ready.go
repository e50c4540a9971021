package ops

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// State is the result of a check.
type State string

// The states.
const (
	Good     State = "good"
	Doubtful State = "doubtful" // it works, but somebody should see to it: still ready
	Wrong    State = "wrong"    // requests fail: not ready
)

// Check is one thing that must be in order for the process to serve.
type Check struct {
	Name string // in lower case, unique
	// Probe returns a state and a few words for people; if the state is not good, they say what to
	// do. It must return soon after ctx ends, which is after a second. It is called when somebody
	// asks for /readyz, and never twice at once.
	Probe func(ctx context.Context) (State, string)
}

// checkTimeout is how long one check may take. A check that takes longer is wrong.
const checkTimeout = time.Second

// readiness answers /readyz.
type readiness struct {
	// base is the context of probes: one may outlive the request that asked for it, as the next
	// request may share it.
	base   context.Context
	checks []Check
	probes singleflight.Group // by name: those who ask at the same time share a probe
}

// verdict is the answer of /readyz.
type verdict struct {
	Ready  bool      `json:"ready"`
	Checks []finding `json:"checks"`
}

// finding is what a check found.
type finding struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Text  string `json:"text"`
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	v := verdict{Ready: true, Checks: make([]finding, len(r.checks))}
	var probing sync.WaitGroup
	for i, c := range r.checks {
		probing.Go(func() { v.Checks[i] = r.probe(c) })
	}
	probing.Wait()
	status := http.StatusOK
	for _, f := range v.Checks {
		if f.State == Wrong {
			v.Ready, status = false, http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // whoever asked may have left
}

// probe runs a check, or waits for the same check that runs already. It does not wait for longer
// than a check may take, and half as long again for a check that answers as its time ends.
func (r *readiness) probe(c Check) finding {
	timeout := time.NewTimer(checkTimeout + checkTimeout/2)
	defer timeout.Stop()
	found := r.probes.DoChan(c.Name, func() (any, error) {
		ctx, cancel := context.WithTimeout(r.base, checkTimeout)
		defer cancel()
		state, text := c.Probe(ctx)
		return finding{c.Name, state, text}, nil
	})
	select {
	case f := <-found:
		return f.Val.(finding)
	case <-timeout.C:
		return finding{c.Name, Wrong, "no answer within " + checkTimeout.String()}
	}
}
