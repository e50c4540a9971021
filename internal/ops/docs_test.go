package ops_test

import (
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/teamtalk-go/dbproxy/internal/ops"
)

var (
	described  = regexp.MustCompile(`fqName: "(\w+)"`)
	documented = regexp.MustCompile("(?m)^\\| `(dbproxy_\\w+)`")
	mentioned  = regexp.MustCompile(`dbproxy_[a-z_]+`)
	// series are what a histogram's name ends with in queries.
	series = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// metrics are the names that the collectors describe.
func metrics() map[string]bool {
	there := make(map[string]bool)
	for _, c := range []prometheus.Collector{recorder(), ops.NewCollector(ops.Sources{})} {
		descriptions := make(chan *prometheus.Desc)
		go func() {
			defer close(descriptions)
			c.Describe(descriptions)
		}()
		for d := range descriptions {
			there[described.FindStringSubmatch(d.String())[1]] = true
		}
	}
	return there
}

// TestOperationsNamesEveryMetric compares the tables of docs/operations.md with what the collectors
// describe.
func TestOperationsNamesEveryMetric(t *testing.T) {
	text := read(t, operations)
	there := metrics()
	seen := make(map[string]bool)
	for _, m := range documented.FindAllStringSubmatch(text, -1) {
		if seen[m[1]] {
			t.Errorf("docs/operations.md explains %s twice", m[1])
		}
		seen[m[1]] = true
	}
	for name := range there {
		if !seen[name] {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
	}
	for _, name := range mentioned.FindAllString(text, -1) {
		if !there[name] && !there[series.ReplaceAllString(name, "")] {
			t.Errorf("docs/operations.md speaks of %s, which does not exist", name)
		}
	}
}
