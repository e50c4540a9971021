// Package logs has a log that several goroutines write while a test reads it.
package logs

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log keeps what is written to it. It is ready for use as it is, and its methods are safe for
// concurrent use.
type Log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is everything since the last Take.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Take returns everything since the last Take, and empties the log, in one step.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// Lines are those since the last Take that have all words, with their ends.
func (l *Log) Lines(words ...string) (lines []string) {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			lines = append(lines, line)
		}
	}
	return lines
}

// Await waits for a line that has all words, and ends the test when none comes within limit.
func (l *Log) Await(t testing.TB, limit time.Duration, words ...string) {
	t.Helper()
	end := time.Now().Add(limit)
	for ; len(l.Lines(words...)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("within %v no line has %q:\n%s", limit, words, l)
		}
	}
}
