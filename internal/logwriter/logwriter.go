// Package logwriter writes a log so that those who log never wait. The reader of a log may stop
// reading or go away, and its disk may be full. Then lines are lost, and the rest of the process
// does not notice.
package logwriter

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// maxWaiting is how many bytes of lines may wait until they are written; more of them are lost.
	// A single line may be longer.
	maxWaiting = 256 << 10
	// retryEvery is how often the writer tries to write that lines were lost while no new line
	// comes.
	retryEvery = time.Second
)

var (
	errNotRead = errors.New("who reads the log does not read on")
	errClosed  = errors.New("the log is closed")
)

// Lost are lines that were not written.
type Lost struct {
	Lines int
	Since time.Time // of the first
	Why   error     // of the last
}

// Writer is an io.Writer of whole lines, which another one gets in the same order, from a goroutine
// of its own. It is safe for concurrent use.
type Writer struct {
	out  io.Writer
	tell func(Lost) []byte
	done chan struct{} // closed when the goroutine has ended
	wake chan struct{} // tells the goroutine of new lines; holds one

	mu      sync.Mutex // guards the fields below
	waiting []waiting
	bytes   int             // of waiting, and of the line that is being written
	flushed []chan struct{} // closed when nothing waits and nothing is being written
	missing Lost
	total   int
	closed  bool
}

// waiting is a line that waits, or stands for lines that did not fit.
type waiting struct {
	text []byte
	lost bool
}

// New returns a Writer to out. tell makes the line that says how many lines were lost. It is
// written where these lines would stand, as soon as anything can be written.
func New(out io.Writer, tell func(Lost) []byte) *Writer {
	w := &Writer{out: out, tell: tell, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	go w.run()
	return w
}

// Write takes a line. It never waits and never fails.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		w.lose(errClosed)
	case w.bytes > 0 && w.bytes+len(line) > maxWaiting:
		w.lose(errNotRead)
		if n := len(w.waiting); n == 0 || !w.waiting[n-1].lost {
			w.waiting = append(w.waiting, waiting{lost: true})
		}
	default:
		w.waiting = append(w.waiting, waiting{text: append([]byte(nil), line...)})
		w.bytes += len(line)
	}
	w.signal()
	return len(line), nil
}

// lose counts a line. The caller holds mu.
func (w *Writer) lose(why error) {
	if w.total++; w.missing.Lines == 0 {
		w.missing.Since = time.Now()
	}
	w.missing.Lines++
	w.missing.Why = why
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Total is how many lines have been lost.
func (w *Writer) Total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// Missing are the lost lines that the log does not tell of yet; Lines is 0 when there are none.
func (w *Writer) Missing() Lost {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.missing
}

// Close takes no more lines, and waits until all are written, but not for longer than patience.
func (w *Writer) Close(patience time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.signal()
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(patience):
	}
}

// Flush waits until all lines taken so far are written or lost, but not for longer than patience.
// It may wait for lines, too, that are taken meanwhile.
func (w *Writer) Flush(patience time.Duration) {
	written := make(chan struct{})
	w.mu.Lock()
	w.flushed = append(w.flushed, written)
	w.signal()
	w.mu.Unlock()
	select {
	case <-written:
	case <-w.done:
	case <-time.After(patience):
	}
}

// run writes until Close.
func (w *Writer) run() {
	defer close(w.done)
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	p := pen{out: w.out}
	for {
		select {
		case <-w.wake:
		case <-retry.C:
			w.confess(&p)
		}
		for next, ok := w.next(); ok; next, ok = w.next() {
			w.write(&p, next)
		}
		if w.ended() {
			return
		}
	}
}

// next takes the line that has waited longest.
func (w *Writer) next() (line waiting, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) == 0 {
		w.waiting = nil // and with it its memory
		for _, written := range w.flushed {
			close(written)
		}
		w.flushed = nil
		return waiting{}, false
	}
	line, w.waiting = w.waiting[0], w.waiting[1:]
	return line, true
}

func (w *Writer) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed && len(w.waiting) == 0
}

// write writes a line, after the one that tells of those lost before it. That one stands where the
// lost lines would, and so behind the lines that waited already when they were lost.
func (w *Writer) write(p *pen, line waiting) {
	if line.lost {
		w.confess(p)
		return
	}
	var err error
	if p.failed {
		err = w.confess(p)
	}
	if err == nil {
		err = p.write(line.text)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes -= len(line.text)
	if err != nil {
		w.lose(err)
	}
}

// confess tells the log of lost lines, if there are some.
func (w *Writer) confess(p *pen) error {
	lost := w.Missing()
	if lost.Lines == 0 {
		return nil
	}
	if err := p.write(w.tell(lost)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missing.Lines -= lost.Lines; w.missing.Lines == 0 {
		w.missing = Lost{}
	}
	return nil
}

// pen writes lines. It begins a new line also after one of which only a part was written.
type pen struct {
	out    io.Writer
	failed bool // the last line was not written
	cut    bool // a part of it was written
}

func (p *pen) write(line []byte) error {
	if p.cut {
		line = append([]byte{'\n'}, line...)
	}
	n, err := p.out.Write(line)
	p.failed = err != nil
	if n > 0 {
		p.cut = p.failed
	}
	return err
}
