package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// stopMargin is how long after its DrainTimeout a server that was told to stop ends, whatever
	// it still waits for.
	stopMargin = 300 * time.Millisecond
	// sameStop is how soon after the first a second signal to stop counts as the same: a terminal
	// and a program that passes signals on may each send one.
	sameStop = 500 * time.Millisecond
)

// ending sees to it that a server ends when it was told to, and only then. What was acknowledged is
// stored by then; what is left the next start completes, as after a crash.
type ending struct {
	log   *slog.Logger
	drain time.Duration
	last  func(patience time.Duration) // writes what is left of the log
	exit  func(code int)

	doing atomic.Pointer[string]       // what the stop is at
	left  atomic.Pointer[func() []any] // what is not finished, for the log

	finished atomic.Bool // all is done but the writing of the log
}

// newEnding begins to heed signals, and to wait for the end of ctx.
func newEnding(ctx context.Context, s serving, last func(time.Duration)) *ending {
	e := &ending{log: s.log, drain: s.limits().DrainTimeout, last: last, exit: s.exit}
	e.at("starting")
	if e.exit == nil {
		return e
	}
	go e.heed(s.signals)
	context.AfterFunc(ctx, func() {
		time.AfterFunc(e.drain+stopMargin, func() { e.now("the time to stop in is over") })
	})
	return e
}

// at notes what the server is at.
func (e *ending) at(what string) { e.doing.Store(&what) }

// leaves notes what says, from now on, what would be left.
func (e *ending) leaves(left func() []any) { e.left.Store(&left) }

// heed answers signals. The first that asks for a stop ends the context that the server runs in;
// that is not done here.
func (e *ending) heed(signals <-chan os.Signal) {
	var first time.Time
	for s := range signals {
		switch s {
		case os.Interrupt, syscall.SIGTERM:
			if first.IsZero() {
				first = time.Now()
			} else if time.Since(first) >= sameStop {
				e.now("told again to stop")
			}
		default:
			e.log.Info("this signal changes nothing: there is nothing to read again yet; "+
				"restart for other flags or another configuration", "signal", nameOf(s))
		}
	}
}

func nameOf(s os.Signal) string {
	switch s {
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGUSR1:
		return "SIGUSR1"
	case syscall.SIGUSR2:
		return "SIGUSR2"
	default:
		return fmt.Sprint(s)
	}
}

// now ends the process.
func (e *ending) now(why string) {
	if e.finished.Load() {
		e.exit(0)
	}
	attrs := []any{"why", why, "at", *e.doing.Load()}
	if left := e.left.Load(); left != nil {
		attrs = append(attrs, (*left)()...)
	}
	e.log.Error("ended before all was finished", attrs...)
	e.last(lastLinesNow)
	e.exit(1)
}

// signalsOfServers are those that would end the process otherwise. SIGPIPE would, too, where the
// log's reader is gone, and SIGXFSZ where the log's file may not grow; of them nobody needs to
// know.
func signalsOfServers() <-chan os.Signal {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1,
		syscall.SIGUSR2)
	return signals
}

// ends writes what is left of the log. After an error the process ends soon even if nobody reads
// what it says of that.
func (s serving) ends(err error) {
	s.written.Close(lastLines)
	if err != nil {
		time.AfterFunc(lastLines, func() { s.exit(exitCode(err)) })
		if s.original != nil {
			s.original.fails(err)
		}
	}
}
