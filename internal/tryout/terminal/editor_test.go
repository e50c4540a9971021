package terminal_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/clipperhouse/uax29/v2/graphemes"
	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// Keys as terminals send them.
const (
	up, down, right, left       = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
	home, end, remove           = "\x1bOH", "\x1b[4~", "\x1b[3~"
	ctrlA, ctrlE, ctrlK         = "\x01", "\x05", "\x0b"
	ctrlU, ctrlW, ctrlC, ctrlD  = "\x15", "\x17", "\x03", "\x04"
	backspace, enter, otherBack = "\x7f", "\r", "\b"
)

const family = "👩‍👩‍👧" // one character to people, five to Unicode

// person sits at a pseudo-terminal.
type person struct {
	t      *testing.T
	keys   *os.File
	tty    *os.File
	before *term.State // of tty
	screen screen
	shown  chan string // what comes to be shown
}

// sitDown opens a pseudo-terminal of that many columns.
func sitDown(t *testing.T, columns uint16) *person {
	t.Helper()
	keys, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close(); keys.Close() })
	p := &person{t: t, keys: keys, tty: tty, shown: make(chan string, 1000)}
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	if p.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.shown)
		for b := make([]byte, 4096); ; {
			n, err := keys.Read(b)
			if err != nil {
				return
			}
			p.shown <- string(b[:n])
		}
	}()
	return p
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.keys.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// hides waits until the terminal is no longer as it was when p sat down: it does not show what is
// typed.
func (p *person) hides() {
	p.t.Helper()
	for late := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		state, err := term.GetState(int(p.tty.Fd()))
		switch {
		case err != nil || time.Now().After(late):
			p.t.Fatal("the terminal still shows what is typed: ", err)
		case *state != *p.before:
			return
		}
	}
}

// sees waits until the last line of the screen is that, where | is the cursor.
func (p *person) sees(line string) {
	p.t.Helper()
	late := time.After(10 * time.Second)
	for p.screen.line() != line {
		select {
		case text, ok := <-p.shown:
			if !ok {
				p.t.Fatalf("the terminal is gone; it shows %q, want %q", p.screen.line(), line)
			}
			p.screen.write(p.t, text)
		case <-late:
			p.t.Fatalf("the screen shows %q, want %q", p.screen.line(), line)
		}
	}
}

// screen is what a terminal shows in its last line: what stands in its cells, and where the cursor
// is. The second cell of a wide character is empty.
type screen struct {
	cells         []string
	cursor, saved int
	rest          string // a sequence that has not come to its end
}

// line is the line as one sees it, with a | before the cell where the cursor is.
func (s *screen) line() string {
	return strings.Join(s.cells[:s.cursor], "") + "|" + strings.Join(s.cells[s.cursor:], "")
}

func (s *screen) write(t *testing.T, text string) {
	text = s.rest + text
	for s.rest = ""; text != ""; {
		known := false
		for sequence, do := range map[string]func(){
			"\r":      func() { s.cursor = 0 },
			"\n":      func() { s.cells, s.cursor = nil, 0 },
			"\x1b[K":  func() { s.cells = s.cells[:s.cursor] },
			"\x1b7":   func() { s.saved = s.cursor },
			"\x1b8":   func() { s.cursor = s.saved },
			"\x1b[1m": func() {}, "\x1b[31m": func() {}, "\x1b[0m": func() {},
		} {
			if strings.HasPrefix(text, sequence) {
				do()
				text, known = text[len(sequence):], true
				break
			}
		}
		switch {
		case known:
		case text[0] == '\x1b' && len(text) < 5:
			s.rest = text
			return
		case text[0] < ' ':
			t.Fatalf("the terminal is told %q", text)
		default:
			first := graphemes.FromString(text)
			first.Next()
			s.put(first.Value())
			text = text[first.End():]
		}
	}
}

// put shows a character at the cursor, and moves it.
func (s *screen) put(character string) {
	for i := range terminal.Width(character) {
		if s.cursor == len(s.cells) {
			s.cells = append(s.cells, "")
		}
		s.cells[s.cursor] = ""
		if i == 0 {
			s.cells[s.cursor] = character
		}
		s.cursor++
	}
}

// edits has somebody type at an editor, which is closed with the test.
func edits(t *testing.T, columns uint16) (*person, *terminal.Editor) {
	t.Helper()
	p := sitDown(t, columns)
	e, err := terminal.NewEditor(p.tty, p.tty)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	e.Prompt("> ")
	p.sees("> |")
	return p, e
}

// enters waits for a line that the editor returns.
func (p *person) enters(e *terminal.Editor, want string) {
	p.t.Helper()
	select {
	case got, ok := <-e.Lines():
		if got != want || !ok {
			p.t.Errorf("the editor returns %q, %v, want %q", got, ok, want)
		}
	case <-time.After(10 * time.Second):
		p.t.Fatalf("the editor does not return %q", want)
	}
}

func TestEditorKeys(t *testing.T) {
	t.Setenv("TERM", "xterm")
	for _, c := range []struct{ typed, shown, line string }{
		{"hallo" + backspace + otherBack + "xy", "halxy|", "halxy"},
		{"你好吗" + backspace, "你好|", "你好"},
		{"你好吗" + left + "x", "你好x|吗", "你好x吗"},
		{"你好吗" + left + left + backspace, "|好吗", "好吗"},
		{"e\u0301a" + left + backspace, "|a", "a"},
		{family + "!" + left + left + "x", "x|" + family + "!", "x" + family + "!"},
		{"a" + family + backspace, "a|", "a"},
		{"a" + family + ctrlA + right + remove + "b", "ab|", "ab"},
		{"👩\u200dx👧" + left + backspace + "y", "👩\u200d👧y|", "👩\u200d👧y"}, // they join
		{"one 你好" + home + "x" + end + "y", "xone 你好y|", "xone 你好y"},
		{"one" + ctrlA + ctrlD + ctrlE + "x", "nex|", "nex"},
		{"one two  " + ctrlW + "three", "one three|", "one three"},
		{"one two" + left + ctrlW, "one |o", "one o"},
		{"gone" + ctrlU + "here", "here|", "here"},
		{"gonehere" + left + left + left + left + ctrlU, "|here", "here"},
		{"here gone" + strings.Repeat(left, 5) + ctrlK, "here|", "here"},
		{backspace + ctrlW + ctrlU + ctrlK + left + right + remove + up + down + "ok", "ok|", "ok"},
		{"\t\x1b[5~\x1bx\x1b[1;5Cok", "ok|", "ok"}, // keys that mean nothing
	} {
		t.Run(c.typed, func(t *testing.T) {
			p, e := edits(t, 40)
			p.types(c.typed)
			p.sees("> " + c.shown)
			p.types(enter)
			p.enters(e, c.line)
			p.sees("> |")
		})
	}
}

// TestEditorHistory fetches lines again, with what was being typed before.
func TestEditorHistory(t *testing.T) {
	p, e := edits(t, 40)
	for _, line := range []string{"one", "两", "两", "", "three"} {
		p.types(line + enter)
		p.enters(e, line)
	}
	p.types("draft" + up)
	p.sees("> three|")
	p.types(up)
	p.sees("> 两|")
	p.types(up + up + up)
	p.sees("> one|")
	p.types("!" + down + down + down)
	p.sees("> draft|")
	p.types(down + up + up + left + "x" + enter)
	p.enters(e, "x两")
	p.types(up + up)
	p.sees("> three|")
}

// TestEditorScrolls types a line that is wider than the screen, and goes through it.
func TestEditorScrolls(t *testing.T) {
	p, e := edits(t, 13) // 2 for the prompt, 10 for the line, 1 for the cursor behind it
	p.types("一二三四五六七")
	p.sees("> 三四五六七|")
	p.types("x")
	p.sees("> 四五六七x|") // a wide character that fits by half is not shown
	p.types(left + left)
	p.sees("> 四五六|七x")
	p.types(strings.Repeat(left, 4))
	p.sees("> |三四五六七")
	p.types(home)
	p.sees("> |一二三四五")
	p.types(strings.Repeat(right, 6))
	p.sees("> 二三四五六|")
	p.types(end + backspace + backspace + backspace)
	p.sees("> 一二三四五|")
	p.types(home + family + enter)
	p.enters(e, family+"一二三四五")
}

// TestEditorKeepsTheLine prints above a line that is being typed.
func TestEditorKeepsTheLine(t *testing.T) {
	p, e := edits(t, 40)
	p.types("你好" + left)
	p.sees("> 你|好")
	e.Print("bob: are you there?")
	e.Complain("the proxy is stopping")
	p.sees("> 你|好")
	e.Prompt("ann → 王小明> ")
	p.sees("ann → 王小明> 你|好")
	e.Prompt("a prompt that is wider than half of the screen> ")
	p.sees("a prompt that is wi…你|好")
	p.types("\x1b[2J") // no key: it is not shown either
	p.types("\u202e" + enter)
	p.enters(e, "你\u202e好")
}

func TestEditorEnds(t *testing.T) {
	for name, keys := range map[string]string{"Ctrl-C": "typed" + ctrlC, "Ctrl-D": ctrlD} {
		t.Run(name, func(t *testing.T) {
			p, e := edits(t, 40)
			p.types(keys)
			select {
			case line, ok := <-e.Lines():
				if ok {
					t.Errorf("the editor returns %q", line)
				}
			case <-time.After(10 * time.Second):
				t.Error("the editor does not end")
			}
		})
	}
	t.Run("what is pasted is one text", func(t *testing.T) {
		p, e := edits(t, 40)
		pasted := strings.Repeat("长", 5000)
		p.types(pasted + enter)
		p.enters(e, pasted)
	})
}

// TestEditorEndsAfterEscape presses Escape, and half a sequence, before Ctrl-C: that is none of
// their business.
func TestEditorEndsAfterEscape(t *testing.T) {
	for _, key := range []string{"\x1b", "\x1b[", "\x1b[1;"} {
		p, e := edits(t, 80)
		p.types(key + ctrlC)
		select {
		case line, open := <-e.Lines():
			if open {
				t.Errorf("%q before Ctrl-C entered %q", key, line)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%q before Ctrl-C: the editor goes on", key)
		}
	}
}
