package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// Progress is shown of work that takes longer than progressAfter, and then anew every
// progressEvery.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// progress shows on w, if that is a terminal, what is being done and how far it has come. at says
// how far, and is called from another goroutine; nil stands for the seconds so far. The line
// appears after a second. Call stop when the work is over: it wipes the line, and at is called no
// more.
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
