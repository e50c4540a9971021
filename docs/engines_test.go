package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// An engine's row: its name, how it was tried, what matters.
	engineRow = regexp.MustCompile(`(?m)^\| ([^|]+) \| (run|parsed|not tried)([^|]*) \|([^|]*)\|$`)
	tableRow  = regexp.MustCompile(`(?m)^\| (.+) \|$`)
	testName  = regexp.MustCompile("`(Test\\w+)`")
	testFunc  = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	version   = regexp.MustCompile(`\d+\.\d+`)
)

// TestEnginesAreTriedAsSaid reads docs/engines.md: every row says run, parsed or not tried; what
// was run names its version and tests, and what was parsed a test; and all tests that are named
// exist.
func TestEnginesAreTriedAsSaid(t *testing.T) {
	text, err := os.ReadFile("engines.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := allTests(t)
	rows := engineRow.FindAllStringSubmatch(string(text), -1)
	heads := strings.Count(string(text), "| engine | how |")
	all := len(tableRow.FindAllString(string(text), -1)) - heads
	if len(rows) != all || len(rows) < 20 {
		t.Errorf("%d of %d rows say run, parsed or not tried", len(rows), all)
	}
	seen := make(map[string]bool)
	for _, row := range rows {
		engine, how, details := row[1], row[2], row[3]
		if seen[engine] {
			t.Errorf("%s stands there twice", engine)
		}
		seen[engine] = true
		named := testName.FindAllString(details, -1)
		switch {
		case how == "run" && engine != "SQLite" &&
			(len(named) == 0 || !version.MatchString(details)):
			t.Errorf("%s was run in no test, or in no version: %q", engine, details)
		case how == "parsed" && len(named) == 0:
			t.Errorf("%s was parsed in no test", engine)
		}
	}
	for _, m := range testName.FindAllStringSubmatch(string(text), -1) {
		if !tests[m[1]] {
			t.Errorf("engines.md names %s, which is no test", m[1])
		}
	}
}

// allTests are the names of all tests of the project.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, dir := range []string{"../test/*/*_test.go", "../internal/*/*_test.go",
		"../internal/*/*/*_test.go"} {
		files, err := filepath.Glob(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testFunc.FindAllStringSubmatch(string(code), -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}

// TestEnginesNameWhatParses holds the parsers that engines.md names to the module that has them.
func TestEnginesNameWhatParses(t *testing.T) {
	text, err := os.ReadFile("engines.md")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.FromSlash("../test/grammar/go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for path, name := range map[string]string{
		"github.com/pingcap/tidb/pkg/parser v": "parsers of TiDB and Vitess",
		"vitess.io/vitess v0.24.":              "Vitess 24",
	} {
		if !strings.Contains(string(module), path) || !strings.Contains(string(text), name) {
			t.Errorf("engines.md says %q, and test/grammar/go.mod %q: not both", name, path)
		}
	}
}
