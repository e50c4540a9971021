package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// helpWidth is how many cells a line of help may take.
const helpWidth = 80

// areas is how the commands are grouped in the root's help. Commands that are not named here stand
// at its end.
var areas = []struct {
	title    string
	commands []string
}{
	{"Serve", []string{"serve", "config", "migrate", "doctor"}},
	{"People and groups", []string{"user", "department", "group"}},
	{"Try it and look inside", []string{"demo", "call", "chat", "tail", "bench"}},
}

// polish gives root and all commands below it what they have in common: the form of their help,
// suggestions for mistyped words, and completion of arguments. Call it once, when root has all its
// commands.
func polish(root *cobra.Command) {
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { _ = writeHelp(c.OutOrStdout(), c) })
	root.SetFlagErrorFunc(flagError)
	root.InitDefaultHelpCmd()
	each(root, func(c *cobra.Command) {
		if c.Name() == "help" {
			polishHelp(c)
		}
		if c.Flags().Lookup("help") == nil {
			c.Flags().BoolP("help", "h", false, "print this help")
		}
		c.Flags().VisitAll(unquote)
		if holdsOthers(c) {
			group(c)
			return
		}
		c.Args = argsChecked(c.Args)
		namesFile := strings.Contains(c.Use, "FILE") || strings.Contains(c.Use, "DIR")
		if c.ValidArgs == nil && c.ValidArgsFunction == nil && !namesFile {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	})
}

// actsItself is the annotation of a command that does something itself, though it holds others.
const actsItself = "acts"

// holdsOthers says that a command does nothing but hold others.
func holdsOthers(c *cobra.Command) bool {
	return c.HasSubCommands() && c.Annotations[actsItself] == ""
}

// valueName is the annotation of a flag for the word that stands for its value in help.
const valueName = "value"

// section is the annotation of a flag for the title under which it stands in help, if not "Flags".
// limitFlags is the title of limits.
const (
	section    = "section"
	limitFlags = "Limits"
)

// unquote moves the name of a flag's value out of its usage, where it stands in back quotes:
// completions show the usage as it is.
func unquote(f *pflag.Flag) {
	name, usage := pflag.UnquoteUsage(f)
	f.Usage = usage
	if f.Annotations == nil {
		f.Annotations = make(map[string][]string)
	}
	f.Annotations[valueName] = []string{name}
}

// each calls f for c and all commands below it.
func each(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		each(sub, f)
	}
}

// argsChecked is check with a better error for a command that takes no arguments: cobra only says
// that they are unknown commands.
func argsChecked(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		err := check(c, args)
		if err != nil && strings.HasPrefix(err.Error(), "unknown command") {
			return fmt.Errorf("%w, which takes no arguments", err)
		}
		return err
	}
}

// oneFile wants the path of one file at most.
func oneFile(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%q is one argument too many: %q takes the path of one file", args[1],
			c.CommandPath())
	}
	return nil
}

// polishHelp gives cobra's own command "help" the form of ours.
func polishHelp(c *cobra.Command) {
	c.Use, c.Short, c.Long = "help [COMMAND]", "Explain a command", ""
	c.Example, c.DisableFlagsInUseLine = "  dbproxy help user add", true
	c.RunE = func(c *cobra.Command, args []string) error {
		found, rest, err := c.Root().Find(args)
		if err != nil {
			return err
		}
		if len(rest) > 0 && found.HasSubCommands() {
			return unknownCommand(found, rest[0])
		}
		return writeHelp(c.OutOrStdout(), found)
	}
}

// writeHelp writes the help of a command: what it is for, how it is called, examples, its commands
// and its flags.
func writeHelp(w io.Writer, c *cobra.Command) error {
	out := bufio.NewWriter(w)
	part := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text != "" {
			fmt.Fprintf(out, "\n%s\n%s\n", terminal.NewStyle(w).Bold(title+":"), text)
		}
	}
	fmt.Fprintln(out, about(c))
	part("Usage", "  "+synopsis(c))
	part("Examples", c.Example)
	left := 0
	for _, sub := range c.Commands() {
		left = max(left, terminal.Width(sub.Name()))
	}
	for _, a := range commandAreas(c) {
		text := ""
		for _, sub := range a.commands {
			text += row(sub.Name(), left, sub.Short)
		}
		part(a.title, text)
	}
	for _, title := range []string{"Flags", limitFlags} {
		part(title, flagRows(c, title))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(out, "\n%q explains a command.\n", c.CommandPath()+" COMMAND --help")
	}
	return out.Flush()
}

// about is what a command is for, in sentences.
func about(c *cobra.Command) string {
	if c.Long != "" {
		return strings.TrimSpace(c.Long)
	}
	return c.Short + "."
}

// synopsis is how a command is called.
func synopsis(c *cobra.Command) string {
	if c.HasAvailableSubCommands() && holdsOthers(c) {
		return c.CommandPath() + " COMMAND"
	}
	return c.UseLine()
}

// area is a titled list of commands.
type area struct {
	title    string
	commands []*cobra.Command
}

// commandAreas returns the commands right below c; those of the root are grouped by areas.
func commandAreas(c *cobra.Command) (found []area) {
	rest := area{title: "Commands"}
	grouped := make(map[*cobra.Command]bool)
	if !c.HasParent() {
		rest.title = "More"
		for _, a := range areas {
			part := area{title: a.title}
			for _, name := range a.commands {
				sub, _, _ := c.Find([]string{name}) // areas has none that is not there
				part.commands, grouped[sub] = append(part.commands, sub), true
			}
			found = append(found, part)
		}
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && !grouped[sub] {
			rest.commands = append(rest.commands, sub)
		}
	}
	return append(found, rest)
}

// flagText is what help says about a flag.
type flagText struct {
	form    string // how the flag is typed
	value   string // what stands for its value; "" for switches
	text    string
	section string // the title that it stands under
}

// flagsOf returns the flags of a command. It has none of the commands above it: no flag is
// persistent.
func flagsOf(c *cobra.Command) (flags []flagText) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		text := f.Usage
		nothing := slices.Contains([]string{"", "0", "0s", "false", "[]"}, f.DefValue)
		if !nothing && !strings.Contains(text, "(default") {
			text += " (default " + f.DefValue + ")"
		}
		form := "    --" + f.Name
		if f.Shorthand != "" {
			form = "-" + f.Shorthand + ", --" + f.Name
		}
		value := strings.ToUpper(strings.Join(f.Annotations[valueName], ""))
		form = strings.TrimRight(form+" "+value, " ")
		title := cmp.Or(strings.Join(f.Annotations[section], ""), "Flags")
		flags = append(flags, flagText{form, value, text, title})
	})
	return flags
}

// flagRows returns the lines of help for those flags of a command that stand under a title.
func flagRows(c *cobra.Command, title string) (text string) {
	flags := slices.DeleteFunc(flagsOf(c), func(f flagText) bool { return f.section != title })
	left := 0
	for _, f := range flags {
		left = max(left, terminal.Width(f.form))
	}
	for _, f := range flags {
		text += row(f.form, left, f.text)
	}
	return text
}

// row sets a name, in a column of left cells, and its text, which is wrapped, beside each other.
func row(name string, left int, text string) string {
	indent := left + 5
	beside := terminal.Indent(text, strings.Repeat(" ", indent), helpWidth)[indent:]
	return strings.TrimRight(terminal.Pad("  "+name, indent)+beside, " ") + "\n"
}
