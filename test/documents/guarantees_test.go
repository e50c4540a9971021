package documents

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	// testNamed is the last column of a row: a test, and perhaps the name of one within it.
	testNamed = regexp.MustCompile("\\| `(Test\\w+)(?:/([^`]+))?` \\|\n")
)

// TestGuaranteesNameTests holds docs/guarantees.md to the tests: each that it names exists, also
// one within another, whose name stands in the same file or is an engine's; and each fault test has
// a row, or is told of.
func TestGuaranteesNameTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(rig.Root(), "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, packages := range []string{"test/*", "internal/*", "internal/*/*"} {
		found, err := filepath.Glob(filepath.Join(rig.Root(), packages, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	source := make(map[string]string) // by test
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(code), -1) {
			source[m[1]] = string(code)
			if m[1] != "TestMain" && inFaults(file) && !strings.Contains(string(text), "`"+m[1]) {
				t.Errorf("docs/guarantees.md says nothing of %s", m[1])
			}
		}
	}
	rows := testNamed.FindAllStringSubmatch(string(text), -1)
	engines := []string{"", rig.Embedded.Name, rig.MySQL.Name, rig.ThreeOnMySQL.Name,
		rig.TwoOnGalera.Name, rig.ThreeWithoutRedis.Name}
	for _, row := range rows {
		code, exists := source[row[1]]
		if !exists || !slices.Contains(engines, row[2]) &&
			!strings.Contains(code, strconv.Quote(row[2])) {
			t.Errorf("docs/guarantees.md has %s, which is no test", strings.Trim(row[0], "|` \n"))
		}
	}
	if len(rows) < 20 {
		t.Errorf("docs/guarantees.md has %d rows with tests only", len(rows))
	}
}

// inFaults says whether a file has fault tests: all that "make faults" and "make soak" run.
func inFaults(file string) bool {
	name := filepath.Base(filepath.Dir(file))
	return name == "faults" || name == "soak"
}
