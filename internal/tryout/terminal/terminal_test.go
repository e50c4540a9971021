package terminal_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "ann": 3, "王小明": 6, "e\u0301": 1, "你好!": 5, "🙂": 2, "…→": 2,
		"👩‍👩‍👧": 2, "👍🏽": 2, "🇨🇳": 2, "한": 2, "\u1112\u1161\u11ab": 2, "\u200b": 0,
	} {
		if got := terminal.Width(text); got != want {
			t.Errorf("Width(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"hello", 5, "hello"},
		{"hello", 4, "hel…"},
		{"你好吗", 6, "你好吗"},
		{"你好吗", 5, "你好…"},
		{"你好吗", 4, "你…"},
		{"👩‍👩‍👧👩‍👩‍👧", 4, "👩‍👩‍👧👩‍👩‍👧"},
		{"👩‍👩‍👧👩‍👩‍👧", 3, "👩‍👩‍👧…"},
	} {
		if got := terminal.Fit(c.text, c.limit); got != c.want || terminal.Width(got) > c.limit {
			t.Errorf("Fit(%q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "|"},
		{"one two three", "|one two|three"},
		{"one  two\nthree\n", "|one two|three"},
		{"one\n\ntwo", "|one||two"},
		{"unbreakable-anyhow x", "|unbreakable-anyhow|x"},
		{`see "dbproxy user list".`, `|see|"dbproxy user list".`},
		{`a "dbproxy for ever`, `|a|"dbproxy|for ever`},
		{"你好 吗 好", "|你好 吗|好"}, // 7 cells, and 10
		{"👩‍👩‍👧 👩‍👩‍👧 👩‍👩‍👧 x", "|👩‍👩‍👧 👩‍👩‍👧 👩‍👩‍👧|x"},
	} {
		if got := "|" + strings.Join(terminal.Wrap(c.text, 8), "|"); got != c.want {
			t.Errorf("Wrap(%q) is %q, want %q", c.text, got, c.want)
		}
		got, want := terminal.Indent(c.text, "  ", 10), strings.ReplaceAll(c.want[1:], "|", "\n  ")
		if got != "  "+want {
			t.Errorf("Indent(%q) is %q, want %q", c.text, got, want)
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
		if got := terminal.Clean(text); got != want {
			t.Errorf("Clean(%q) = %q, want %q", text, got, want)
		}
	}
}

// A shell takes what ShellWord returns for the word itself.
func TestShellWord(t *testing.T) {
	for _, word := range []string{
		"", "plain", "./a-b_c.d:1@x%y,z+", "王小明", "two words", "a\nb",
		"it's", "$HOME", "~", "a*b", "x=1", "`id`", "#", "!", "\\",
	} {
		command := "printf %s " + terminal.ShellWord(word)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q: a shell makes %q of %s, %v", word, out, command, err)
		}
	}
	if got := terminal.ShellWord("./王小明-1"); got != "./王小明-1" {
		t.Errorf("%s needs no quotes", got)
	}
}

func TestPipe(t *testing.T) {
	var out, complaints strings.Builder
	p := terminal.NewPipe(strings.NewReader("one\r\n\n三"), &out, &complaints)
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
	if s := terminal.NewStyle(&out); s.Bold("x") != "x" {
		t.Error("colours on a pipe")
	}
}
