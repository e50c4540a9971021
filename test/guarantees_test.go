package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	// testNamed is the last column of a row: a test, and perhaps the name of one within it.
	testNamed = regexp.MustCompile("\\| `(Test\\w+)(?:/([^`]+))?` \\|\n")
)

// TestGuaranteesNameTests holds docs/guarantees.md to the tests: each that it names exists, and each fault test has a row,
// or is told of.
func TestGuaranteesNameTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "guarantees.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := filepath.Glob(filepath.Join("..", "internal", "*", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	exists := make(map[string]bool)
	for _, file := range append(files, elsewhere...) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(source), -1) {
			exists[m[1]] = true
			if strings.HasPrefix(file, "faults_") && !strings.Contains(string(text), "`"+m[1]) {
				t.Errorf("docs/guarantees.md says nothing of %s", m[1])
			}
		}
	}
	rows := testNamed.FindAllStringSubmatch(string(text), -1)
	for _, row := range rows {
		if !exists[row[1]] {
			t.Errorf("docs/guarantees.md has %s, which is no test", row[1])
		}
	}
	if len(rows) < 20 {
		t.Errorf("docs/guarantees.md has %d rows with tests only", len(rows))
	}
}
