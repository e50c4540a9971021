package documents

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

var (
	sampleBlock = regexp.MustCompile("(?s)```json\n(.*?)```")
	checkRow    = regexp.MustCompile(
		"(?m)^\\| `([a-z]+)` \\| (?:never|no more|the proxy was|the proxies|the records)")
	partOf    = regexp.MustCompile(`(?m)^dbproxy_degraded\{part="(\w+)"\}`)
	onlyRedis = regexp.MustCompile(`(?m)^dbproxy_store_call_`)
)

// checkNames are the names of the checks of a /readyz, which must be written as it is served.
func checkNames(t *testing.T, text []byte) (names []string) {
	t.Helper()
	type check struct {
		Name  string `json:"name"`
		State string `json:"state"`
		Text  string `json:"text"`
	}
	var v struct {
		Ready  bool    `json:"ready"`
		Checks []check `json:"checks"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var again bytes.Buffer
	enc := json.NewEncoder(&again)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if again.String() != string(text) {
		t.Errorf("it is written as\n%s\nand not as\n%s", text, &again)
	}
	for _, c := range v.Checks {
		names = append(names, c.Name)
	}
	return names
}

// TestOperationsShowsReadiness compares the sample of /readyz in docs/operations.md, and the table
// of checks behind it, with what is served, and the parts of dbproxy_degraded with what is said of
// them.
func TestOperationsShowsReadiness(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join(rig.Root(), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	sample := checkNames(t, sampleBlock.FindSubmatch(docs)[1])
	var explained []string
	for _, row := range checkRow.FindAllSubmatch(docs, -1) {
		explained = append(explained, string(row[1]))
	}
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		t.Parallel()
		w.Start(t, "--admin", "127.0.0.1:0")
		served := checkNames(t, []byte(rig.AdminPage(t, w.Proxy(0), "/readyz")))
		metrics := rig.AdminPage(t, w.Proxy(0), "/metrics")
		var parts []string
		for _, m := range partOf.FindAllStringSubmatch(metrics, -1) {
			parts = append(parts, m[1])
		}
		wantParts := []string{"counting", "mysql", "redis", "replica", "storing"}
		want := sample
		notRedis := func(name string) bool { return name == "redis" }
		switch {
		case w.Fleet == nil:
			want, wantParts = sample[:len(sample)-3], []string{"storing"}
		case !w.HasRedis():
			want = slices.DeleteFunc(slices.Clone(sample), notRedis)
			wantParts = slices.DeleteFunc(wantParts, notRedis)
		case !sameNames(explained, served):
			t.Errorf("the table explains %q, and %q are served", explained, served)
		}
		if !slices.Equal(served, want) {
			t.Errorf("%q are served, the sample has %q", served, want)
		}
		if !slices.Equal(parts, wantParts) {
			t.Errorf("degraded has the parts %q, want %q", parts, wantParts)
		}
		if onlyRedis.MatchString(metrics) != w.HasRedis() {
			t.Error("calls of Redis are counted without it, or not with it")
		}
	})
}

// sameNames is whether two lists have the same, in any order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
