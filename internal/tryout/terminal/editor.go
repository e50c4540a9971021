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

// Editor is a terminal with one line to type in, at the bottom, that stays whole while other lines
// are printed above it. Lines typed before can be fetched again.
//
// It draws that line anew at every key, from its beginning, and has the terminal itself remember
// where the cursor belongs. So it looks right even where a terminal takes an emoji for wider than
// Width does.
type Editor struct {
	in    *os.File
	lines chan string // filled and closed by read
	style Style
	state *term.State // of the terminal before NewEditor

	mu     sync.Mutex // guards the fields below and what is written
	out    *os.File
	prompt string
	typed  line
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

// Lines has what is typed. It is closed by Ctrl-C, by Ctrl-D on an empty line, and when the
// terminal goes away.
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
	if prompt != e.prompt {
		e.prompt = prompt
		e.draw()
	}
}

// draw shows the line being typed, or what of it the screen has cells for. The caller holds e.mu.
func (e *Editor) draw() {
	if e.closed {
		return
	}
	columns := Columns(e.out)
	prompt := Fit(e.prompt, columns/2)
	before, after := e.typed.view(columns - 1 - Width(prompt)) // the last cell is the cursor's
	shown := "\r\x1b[K" + e.style.Bold(prompt) + before
	if after != "" {
		shown += saveCursor + after + restoreCursor
	}
	io.WriteString(e.out, shown)
}

// read takes what is typed until the terminal is gone or the person leaves.
func (e *Editor) read() {
	defer close(e.lines)
	in := bufio.NewReader(e.in)
	for {
		key, text, err := readKey(in)
		switch {
		case err != nil || key == ctrlC:
			return
		case key == enter:
			e.lines <- e.take()
		case !e.do(key, text):
			return
		}
	}
}

// take empties the line, and returns what it was.
func (e *Editor) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := e.typed.enter()
	e.draw()
	return text
}

// do does what a key is for, or adds text. False means that the person leaves.
func (e *Editor) do(key rune, text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if key == ctrlD && e.typed.text() == "" {
		return false
	}
	if text != "" {
		e.typed.insert(text)
	} else {
		e.typed.press(key)
	}
	e.draw()
	return true
}
