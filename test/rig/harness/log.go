package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// errEnded says that the process ended before what was waited for.
var errEnded = errors.New("the process has ended")

// Line is one line of a log.
type Line struct {
	Raw     string
	Message string         // msg; empty when the line is no JSON
	Level   string         // such as WARN
	Attrs   map[string]any // everything, as JSON
}

// Text is an attribute as text, empty when there is none.
func (l Line) Text(key string) string {
	switch v := l.Attrs[key].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// Log gathers what a process writes, line by line. Its methods are safe for concurrent use.
type Log struct {
	tee io.Writer

	mu      sync.Mutex
	lines   []Line
	partial []byte
	ended   bool
	changed chan struct{} // closed and replaced with every change
}

func newLog(tee io.Writer) *Log {
	if tee == nil {
		tee = io.Discard
	}
	return &Log{tee: tee, changed: make(chan struct{})}
}

// Write takes what the process wrote.
func (l *Log) Write(p []byte) (int, error) {
	_, _ = l.tee.Write(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.add(string(line))
		l.partial = rest
	}
}

// close notes that nothing more will come.
func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if len(l.partial) > 0 {
		l.add(string(l.partial))
		l.partial = nil
	}
	l.signal()
}

// add appends a line. The caller holds l.mu.
func (l *Log) add(raw string) {
	line := Line{Raw: raw}
	if json.Unmarshal([]byte(raw), &line.Attrs) == nil {
		line.Message, line.Level = line.Text("msg"), line.Text("level")
	}
	l.lines = append(l.lines, line)
	l.signal()
}

// signal wakes those in Await. The caller holds l.mu.
func (l *Log) signal() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Await waits for a line that match accepts, those already there included, and returns the first.
func (l *Log) Await(ctx context.Context, match func(Line) bool) (Line, error) {
	for seen := 0; ; {
		l.mu.Lock()
		lines, changed, ended := l.lines[seen:], l.changed, l.ended
		l.mu.Unlock()
		for _, line := range lines {
			if match(line) {
				return line, nil
			}
		}
		if seen += len(lines); ended {
			return Line{}, errEnded
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Line{}, fmt.Errorf("waiting for a line of the log: %w", context.Cause(ctx))
		}
	}
}

// Lines returns the lines so far.
func (l *Log) Lines() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[:len(l.lines):len(l.lines)]
}

// String is the whole log so far.
func (l *Log) String() string {
	var b strings.Builder
	for _, line := range l.Lines() {
		b.WriteString(line.Raw)
		b.WriteByte('\n')
	}
	return b.String()
}
