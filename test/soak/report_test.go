//go:build !race

package soak

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// soakTally is what became of requests.
type soakTally struct {
	done, refused int           // answered
	silent, lost  int           // not answered; the connection ended
	slowest       time.Duration // of those done
}

func (n *soakTally) failed() int { return n.refused + n.silent + n.lost }

// count notes a request's outcome.
func (s *soak) count(kind string, begun time.Time, add func(*soakTally)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcomes[kind] == nil {
		s.outcomes[kind] = new(soakTally)
	}
	add(s.outcomes[kind])
	failed := s.now.tally.failed()
	if add(&s.now.tally); s.now.tally.failed() > failed && begun.After(s.now.failed) {
		s.now.failed = begun
	}
}

// soakSample is what a proxy said of itself.
type soakSample struct {
	at                      time.Time
	memory, goroutines, fds float64
}

// watch looks at the first proxy every second, until the returned function is called.
func (s *soak) watch(t *testing.T) (stop func()) {
	line, err := s.Proxy(0).Log.Await(s.ctx, func(l harness.Line) bool { return l.Message == "listening" })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			sample, err := soakLook(ctx, line.Text("admin"))
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

// soakLook asks a proxy's metrics.
func soakLook(ctx context.Context, admin string) (sample soakSample, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return sample, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return sample, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return sample, err
	}
	sample.at = time.Now()
	for name, into := range map[string]*float64{"process_resident_memory_bytes": &sample.memory,
		"go_goroutines": &sample.goroutines, "process_open_fds": &sample.fds} {
		_, value, _ := strings.Cut(string(text), "\n"+name+" ")
		if _, err := fmt.Sscan(value, into); err != nil {
			return sample, fmt.Errorf("the metric %s: %w", name, err)
		}
	}
	return sample, nil
}

// What the proxy may have in the last quarter of the time, against the first: what is kept for talks that are in use
// comes on top, and what the runtime has not yet given back.
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
			t.Errorf("%s: %.0f in the first quarter, %.0f in the last; at most %.0f would do", name, first, last, limit)
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
	s.mu.Lock()
	var b strings.Builder
	fmt.Fprintf(&b, "%v of load, %d connections made, %d messages answered with an id, %d faults.\n\n", *soakFor,
		s.lines.Load(), s.sent.Acknowledged()+s.voiced(), len(happened))
	if s.brief {
		fmt.Fprint(&b, "In a run as short as this faults come every 2 s, and last a fraction of what their names say.\n\n")
	}
	fmt.Fprintln(&b, "| request | answered | refused | no answer | connection lost | slowest answer |\n|---|--:|--:|--:|--:|--:|")
	for _, kind := range slices.Sorted(maps.Keys(s.outcomes)) {
		fmt.Fprintf(&b, "| %s | %s |\n", kind, s.outcomes[kind])
	}
	fmt.Fprint(&b, "\nEach row counts from the beginning of such a fault until the next one. Normal is when the last request\n"+
		"that failed had been sent, and all proxies served:\n\n"+
		"| fault | times | answered | refused | no answer | connection lost | slowest answer | normal after (median) | (max) |\n"+
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, what := range soakFaults {
		var sum soakTally
		var normal []time.Duration
		for _, f := range happened {
			if f.name == what.name {
				normal = append(normal, f.normal())
				sum.add(f.tally)
			}
		}
		if len(normal) > 0 {
			fmt.Fprintf(&b, "| %s | %d | %s | %s | %s |\n", what.name, len(normal), &sum, rig.Short(median(normal)), rig.Short(slices.Max(normal)))
		}
	}
	s.mu.Unlock()
	fmt.Fprintln(&b, "\nThe proxy that lived through it all, medians of each quarter of the time:\n\n| | first | second | third | last |\n|---|--:|--:|--:|--:|")
	for _, name := range slices.Sorted(maps.Keys(soakValues)) {
		fmt.Fprintf(&b, "| %s |", name)
		for i := range 4 {
			fmt.Fprintf(&b, " %.0f |", s.quarter(i, soakValues[name]))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func (s *soak) voiced() (n int) {
	for _, sounds := range s.sounds {
		n += len(sounds)
	}
	return n
}

func (n *soakTally) add(m soakTally) {
	n.done, n.refused, n.silent, n.lost = n.done+m.done, n.refused+m.refused, n.silent+m.silent, n.lost+m.lost
	n.slowest = max(n.slowest, m.slowest)
}

func (n *soakTally) String() string {
	return fmt.Sprintf("%d | %d | %d | %d | %s", n.done, n.refused, n.silent, n.lost, rig.Short(n.slowest))
}
