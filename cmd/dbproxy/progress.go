package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// Work of less than progressAfter shows no progress; then it is shown anew every progressEvery.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// progress shows on w, if it is a terminal, that something takes its time: what it is, and how far
// it has come, which at says (nil: the seconds so far). It begins after a second. The work calls
// stop when it is over, which wipes the line; at is called from another goroutine until then.
func progress(w io.Writer, what string, at func() string) (stop func()) {
	if !terminal.Is(w) {
		return func() {}
	}
	return showProgress(w, what, at, progressAfter, progressEvery)
}

func showProgress(
	w io.Writer, what string, at func() string, after, every time.Duration,
) (stop func()) {
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
