package main

import (
	"strings"
	"testing"
)

// TestManualHasEverything looks for every command and flag in the manual.
func TestManualHasEverything(t *testing.T) {
	pages := manPages(rootCommand())
	for path, c := range commands(t) {
		name := strings.ReplaceAll(path, " ", "-") + ".1"
		page, ok := pages[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		for _, want := range []string{".TH ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH EXAMPLES\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		for _, f := range flagsOf(c) {
			if !strings.Contains(page, `\fB\-\-`+troff(f.name)+`\fR`) || !strings.Contains(page, "\n"+troff(f.text)+"\n") {
				t.Errorf("%s lacks --%s", name, f.name)
			}
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && !strings.Contains(page, "\n.BR "+troff(manName(sub))+" (1)") {
				t.Errorf("%s does not name %s", name, manName(sub))
			}
		}
	}
	if len(pages) != len(commands(t)) {
		t.Errorf("%d pages for %d commands", len(pages), len(commands(t)))
	}
}

func TestTroffKeepsTextAsItIs(t *testing.T) {
	for text, want := range map[string]string{
		"--data x":        `\-\-data x`,
		".hidden\n'quote": `\&.hidden` + "\n" + `\(aqquote`,
		`a\b "c" ~/.d`:    `a\eb \(dqc\(dq \(ti/.d`,
	} {
		if got := troff(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	got := manText("One.\n\nTwo:\n\n  as is\n  as is\n\nThree.")
	if want := "One.\n.PP\nTwo:\n.PP\n.nf\n  as is\n  as is\n.PP\n.fi\nThree.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
