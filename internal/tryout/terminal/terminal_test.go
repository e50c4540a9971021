package terminal

import (
	"slices"
	"strings"
	"testing"
)

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "ann": 3, "王小明": 6, "e\u0301": 1, "你好!": 5, "🙂": 2} {
		if got := Width(text); got != want {
			t.Errorf("Width(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		text   string
		places int
		want   string
	}{
		{"hello", 5, "hello"},
		{"hello", 4, "hel…"},
		{"你好吗", 6, "你好吗"},
		{"你好吗", 5, "你好…"},
		{"你好吗", 4, "你…"},
	} {
		if got := Fit(c.text, c.places); got != c.want || Width(got) > c.places {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.text, c.places, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain 你好":         "plain 你好",
		"two\r\nlines\n":   "two⏎lines⏎",
		"\x1b[2Jgone":      "\ufffd[2Jgone",
		"\u202eevil":       "\ufffdevil",
		"a\tb\xff":         "a b\ufffd",
		"family \u200d ok": "family \u200d ok",
	} {
		if got := Clean(text); got != want {
			t.Errorf("Clean(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestPipe(t *testing.T) {
	var out, complaints strings.Builder
	p := NewPipe(strings.NewReader("one\r\n\n三"), &out, &complaints)
	var lines []string
	for line := range p.Lines() {
		lines = append(lines, line)
	}
	if want := []string{"one", "", "三"}; !slices.Equal(lines, want) {
		t.Errorf("lines %q, want %q", lines, want)
	}
	p.Print("said")
	p.Complain("complained")
	if out.String() != "said\n" || complaints.String() != "complained\n" || p.Live() {
		t.Errorf("printed %q, complained %q", &out, &complaints)
	}
	if s := NewStyle(&out); s.Bold("x") != "x" {
		t.Error("colours on a pipe")
	}
}

// TestEditorKeys types on a line without a terminal.
func TestEditorKeys(t *testing.T) {
	for typed, want := range map[string]string{
		"hallo\x7f\x7fxy":      "halxy",
		"你好\x7f":               "你",
		"e\u0301\x7f":          "",
		"one two  \x17three":   "one three",
		"gone\x15here":         "here",
		"\x7f\x7f\x17ok\x01\t": "ok",
	} {
		e := &Editor{}
		for _, r := range typed {
			e.edit(r)
		}
		if got := string(e.typed); got != want {
			t.Errorf("typing %q gives %q, want %q", typed, got, want)
		}
	}
}
