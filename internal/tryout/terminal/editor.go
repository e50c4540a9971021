package terminal

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Editor is a terminal with one line to type in, at the bottom, that stays whole while other lines are printed above
// it. It redraws that line from its beginning at every change, so wide characters are no trouble.
type Editor struct {
	in    *os.File
	lines chan string
	style Style
	state *term.State // of the terminal before

	mu     sync.Mutex // guards the fields below and what is written
	out    *os.File
	prompt string
	typed  []rune
	closed bool
}

// NewEditor takes over a terminal until Close.
func NewEditor(in, out *os.File) (*Editor, error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("setting up the terminal: %w", err)
	}
	e := &Editor{in: in, out: out, lines: make(chan string), style: NewStyle(out), state: state}
	go e.read()
	return e, nil
}

// Close gives the terminal back as it was.
func (e *Editor) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	io.WriteString(e.out, "\r\x1b[K")
	return term.Restore(int(e.in.Fd()), e.state)
}

// Lines has what is typed. It is closed by Ctrl-C, by Ctrl-D on an empty line, and when the terminal goes away.
func (e *Editor) Lines() <-chan string { return e.lines }

// Live says that somebody sits there.
func (e *Editor) Live() bool { return true }

// Print prints a line above the one being typed.
func (e *Editor) Print(line string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		io.WriteString(e.out, "\r\x1b[K"+strings.ReplaceAll(line, "\n", "\r\n")+"\r\n")
		e.draw()
	}
}

// Complain prints a line about something that went wrong.
func (e *Editor) Complain(line string) { e.Print(e.style.Red(line)) }

// Prompt sets what stands before the line being typed.
func (e *Editor) Prompt(prompt string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if prompt != e.prompt && !e.closed {
		e.prompt = prompt
		e.draw()
	}
}

// draw shows the line being typed, its end where it is too long. The caller holds e.mu.
func (e *Editor) draw() {
	columns, _, err := term.GetSize(int(e.out.Fd()))
	if err != nil || columns <= 0 {
		columns = 80
	}
	room := columns - 1 - Width(e.prompt)
	begin := len(e.typed)
	for used := 0; begin > 0; begin-- {
		if used += runeWidth(e.typed[begin-1]); used > room {
			break
		}
	}
	io.WriteString(e.out, "\r\x1b[K"+e.style.Bold(e.prompt)+Clean(string(e.typed[begin:])))
}

// Keys that mean something.
const (
	ctrlC, ctrlD, backspace, ctrlU, ctrlW, escape, del = 0x03, 0x04, 0x08, 0x15, 0x17, 0x1b, 0x7f
)

// read takes what is typed until the terminal or the person has had enough.
func (e *Editor) read() {
	defer close(e.lines)
	in := bufio.NewReader(e.in)
	for {
		r, _, err := in.ReadRune()
		if err != nil || r == ctrlC {
			return
		}
		switch r {
		case '\r', '\n':
			e.lines <- e.take()
		case escape:
			skipSequence(in)
		default:
			if !e.key(r) {
				return
			}
		}
	}
}

// take empties the line.
func (e *Editor) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	line := string(e.typed)
	e.typed = nil
	e.draw()
	return line
}

// key takes one key; false means that the person leaves.
func (e *Editor) key(r rune) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r == ctrlD && len(e.typed) == 0 {
		return false
	}
	e.edit(r)
	e.draw()
	return true
}

// edit changes the line. The caller holds e.mu.
func (e *Editor) edit(r rune) {
	switch {
	case r == backspace || r == del:
		for n, gone := len(e.typed)-1, false; n >= 0 && !gone; n-- { // with what combines with it
			gone = runeWidth(e.typed[n]) > 0
			e.typed = e.typed[:n]
		}
	case r == ctrlU:
		e.typed = nil
	case r == ctrlW:
		left := strings.TrimRight(string(e.typed), " ")
		e.typed = []rune(left[:strings.LastIndex(left, " ")+1])
	case r >= ' ':
		e.typed = append(e.typed, r)
	}
}

// skipSequence drops what an arrow or another special key sends.
func skipSequence(in *bufio.Reader) {
	r, _, err := in.ReadRune()
	if err != nil || r != '[' && r != 'O' {
		return
	}
	for err == nil {
		if r, _, err = in.ReadRune(); r >= 0x40 && r <= 0x7e {
			return
		}
	}
}
