package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/teamtalk-go/dbproxy/internal/spelling"
)

// synonyms are words that people type for commands, because other programs call them so.
var synonyms = map[string][]string{
	"serve":  {"start", "run", "server"},
	"user":   {"users", "people", "person", "account"},
	"add":    {"create", "new", "make"},
	"list":   {"ls"},
	"show":   {"get", "info", "print", "view"},
	"check":  {"test", "validate", "verify"},
	"edit":   {"change", "set", "modify"},
	"passwd": {"password"},
	"remove": {"rm", "delete"},
	"tail":   {"follow", "watch"},
	"bench":  {"benchmark", "load"},
	"doctor": {"repair", "fsck"},

	"example": {"init", "new", "create", "sample", "template"},

	// People and departments are never deleted.
	"disable": {"remove", "rm", "delete"},
	"close":   {"remove", "rm", "delete"},
}

// unknownCommand says that c has no command of that name, and which one may have been meant.
func unknownCommand(c *cobra.Command, name string) error {
	paths := make(map[string]string) // of commands, by the words that may be typed for them
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			for _, n := range slices.Concat([]string{sub.Name()}, sub.Aliases,
				synonyms[sub.Name()]) {
				paths[n] = sub.CommandPath()
				names = append(names, n)
			}
		}
	}
	hint := fmt.Sprintf("%q lists the commands", c.CommandPath()+" --help")
	if len(c.ValidArgs) > 0 { // shells, for "completion"
		hint = "choose " + oneOf(c.ValidArgs)
	}
	for _, shell := range c.ValidArgs {
		paths[shell] = c.CommandPath() + " " + shell
		names = append(names, shell)
	}
	var meant []string
	for _, n := range spelling.Nearest(name, names) {
		if !slices.Contains(meant, paths[n]) {
			meant = append(meant, paths[n])
		}
	}
	if len(meant) == 0 {
		meant = elsewhere(c.Root(), name)
	}
	if len(meant) > 0 {
		hint = spelling.DidYouMean(meant)
	}
	return fmt.Errorf("unknown command %q for %q; %s", name, c.CommandPath(), hint)
}

// oneOf lists words to choose from: "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// elsewhere returns the paths of the commands at or below c that have that name: whoever types
// "add" may mean "user add".
func elsewhere(c *cobra.Command, name string) (paths []string) {
	if c.Name() == name && c.IsAvailableCommand() {
		paths = append(paths, c.CommandPath())
	}
	for _, sub := range c.Commands() {
		paths = append(paths, elsewhere(sub, name)...)
	}
	return paths
}

// flagError explains what is wrong with a flag that c was called with.
func flagError(c *cobra.Command, err error) error {
	if holdsOthers(c) && c.Flags().NArg() > 0 {
		return unknownCommand(c, c.Flags().Arg(0)) // the flag belongs to what was meant
	}
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(c, unknown)
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s", missing.GetFlag().Name,
			missing.GetFlag().Usage)
	case errors.As(err, &invalid):
		f, why := invalid.GetFlag(), invalid.Unwrap()
		if what := wanted(f); what != "" {
			why = fmt.Errorf("it must be %s (%s)", what, f.Usage)
		}
		return fmt.Errorf("--%s %q: %w", f.Name, invalid.GetValue(), why)
	}
	return err
}

// unknownFlag says that c has no such flag, and which one may have been meant. "-data" comes here
// as the letters of one-letter flags.
func unknownFlag(c *cobra.Command, e *pflag.NotExistError) error {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	typed, word := "--"+e.GetSpecifiedName(), e.GetSpecifiedName()
	if letters := e.GetSpecifiedShortnames(); letters != "" {
		typed, word = "-"+letters, letters
		if len(letters) == 1 {
			names = nil // nothing is near to a single letter
		}
	}
	hint := fmt.Sprintf("%q lists the flags", c.CommandPath()+" --help")
	if meant := spelling.Nearest(word, names); len(meant) > 0 {
		for i := range meant {
			meant[i] = "--" + meant[i]
		}
		hint = spelling.DidYouMean(meant)
	}
	return fmt.Errorf("unknown flag: %s; %s", typed, hint)
}

// wanted says in words what the value of a flag must be; "" where only the flag's own error can
// say.
func wanted(f *pflag.Flag) string {
	switch t := f.Value.Type(); {
	case strings.HasPrefix(t, "uint"):
		return "a whole number from 0 on"
	case strings.HasPrefix(t, "int"):
		return "a whole number"
	case strings.HasPrefix(t, "float"):
		return "a number"
	case t == "duration":
		return "a time such as 5s or 2m30s"
	case t == "bool":
		return "true or false"
	}
	return ""
}
