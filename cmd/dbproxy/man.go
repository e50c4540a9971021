package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func manCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages",
		Long: `Write a manual page for each command into a directory, which is made when it is
missing. They are made from the same texts as "--help".`,
		Example: `  dbproxy man ./man
  man -l ./man/dbproxy.1`,
		Args:   oneArg("the directory for the pages"),
		Hidden: true,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return fmt.Errorf("manual not written: %w", err)
		}
		pages := manPages(c.Root())
		for name, text := range pages {
			if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
				return fmt.Errorf("manual not written: %w", err)
			}
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%d pages written; read them: man -l %s\n", len(pages), filepath.Join(args[0], "dbproxy.1"))
		return err
	}
	return c
}

// manPages are the manual pages of root and all commands below it, by the names of their files.
func manPages(root *cobra.Command) map[string]string {
	pages := make(map[string]string)
	each(root, func(c *cobra.Command) {
		if c == root || c.IsAvailableCommand() {
			pages[manName(c)+".1"] = manPage(c)
		}
	})
	return pages
}

// manName is what the manual calls a command.
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage is the manual page of a command, in the language of troff's man macros: see man(7).
func manPage(c *cobra.Command) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.TH "%s" 1 "" "dbproxy %s" "dbproxy manual"`, strings.ToUpper(manName(c)), troff(release))
	line(".ad l\n.nh")
	line(".SH NAME\n%s \\- %s", troff(manName(c)), troff(lowerFirst(c.Short)))
	line(".SH SYNOPSIS\n.nf\n%s\n.fi", troff(synopsis(c)))
	line(".SH DESCRIPTION")
	b.WriteString(manText(about(c)))
	for _, a := range commandAreas(c) {
		line(".SH %s", strings.ToUpper(a.title))
		for _, sub := range a.commands {
			line(".TP\n.B %s\n%s; see\n.BR %s (1).", troff(sub.Name()), troff(sub.Short), troff(manName(sub)))
		}
	}
	line(".SH OPTIONS")
	for _, f := range flagsOf(c) {
		name := `\fB\-\-` + troff(f.name) + `\fR`
		if f.letter != "" {
			name = `\fB\-` + f.letter + `\fR, ` + name
		}
		if f.value != "" {
			name += ` \fI` + troff(f.value) + `\fR`
		}
		line(".TP\n%s\n%s", name, troff(f.text))
	}
	line(".SH EXAMPLES\n.nf\n%s\n.fi", troff(undented(c.Example)))
	if c.HasParent() {
		line(".SH SEE ALSO\n.BR %s (1)", troff(manName(c.Parent())))
	}
	return b.String()
}

// manText sets sentences: an empty line begins a paragraph, and indented lines stay as they are.
func manText(text string) string {
	var b strings.Builder
	asIs := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if indented := strings.HasPrefix(line, " "); indented != asIs && line != "" {
			b.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[indented])
			asIs = indented
		}
		if line == "" {
			line = ".PP"
		} else {
			line = troff(line)
		}
		b.WriteString(line + "\n")
	}
	if asIs {
		b.WriteString(".fi\n")
	}
	return b.String()
}

// troff is text that troff prints as it stands: no hyphen turned into a dash, no line taken for a macro.
func troff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`, `"`, `\(dq`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// undented is text without the two spaces before its lines.
func undented(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n")
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }
