// Package terminal is how commands talk to people: lines and tables for a screen, questions, and a
// line to type in.
//
// All widths count cells, the columns of a terminal's screen. A character, as people see it, may be
// several runes: a letter and its accent, or an emoji that is joined of several. It takes two cells
// if it is Chinese or an emoji, none if it only combines, else one. go-runewidth knows that; its
// way of splitting text into characters is also the editor's, so that one key moves by, or removes,
// what people see as one.
//
// Text that comes from elsewhere must not steer the terminal. Clean is for what people wrote, to be
// read; Printable is for names and values, of which somebody may need to know the exact form. A
// Table does that by itself, and everybody else before they print.
//
// An Editor has a person at a terminal, a Pipe has a script; both give what was typed line by line,
// and print lines.
package terminal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// Is reports whether a stream is a terminal.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Columns is how many cells a line of w has: those of a terminal, else what COLUMNS says, else 80.
func Columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 80
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

// wrap has text shown in the style of a code of ECMA-48.
func (s Style) wrap(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// maxLine is the longest line read from a pipe, in bytes.
const maxLine = 1 << 20

// Pipe reads and prints plain lines, for scripts.
type Pipe struct {
	lines    chan string
	out, err io.Writer
}

// NewPipe starts reading lines from in, which goes on until its end. What is printed goes to out,
// and what went wrong to complaints.
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

// Lines has what is read. It is closed at the end of the input.
func (p *Pipe) Lines() <-chan string { return p.lines }

// Print prints a line.
func (p *Pipe) Print(line string) { fmt.Fprintln(p.out, line) }

// Complain prints a line about something that went wrong.
func (p *Pipe) Complain(line string) { fmt.Fprintln(p.err, line) }

// Prompt does nothing: nobody waits at a pipe.
func (p *Pipe) Prompt(string) {}

// Live says that nobody sits there.
func (p *Pipe) Live() bool { return false }
