package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// commands are all that a user can see, by what is typed for them.
func commands(t *testing.T) map[string]*cobra.Command {
	t.Helper()
	found := make(map[string]*cobra.Command)
	each(rootCommand(), func(c *cobra.Command) {
		if c.IsAvailableCommand() || !c.HasParent() {
			found[c.CommandPath()] = c
		}
	})
	return found
}

// TestHelpOfEveryCommand checks that every help has what it must have, in lines that fit.
func TestHelpOfEveryCommand(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "script", "help.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for path, c := range commands(t) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: Short is one line of purpose, without a full stop: %q", path, c.Short)
		}
		if !strings.Contains(c.Example, "  dbproxy ") &&
			!strings.Contains(c.Example, "| dbproxy ") {
			t.Errorf("%s has no example, or one without dbproxy: %q", path, c.Example)
		}
		if !strings.Contains(string(golden), "exec "+path+" --help\ncmp stdout help") {
			t.Errorf("testdata/script/help.txtar does not expect the help of %q", path)
		}
		var help bytes.Buffer
		if err := writeHelp(&help, c); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(help.String()) {
			line = strings.TrimSuffix(line, "\n")
			if n := terminal.Width(line); n > helpWidth {
				t.Errorf("%s: a line of help takes %d cells, and %d is all there are:\n%s", path,
					n, helpWidth, line)
			}
			if strings.TrimRight(line, " \t") != line {
				t.Errorf("%s: a line of help ends with blanks: %q", path, line)
			}
		}
		if strings.Contains(help.String(), "\x1b") {
			t.Errorf("%s: colours without a terminal", path)
		}
		for _, f := range flagsOf(c) {
			if f.text == "" || f.value == "STRING" || f.value == "INT" ||
				strings.HasPrefix(f.value, "UINT") {
				t.Errorf("%s --%s: say what it is for, and `name` its value: %q %q", path, f.form,
					f.value, f.text)
			}
		}
	}
}

// TestJSONOfEveryCommand checks that a golden file has what each command prints with --json.
func TestJSONOfEveryCommand(t *testing.T) {
	var scripts strings.Builder
	for _, file := range []string{"script/json.txtar", "servers/check.txtar"} {
		text, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	for path, c := range commands(t) {
		shown := regexp.MustCompile("exec " + path + ` .*--json\n(cp stdout|cmp stdout)`)
		if c.Flags().Lookup("json") != nil && !shown.MatchString(scripts.String()) {
			t.Errorf("nothing compares what %s --json prints", path)
		}
	}
}

// callOf finds a call of dbproxy in an example, up to what ends the command.
var callOf = regexp.MustCompile(`(?:^|[ (])dbproxy\b([^|>)#&;]*)`)

// TestExamplesParse has the examples' commands and flags read, without running them.
func TestExamplesParse(t *testing.T) {
	for path, c := range commands(t) {
		for line := range strings.Lines(c.Example) {
			for _, call := range callOf.FindAllStringSubmatch(line, -1) {
				root := rootCommand()
				found, rest, err := root.Find(strings.Fields(call[1]))
				if err == nil {
					err = found.ParseFlags(rest)
				}
				if err == nil && holdsOthers(found) && found.Flags().NArg() > 0 {
					err = unknownCommand(found, found.Flags().Arg(0))
				}
				if err != nil {
					t.Errorf("an example of %s: %q: %v", path, strings.TrimSpace(line), err)
				}
			}
		}
	}
}
