package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// isTerminal reports whether a person is at the other end of stream, one of the command's inputs or outputs, rather
// than a program or a file.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// coloured reports whether what is written to w may have colours: w is a terminal that knows them, and NO_COLOR
// (no-color.org) is not set.
func coloured(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// style is how text stands out on a terminal.
type style string

// The styles, as the numbers that terminals know them by.
const (
	bold style = "1"
	red  style = "31"
)

// paint gives text a style if w may be coloured.
func paint(w io.Writer, s style, text string) string {
	if !coloured(w) {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// Work of less than progressAfter shows no progress; then it is shown anew every progressEvery.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// progress shows on w, if it is a terminal, that something takes its time: what it is, and how far it has come, which
// at says (nil: the seconds so far). It begins after a second. The work calls stop when it is over, which wipes the
// line; at is called from another goroutine until then.
func progress(w io.Writer, what string, at func() string) (stop func()) {
	if !isTerminal(w) {
		return func() {}
	}
	return showProgress(w, what, at, progressAfter, progressEvery)
}

func showProgress(w io.Writer, what string, at func() string, after, every time.Duration) (stop func()) {
	start := time.Now()
	if at == nil {
		at = func() string { return time.Since(start).Round(time.Second).String() }
	}
	over := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		for wait, shown := after, false; ; wait, shown = every, true {
			select {
			case <-over:
				if shown {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			case <-time.After(wait):
				fmt.Fprintf(w, "\r%s … %s\x1b[K", what, at())
			}
		}
	})
	return sync.OnceFunc(func() {
		close(over)
		showing.Wait()
	})
}
