//go:build !race

package soak

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// outcomes counts the requests of the whole load, by kind.
func (s *soak) outcomes() map[string]*load.Tally {
	all := make(map[string]*load.Tally)
	s.Each(func(r *lines.Request) {
		if all[r.Kind] == nil {
			all[r.Kind] = new(load.Tally)
		}
		all[r.Kind].Add(r)
	})
	return all
}

// countFaults counts for each fault the requests from its beginning until the next one.
func (s *soak) countFaults(happened []*soakFault) {
	s.Each(func(r *lines.Request) {
		at, found := slices.BinarySearchFunc(happened, r.Begun,
			func(f *soakFault, begun time.Time) int { return f.begun.Compare(begun) })
		if !found {
			at--
		}
		if at < 0 {
			return
		}
		f := happened[at]
		if f.tally.Add(r); !r.Good && r.Begun.After(f.failed) {
			f.failed = r.Begun
		}
	})
}

// soakSample is what a proxy said of itself.
type soakSample struct {
	at                      time.Time
	memory, goroutines, fds float64
}

// watch probes the first proxy every second, until the returned function is called.
func (s *soak) watch(ctx context.Context, t *testing.T) (stop func()) {
	admin := rig.AdminAddr(t, s.Proxy(0))
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			sample, err := sampleOf(ctx, admin)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			s.mu.Lock()
			s.samples = append(s.samples, sample)
			s.mu.Unlock()
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}

// sampleOf asks a proxy's metrics.
func sampleOf(ctx context.Context, admin string) (sample soakSample, err error) {
	text, err := rig.ReadAdmin(ctx, admin, "/metrics")
	if err != nil {
		return sample, err
	}
	sample.at = time.Now()
	for name, into := range map[string]*float64{
		"process_resident_memory_bytes": &sample.memory,
		"go_goroutines":                 &sample.goroutines,
		"process_open_fds":              &sample.fds,
	} {
		if *into, err = rig.FindMetric(text, name); err != nil {
			return sample, err
		}
	}
	return sample, nil
}

// How much more the proxy may have in the last quarter of the time than in the first: what it keeps
// for talks that are in use, and what the runtime has not yet given back.
const (
	soakMemoryFactor = 1.5
	soakMemoryMore   = 24 << 20
	soakMoreThings   = 60 // goroutines, open files
)

// quarter is the median of a quarter of the samples.
func (s *soak) quarter(n int, value func(soakSample) float64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.samples[len(s.samples)*n/4 : len(s.samples)*(n+1)/4]
	if len(part) == 0 {
		return 0
	}
	var values []float64
	for _, sample := range part {
		values = append(values, value(sample))
	}
	return median(values)
}

func median[T cmp.Ordered](values []T) T {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// auditFlat sees that the proxy that has lived through it all has not grown.
func (s *soak) auditFlat(t *testing.T) {
	t.Helper()
	for name, value := range soakValues {
		first, last := s.quarter(0, value), s.quarter(3, value)
		limit := first + soakMoreThings
		if name == "memory, MiB" {
			limit = first*soakMemoryFactor + soakMemoryMore>>20
		}
		if first == 0 || last > limit {
			t.Errorf("%s: %.0f in the first quarter, %.0f in the last; at most %.0f would do", name,
				first, last, limit)
		}
	}
}

var soakValues = map[string]func(soakSample) float64{
	"memory, MiB": func(s soakSample) float64 { return s.memory / (1 << 20) },
	"goroutines":  func(s soakSample) float64 { return s.goroutines },
	"open files":  func(s soakSample) float64 { return s.fds },
}

// report is what people want to know of it, as tables.
func (s *soak) report(happened []*soakFault) string {
	s.countFaults(happened)
	outcomes := s.outcomes()
	var b strings.Builder
	fmt.Fprintf(&b,
		"%v of load, %d connections made, %d messages answered with an id, %d faults.\n\n",
		*soakFor, s.Lines(), outcomes[lines.Text].Done+outcomes[lines.Voice].Done, len(happened))
	if s.brief {
		fmt.Fprint(&b,
			"In a run as short as this faults come every 2 s, and last a fraction of what "+
				"their names say.\n\n")
	}
	fmt.Fprint(&b,
		"| request | answered | refused | no answer | connection lost | slowest answer |\n"+
			"|---|--:|--:|--:|--:|--:|\n")
	for _, kind := range slices.Sorted(maps.Keys(outcomes)) {
		fmt.Fprintf(&b, "| %s | %s |\n", kind, cells(outcomes[kind]))
	}
	fmt.Fprint(&b,
		"\nEach row counts from the beginning of such a fault until the next one. Normal is "+
			"when the last request\nthat failed had been sent, and all proxies served:\n\n"+
			"| fault | times | answered | refused | no answer | connection lost | slowest answer "+
			"| normal after (median) | (max) |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, what := range soakFaults {
		var sum load.Tally
		var normal []time.Duration
		for _, f := range happened {
			if f.name == what.name {
				normal = append(normal, f.normal())
				sum.Sum(f.tally)
			}
		}
		if len(normal) > 0 {
			fmt.Fprintf(&b, "| %s | %d | %s | %s | %s |\n", what.name, len(normal), cells(&sum),
				rig.Short(median(normal)), rig.Short(slices.Max(normal)))
		}
	}
	fmt.Fprint(&b,
		"\nThe proxy that lived through it all, medians of each quarter of the time:\n\n"+
			"| | first | second | third | last |\n|---|--:|--:|--:|--:|\n")
	for _, name := range slices.Sorted(maps.Keys(soakValues)) {
		fmt.Fprintf(&b, "| %s |", name)
		for i := range 4 {
			fmt.Fprintf(&b, " %.0f |", s.quarter(i, soakValues[name]))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// cells are the columns of a table.
func cells(n *load.Tally) string {
	return fmt.Sprintf("%d | %d | %d | %d | %s", n.Done, n.Refused, n.Silent, n.Lost,
		rig.Short(n.Slowest))
}
