// Package terminal is how a program of lines talks to people: on a terminal with a line to type in
// below what is printed, on pipes as plain lines.
package terminal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Is reports whether a stream is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Style colours text, or leaves it as it is.
type Style struct{ on bool }

// NewStyle is for text printed to w: plain unless that is a terminal, or where NO_COLOR is set
// (no-color.org).
func NewStyle(w io.Writer) Style {
	return Style{on: Is(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Bold is for what matters.
func (s Style) Bold(text string) string { return s.wrap("1", text) }

// Red is for what went wrong.
func (s Style) Red(text string) string { return s.wrap("31", text) }

// Dim is for what matters less.
func (s Style) Dim(text string) string { return s.wrap("2", text) }

// Name is for who speaks.
func (s Style) Name(text string) string { return s.wrap("36", text) }

func (s Style) wrap(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// maxLine is the longest line read from a pipe, in bytes.
const maxLine = 1 << 20

// Pipe reads and prints plain lines.
type Pipe struct {
	lines    chan string
	out, err io.Writer
}

// NewPipe starts reading lines from in; what is printed goes to out, complaints go to complaints.
func NewPipe(in io.Reader, out, complaints io.Writer) *Pipe {
	p := &Pipe{lines: make(chan string), out: out, err: complaints}
	go func() {
		defer close(p.lines)
		s := bufio.NewScanner(in)
		s.Buffer(nil, maxLine)
		for s.Scan() {
			p.lines <- strings.TrimSuffix(s.Text(), "\r")
		}
		if err := s.Err(); err != nil {
			fmt.Fprintf(p.err, "reading the input ended: %v\n", err)
		}
	}()
	return p
}

// Lines has what is read, and is closed at its end.
func (p *Pipe) Lines() <-chan string { return p.lines }

// Print prints a line.
func (p *Pipe) Print(line string) { fmt.Fprintln(p.out, line) }

// Complain prints a line about something that went wrong.
func (p *Pipe) Complain(line string) { fmt.Fprintln(p.err, line) }

// Prompt does nothing: nobody waits at a pipe.
func (p *Pipe) Prompt(string) {}

// Live says that nobody sits there.
func (p *Pipe) Live() bool { return false }
