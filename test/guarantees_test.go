package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	// testNamed is the last column of a row: a test, and perhaps the name of one within it.
	testNamed = regexp.MustCompile("\\| `(Test\\w+)(?:/([^`]+))?` \\|\n")
)

// TestGuaranteesNameTests holds docs/guarantees.md to the tests: each that it names exists, also one within another, whose
// name stands in the same file or is an engine's; and each fault test has a row, or is told of.
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
	source := make(map[string]string) // by test
	for _, file := range append(files, elsewhere...) {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(code), -1) {
			source[m[1]] = string(code)
			if strings.HasPrefix(file, "faults_") && !strings.Contains(string(text), "`"+m[1]) {
				t.Errorf("docs/guarantees.md says nothing of %s", m[1])
			}
		}
	}
	rows := testNamed.FindAllStringSubmatch(string(text), -1)
	engines := []string{"", embedded.name, mysql.name, threeOnMySQL.name, twoOnGalera.name}
	for _, row := range rows {
		code, exists := source[row[1]]
		if !exists || !slices.Contains(engines, row[2]) && !strings.Contains(code, strconv.Quote(row[2])) {
			t.Errorf("docs/guarantees.md has %s, which is no test", strings.Trim(row[0], "|` \n"))
		}
	}
	if len(rows) < 20 {
		t.Errorf("docs/guarantees.md has %d rows with tests only", len(rows))
	}
}
