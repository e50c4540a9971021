package bench

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a profile has shown. Durations are milliseconds.
type Result struct {
	Profile   string  `json:"profile"`
	Conns     int     `json:"connections"`
	InFlight  int     `json:"in_flight,omitempty"` // on each connection, in closed loop
	Rate      float64 `json:"rate,omitempty"`      // requests a second that were to be sent; 0: closed loop
	Seconds   float64 `json:"seconds"`             // how long was counted
	Answered  int64   `json:"answered"`            // good answers that came meanwhile
	PerSecond float64 `json:"per_second"`          // of these
	Bytes     int64   `json:"bytes"`               // that they have
	Latency   Latency `json:"latency_ms"`          // of what was sent meanwhile
	Failures  `json:"failed"`
	Cause     string   `json:"cause,omitempty"`  // what was wrong with the first failure
	Limits    []string `json:"limits,omitempty"` // of the server, which ended connections
	Kinds     []Kind   `json:"kinds,omitempty"`  // of a profile that has several

	took *hdrhistogram.Histogram
}

// Kind is what one kind of request has shown in a profile of several.
type Kind struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"per_second"`
	Latency   Latency `json:"latency_ms"`
}

// Latency is how long answers took, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// latency reads a histogram of microseconds.
func latency(h *hdrhistogram.Histogram) Latency {
	at := func(percent float64) float64 { return float64(h.ValueAtQuantile(percent)) / 1000 }
	return Latency{at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1000}
}

// Err is an error if something failed, or nothing was answered.
func (r *Result) Err() error {
	switch {
	case r.Sum() > 0:
		return fmt.Errorf("%s: %s", r.Profile, r.Trouble())
	case r.Answered == 0:
		return fmt.Errorf("%s: nothing was answered in %.1f s", r.Profile, r.Seconds)
	}
	return nil
}

// Trouble tells in words what failed, and which limits of the server were met.
func (r *Result) Trouble() (text string) {
	for _, f := range []struct {
		n    int64
		what string
	}{{r.Refused, "refused"}, {r.Wrong, "answered wrongly"}, {r.Missing, "not answered in time"},
		{r.Lost, "lost with their connections"}} {
		if f.n > 0 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%d %s", f.n, f.what)
		}
	}
	if r.Cause != "" {
		text += "; the first: " + r.Cause
	}
	for _, l := range r.Limits {
		text += "; " + l
	}
	return text
}

// result sums up a run whose connections have all ended.
func (r *run) result(ends []end) *Result {
	res := &Result{Profile: r.profile.Name, Conns: r.Conns, Rate: r.Rate}
	if r.Rate == 0 {
		res.InFlight = r.inFlight(r.profile)
	}
	sum := newTally(len(r.kinds), r.end+2*r.Timeout)
	for _, t := range r.tallies {
		for i, h := range t.took {
			sum.took[i].Merge(h)
			sum.answered[i] += t.answered[i]
		}
		res.Bytes += t.bytes
		res.Refused += t.failures.Refused
		res.Wrong += t.failures.Wrong
		res.Missing += t.failures.Missing
		res.Lost += t.failures.Lost
		if res.Cause == "" && t.cause != nil {
			res.Cause = t.cause.Error()
		}
	}
	last := slices.MaxFunc(ends, func(a, b end) int { return cmp.Compare(a.at, b.at) })
	res.Seconds = max(0, (min(last.at, r.end) - r.warm).Seconds())
	res.took = sum.took[0]
	for i, h := range sum.took {
		res.Answered += sum.answered[i]
		if len(r.kinds) > 1 {
			res.Kinds = append(res.Kinds, Kind{r.kinds[i].name,
				float64(sum.answered[i]) / max(res.Seconds, 0.001), latency(h)})
		}
		if i > 0 {
			res.took.Merge(h)
		}
	}
	res.PerSecond = float64(res.Answered) / max(res.Seconds, 0.001)
	res.Latency = latency(res.took)
	res.Limits = limits(ends)
	return res
}

// limits tells which limits of the server ended connections, each with how many.
func limits(ends []end) (texts []string) {
	var names []string
	count := make(map[string]int)
	first := make(map[string]time.Duration)
	for _, e := range ends {
		if e.err == nil {
			continue
		}
		name := e.err.Error()
		if count[name]++; count[name] == 1 {
			names = append(names, name)
			first[name] = e.at
		}
		first[name] = min(first[name], e.at)
	}
	for _, name := range names {
		texts = append(texts, fmt.Sprintf("%d of %d connections ended, the first after %.1f s: %s",
			count[name], len(ends), first[name].Seconds(), name))
	}
	return texts
}

// showProgress shows how far a run has come.
func (r *run) showProgress() (stop func()) {
	var mu sync.Mutex
	var before int64
	var then time.Duration
	return r.showing(r.profile.Name, func() string {
		mu.Lock()
		defer mu.Unlock()
		now, sum := r.now(), int64(0)
		for _, t := range r.tallies {
			t.mu.Lock()
			for _, n := range t.answered {
				sum += n
			}
			t.mu.Unlock()
		}
		if now < r.warm {
			return "warming up"
		}
		rate := float64(sum-before) / max(0.001, (now-max(then, r.warm)).Seconds())
		before, then = sum, now
		return fmt.Sprintf("%.0f of %.0f s, %.0f/s", (now - r.warm).Seconds(),
			(r.end - r.warm).Seconds(), rate)
	})
}
