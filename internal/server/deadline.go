package server

import (
	"context"
	"sync"
	"time"
)

// deadline is the context of a request: one of life, with a deadline. It costs a timer only where
// somebody waits for its end, as few do.
type deadline struct {
	// Never changed after it was made.
	life context.Context
	at   time.Time

	mu    sync.Mutex // guards what follows
	err   error      // why it has ended, once that is known
	timer context.Context
	stop  context.CancelFunc // of the timer
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer == nil {
		d.timer, d.stop = context.WithDeadline(d.life, d.at)
		if d.err != nil {
			d.stop()
		}
	}
	return d.timer.Done()
}

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		switch {
		case d.timer != nil:
			d.err = d.timer.Err()
		case d.life.Err() != nil:
			d.err = d.life.Err()
		case !time.Now().Before(d.at):
			d.err = context.DeadlineExceeded
		}
	}
	return d.err
}

// Value implements context.Context. Contexts that are made of this one find its timer by it.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		return d.timer.Value(key)
	}
	return d.life.Value(key)
}

// end ends it.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.timer != nil:
		d.stop()
	case d.err == nil:
		d.err = context.Canceled
	}
}
