package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/inplace"
	"github.com/teamtalk-go/dbproxy/internal/logwriter"
	"github.com/teamtalk-go/dbproxy/internal/ops"
	"github.com/teamtalk-go/dbproxy/internal/repeats"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// How long the process waits at its end for the last lines of the log to be written: lastLines, or
// lastLinesNow when it was told to end at once.
const (
	lastLines    = time.Second
	lastLinesNow = 100 * time.Millisecond
)

// logTo makes s log to s.out. Those who log do not wait until a line is written.
func (s *serving) logTo(level string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("--log-level %s: choose debug, info, warn or error", level)
	}
	format := logFormat(s.out, l)
	if s.written == nil {
		s.written = logwriter.New(s.out, func(lost logwriter.Lost) []byte {
			return logLine(format, "lines of the log were lost",
				"lines", lost.Lines, "since", lost.Since, "err", lost.Why)
		})
	}
	h := repeats.New(format(s.written), time.Now)
	s.log, s.sums = slog.New(h), h.Run
	return nil
}

// logLine is a line of level WARN that the log writes about itself.
func logLine(format func(io.Writer) slog.Handler, text string, attrs ...any) []byte {
	var line bytes.Buffer
	r := slog.NewRecord(time.Now(), slog.LevelWarn, text, 0)
	r.Add(attrs...)
	_ = format(&line).Handle(context.Background(), r) // a buffer takes all
	return line.Bytes()
}

// logFormat returns what makes handlers for those who read w: text for people, who read a terminal
// or, later, a file, and JSON for programs. Durations are text in JSON, too.
func logFormat(w io.Writer, l slog.Level) func(io.Writer) slog.Handler {
	opt := &slog.HandlerOptions{Level: l}
	_, file := w.(*inplace.Log)
	if file || terminal.Is(w) {
		opt.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			// at a terminal the day is known
			if !file && len(groups) == 0 && a.Key == slog.TimeKey {
				a.Value = slog.StringValue(a.Value.Time().Format(time.TimeOnly))
			}
			return a
		}
		return func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, opt) }
	}
	opt.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration { // "9.6s", where JSON would have a bare number
			a.Value = slog.StringValue(a.Value.Duration().String())
		}
		return a
	}
	return func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, opt) }
}

// lastWords starts what sums up repeated lines of the log. The function it returns ends that, and
// waits until the rest of the log is written, but not for longer than patience.
func (s serving) lastWords() (last func(patience time.Duration)) {
	ctx, stop := context.WithCancel(context.Background())
	var summing sync.WaitGroup
	summing.Go(func() { _ = s.sums(ctx) }) // there is nobody to tell
	return func(patience time.Duration) {
		stop()
		summing.Wait()
		s.written.Close(patience)
	}
}

// logged is doubtful while the log cannot be written.
func (s serving) logged(context.Context) (ops.State, string) {
	lost := s.written.Missing()
	if lost.Lines == 0 {
		return ops.Good, "written"
	}
	mend := "see what became of its reader, or of the disk it is on"
	return ops.Doubtful, fmt.Sprintf("%d lines of the log were lost, the first %v ago: %v; %s",
		lost.Lines, ago(lost.Since), lost.Why, mend)
}

// patiently prints something that nobody needs to read. It waits for its reader for a second at
// most.
func patiently(print func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		print()
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}
