package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what a profile has shown. Times are in milliseconds.
type Result struct {
	Profile  string  `json:"profile"`
	Conns    int     `json:"connections"`
	InFlight int     `json:"in_flight"` // on each connection; 0: open loop
	Rate     float64 `json:"rate"`      // requests a second that were to be sent; 0: closed loop
	Seconds  float64 `json:"seconds"`   // how long was counted
	// Due is how many requests there were, but for those well answered in the warm-up: Answered,
	// Open and Failed together.
	Due       int64   `json:"due"`
	Answered  int64   `json:"answered"`   // good answers that came while it was counted
	Open      int64   `json:"open"`       // good answers that came later
	PerSecond float64 `json:"per_second"` // of those Answered
	Bytes     int64   `json:"bytes"`      // that these have
	// Yardstick is R, S or P, and Share the rate in shares of it.
	Yardstick string   `json:"yardstick"`
	Share     Share    `json:"share"`
	Latency   Latency  `json:"latency_ms"` // of those Answered and Open
	Failed    Failures `json:"failed"`     // also in the warm-up
	Cause     string   `json:"cause"`      // what was wrong with the first that failed
	Limits    []string `json:"limits"`     // of the server, which ended connections
	Kinds     []Kind   `json:"kinds"`      // of a profile that has several
	// Curve has a point for each of more and more high percentiles: so many percent of the
	// requests, those answered first, took at most so long.
	Curve []Point `json:"curve"`
}

// Kind is what one kind of request has shown in a profile of several.
type Kind struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"per_second"`
	Latency   Latency `json:"latency_ms"`
}

// Share is a rate in shares of a yardstick; 0, which is null in JSON: that was not measured.
type Share float64

// MarshalJSON makes JSON of it.
func (s Share) MarshalJSON() ([]byte, error) {
	if s == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(float64(s))
}

// Latency is how long answers took, in milliseconds. If there were none, it is zero, and null in
// JSON.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// MarshalJSON makes JSON of it.
func (l Latency) MarshalJSON() ([]byte, error) {
	if l == (Latency{}) {
		return []byte("null"), nil
	}
	type plain Latency
	return json.Marshal(plain(l))
}

// Point is a point of a curve.
type Point struct {
	Percent float64 `json:"percent"`
	Took    float64 `json:"ms"`
}

// latency reads a histogram of microseconds.
func latency(h *hdrhistogram.Histogram) Latency {
	at := func(percent float64) float64 { return float64(h.ValueAtQuantile(percent)) / 1000 }
	return Latency{at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1000}
}

// curve makes a curve of a histogram: eight points for each further nine of the percentage.
func curve(h *hdrhistogram.Histogram) (points []Point) {
	points = []Point{}
	for i := range 49 {
		share := math.Pow(10, -float64(i)/8) // of requests that took longer
		if share*float64(h.TotalCount()) < 1 {
			break
		}
		percent := 100 * (1 - share)
		points = append(points, Point{percent, float64(h.ValueAtQuantile(percent)) / 1000})
	}
	if h.TotalCount() > 0 {
		points = append(points, Point{100, float64(h.Max()) / 1000})
	}
	return points
}

// Trouble tells in words what failed, and which limits of the server ended connections; it is empty
// if all was as it should be.
func (r *Result) Trouble() (text string) {
	switch {
	case r.Answered == 0:
		text = fmt.Sprintf("nothing was answered in %.1f s", r.Seconds)
	case r.Queued():
		text = fmt.Sprintf("wanted %s a second, reached %s: a queue grew", Digits(r.Rate),
			Digits(r.PerSecond))
	}
	if text != "" && r.Open > 0 {
		text += fmt.Sprintf(", %s answered later", Digits(float64(r.Open)))
	}
	for _, f := range []struct {
		n    int64
		what string
	}{
		{r.Failed.Refused, "refused"}, {r.Failed.Wrong, "answered wrongly"},
		{r.Failed.Missing, "not answered in time"}, {r.Failed.Lost, "lost with their connections"},
	} {
		if f.n > 0 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%s %s", Digits(float64(f.n)), f.what)
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

// Queued says that in open loop clearly less was answered than was to be sent: by more than a
// twentieth, and than what is sent in a tenth of a second.
func (r *Result) Queued() bool {
	lacks := r.Rate*r.Seconds - float64(r.Answered+r.Failed.Refused+r.Failed.Wrong)
	return lacks > r.Rate*max(r.Seconds/20, 0.1)
}

// result sums up a run whose connections have all ended.
func (r *run) result(ends []end) *Result {
	res := &Result{Profile: r.profile.Name, Conns: r.Conns, Rate: r.Rate, Kinds: []Kind{},
		Yardstick: r.profile.Yardstick}
	if r.Rate == 0 {
		res.InFlight = r.inFlight(&r.profile)
	}
	sum := newTally(len(r.kinds), r.end+2*r.Timeout)
	for _, t := range r.tallies {
		for i, h := range t.took {
			sum.took[i].Merge(h)
			sum.answered[i] += t.answered[i]
		}
		res.Open += t.late
		res.Bytes += t.bytes
		res.Failed.Refused += t.failures.Refused
		res.Failed.Wrong += t.failures.Wrong
		res.Failed.Missing += t.failures.Missing
		res.Failed.Lost += t.failures.Lost
		if res.Cause == "" && t.cause != nil {
			res.Cause = t.cause.Error()
		}
	}
	last := slices.MaxFunc(ends, func(a, b end) int { return cmp.Compare(a.at, b.at) })
	res.Seconds = max(0, (min(last.at, r.end) - r.warm).Seconds())
	took := sum.took[0]
	for i, h := range sum.took {
		res.Answered += sum.answered[i]
		if len(r.kinds) > 1 {
			res.Kinds = append(res.Kinds, Kind{r.kinds[i].name,
				float64(sum.answered[i]) / max(res.Seconds, 0.001), latency(h)})
		}
		if i > 0 {
			took.Merge(h)
		}
	}
	res.Due = res.Answered + res.Open + res.Failed.Sum()
	res.PerSecond = float64(res.Answered) / max(res.Seconds, 0.001)
	res.Latency = latency(took)
	res.Curve = curve(took)
	res.Limits = limits(ends)
	return res
}

// limits tells which limits of the server ended connections, each with how many.
func limits(ends []end) []string {
	texts := []string{}
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
		texts = append(texts, fmt.Sprintf("%s of %s connections ended, the first after %.1f s: %s",
			Digits(float64(count[name])), Digits(float64(len(ends))), first[name].Seconds(), name))
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
		return fmt.Sprintf("%.0f of %.0f s, %s/s", (now - r.warm).Seconds(),
			(r.end - r.warm).Seconds(), Digits(rate))
	})
}
