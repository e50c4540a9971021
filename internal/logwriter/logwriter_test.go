package logwriter_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/logwriter"
)

const patience = 30 * time.Second

func tell(l logwriter.Lost) []byte { return fmt.Appendf(nil, "lost %d: %v\n", l.Lines, l.Why) }

// TestAReaderThatReadsLate: the lines that fit come in order, then how many did not fit, then the
// rest.
func TestAReaderThatReadsLate(t *testing.T) {
	in, out := io.Pipe()
	w := logwriter.New(out, tell)
	text := strings.Repeat("x", 1000)
	const lines = 2000
	for i := range lines {
		if n, err := fmt.Fprintln(w, i, text); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	lost := w.Total()
	if lost == 0 || lost == lines || w.Missing().Lines != lost {
		t.Fatalf("%d lines lost, %d not told of", lost, w.Missing().Lines)
	}
	read := bufio.NewScanner(in)
	for i := range lines - lost {
		if !read.Scan() || read.Text() != fmt.Sprint(i, " ", text) {
			t.Fatalf("line %d is %.20s", i, read.Text())
		}
	}
	if !read.Scan() || !strings.HasPrefix(read.Text(), fmt.Sprintf("lost %d: who reads", lost)) {
		t.Errorf("after these comes %.100s", read.Text())
	}
	fmt.Fprintln(w, "on we go")
	if !read.Scan() || read.Text() != "on we go" {
		t.Errorf("and then %.100s", read.Text())
	}
	if w.Total() != lost || w.Missing() != (logwriter.Lost{}) {
		t.Errorf("in the end %d, %+v", w.Total(), w.Missing())
	}
	w.Close(patience)
}

// TestALongLine: a line longer than what may wait is written when nothing else waits.
func TestALongLine(t *testing.T) {
	var out strings.Builder
	w := logwriter.New(&out, tell)
	line := strings.Repeat("x", 1<<20) + "\n"
	if _, err := w.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	w.Close(patience)
	if out.String() != line || w.Total() != 0 {
		t.Errorf("%d bytes written, %d lines lost", out.Len(), w.Total())
	}
}

// disk takes so many bytes, and then none until it gets more.
type disk struct {
	text strings.Builder
	room chan int
	left int
}

var errFull = errors.New("the disk is full")

func (d *disk) Write(p []byte) (int, error) {
	select {
	case more := <-d.room:
		d.left += more
	default:
	}
	n := min(len(p), d.left)
	d.left -= n
	d.text.Write(p[:n])
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// TestADiskThatWasFull: lines that were cut off do not run into others, and what is lost is told
// without a new line.
func TestADiskThatWasFull(t *testing.T) {
	d := &disk{left: 10, room: make(chan int)}
	w := logwriter.New(d, tell)
	for _, line := range []string{"first", "second", "third"} {
		fmt.Fprintln(w, line)
	}
	for deadline := time.Now().Add(patience); w.Total() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is lost")
		}
	}
	if m := w.Missing(); m.Lines != 2 || m.Why != errFull || m.Since.IsZero() {
		t.Errorf("missing: %+v", m)
	}
	select {
	case d.room <- 1000: // it is tried again
	case <-time.After(patience):
		t.Fatal("nothing is written any more")
	}
	fmt.Fprintln(w, "fourth")
	w.Close(patience)
	want := "first\nseco\nlost 2: the disk is full\nfourth\n"
	if d.text.String() != want {
		t.Errorf("it has %q, want %q", d.text.String(), want)
	}
}

// TestCloseDoesNotWaitForever, and lets nothing in any more.
func TestCloseDoesNotWaitForever(t *testing.T) {
	in, out := io.Pipe()
	w := logwriter.New(out, tell)
	fmt.Fprintln(w, "nobody reads this")
	w.Close(time.Millisecond)
	fmt.Fprintln(w, "late")
	if w.Total() != 1 {
		t.Errorf("%d lines lost", w.Total())
	}
	in.Close()
}

// TestFlush waits until what was logged is written, and not for ever.
func TestFlush(t *testing.T) {
	in, out := io.Pipe()
	w := logwriter.New(out, tell)
	fmt.Fprintln(w, "one")
	fmt.Fprintln(w, "two")
	w.Flush(time.Millisecond) // nobody reads
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		w.Flush(patience)
	}()
	read := bufio.NewScanner(in)
	if !read.Scan() || read.Text() != "one" {
		t.Errorf("first comes %q", read.Text())
	}
	select {
	case <-flushed:
		t.Error("flushed, though a line is not written")
	default:
	}
	if !read.Scan() || read.Text() != "two" {
		t.Errorf("then comes %q", read.Text())
	}
	select {
	case <-flushed:
	case <-time.After(patience):
		t.Error("not flushed, though all is written")
	}
	w.Close(patience)
	w.Flush(patience) // returns at once
}
