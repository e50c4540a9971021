package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// stopMargin is how long after its DrainTimeout a server that was told to stop ends, whatever
	// it still waits for.
	stopMargin = 300 * time.Millisecond
	// sameStop is how soon after the first a second signal to stop counts as the same: a terminal
	// and a program that passes signals on may each send one.
	sameStop = 500 * time.Millisecond
)

// ending sees to it that a server ends in time when it was told to, and only then. Whatever was
// acknowledged is stored by then. The next start completes what is left, as after a crash.
//
// The server's goroutine writes the atomic fields; those that end the process read them.
type ending struct {
	log   *slog.Logger
	drain time.Duration
	last  func(patience time.Duration) // writes what is left of the log
	exit  func(code int)

	doing atomic.Pointer[string]       // what the server does now
	left  atomic.Pointer[func() []any] // returns attributes of the log: what is not finished

	finished atomic.Bool // only the log is still to be written
}

// newEnding starts to handle signals and to wait for the end of ctx. Where s.exit is nil it does
// neither.
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

// at notes what the server does from now on.
func (e *ending) at(what string) { e.doing.Store(&what) }

// leaves notes the function that says what is not finished.
func (e *ending) leaves(left func() []any) { e.left.Store(&left) }

// heed handles signals. The first that asks for a stop also ends the context of the server, by
// main's signal.NotifyContext; so nothing is done about it here.
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
				"restart for other flags or another configuration", "signal",
				unix.SignalName(s.(syscall.Signal)))
		}
	}
}

// now ends the process, and logs why if something is not finished.
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

// signalsOfServers returns the signals that would otherwise end the process. SIGPIPE, when the
// log's reader is gone, and SIGXFSZ, when the log's file may not grow, would end it, too: they are
// ignored.
func signalsOfServers() <-chan os.Signal {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGXFSZ)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1,
		syscall.SIGUSR2)
	return signals
}

// ends writes the rest of the log. After an error it also makes sure that the process ends soon,
// even if nobody reads its output.
func (s serving) ends(err error) {
	s.written.Close(lastLines)
	if err != nil {
		time.AfterFunc(lastLines, func() { s.exit(exitCode(err)) })
		if s.original != nil {
			s.original.fails(err)
		}
	}
}
