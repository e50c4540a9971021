package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// The exit codes of "config check": that something is wrong, as of "doctor"; and, with --strict,
// that something is doubtful and nothing wrong. It exits with 1 when it could not check.
const (
	exitWrong    = 2
	exitDoubtful = 3
)

// replicaPatience is how long "config check" waits for a row to reach the replica. A replica that
// is further behind is not used.
const replicaPatience = 10 * time.Second

func configCheckCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Connect to everything, and say what is good, doubtful or wrong",
		Long: `Read a configuration (default dbproxyserver.conf), connect to the MySQL, Redis
and file server that it names, and say of each item whether it is good, doubtful
or wrong, and how to mend it. Nothing is changed; a row and some keys of
dbproxy's own are there for a moment.

The exit code says what became of it:
  0  nothing is wrong
  1  it could not look, as the configuration has mistakes: see the error
  2  something is wrong
  3  with --strict: something is doubtful`,
		Example: `  dbproxy config check
  dbproxy config check /etc/dbproxyserver.conf --strict --json`,
		Args: oneFile,
	}
	asJSON := jsonFlag(c)
	file := fileArgument(c)
	strict := c.Flags().Bool("strict", false, "end with 3 when something is doubtful")
	c.RunE = func(c *cobra.Command, args []string) error {
		path, err := file(args)
		if err != nil {
			return err
		}
		cfg, warnings, err := config.Load(path, os.Environ(), nil)
		if err != nil {
			warn(c, warnings)
			return err
		}
		servers, err := toCheck(cfg, path, replicaPatience)
		if err != nil {
			return err
		}
		stop := progress(os.Stderr, "looking at the servers", nil)
		subjects := append([]checkup.Subject{read(path, cfg, warnings)},
			checkup.All(c.Context(), servers)...)
		stop()
		if *asJSON {
			err = showJSON(c.OutOrStdout(), findingsJSON(subjects))
		} else {
			err = writeFindings(c.OutOrStdout(), subjects)
		}
		return errors.Join(err, verdict(subjects, *strict))
	}
	return c
}

// read is the subject for the file itself: what was found when it was read, and whether this
// machine has the addresses that it names.
func read(path string, cfg *config.Config, warnings []config.Warning) checkup.Subject {
	s := checkup.Subject{Name: "Configuration", Where: path}
	given := 0
	for _, setting := range cfg.Settings() {
		if setting.From != "" {
			given++
		}
	}
	s.Findings = append(s.Findings,
		checkup.Goodf("keys", "%d of %d are given, the others have their defaults", given,
			len(cfg.Settings())))
	for _, w := range warnings {
		item := w.Where
		switch {
		case w.Line > 0:
			item = fmt.Sprintf("line %d", w.Line)
		case w.Where == path:
			item = "file"
		}
		s.Findings = append(s.Findings, checkup.Doubt(item, w.Text, ""))
	}
	if cfg.NeedlessSlave() {
		s.Findings = append(s.Findings, checkup.Goodf("teamtalk_slave", sameDatabase))
	}
	s.Findings = append(s.Findings, checkListening(cfg)...)
	return s
}

// sameDatabase says that teamtalk_slave is no replica.
const sameDatabase = "the same database as teamtalk_master, so all is read there"

// count is how many findings have a grade.
func count(subjects []checkup.Subject, g checkup.Grade) (n int) {
	for _, s := range subjects {
		for _, f := range s.Findings {
			if f.Grade == g {
				n++
			}
		}
	}
	return n
}

// verdict returns the error that the command ends with, or nil.
func verdict(subjects []checkup.Subject, strict bool) error {
	wrong, doubtful := count(subjects, checkup.Wrong), count(subjects, checkup.Doubtful)
	switch {
	case wrong > 0:
		return &exitError{exitWrong, errors.New(admin.Count(wrong, "item") + " wrong")}
	case doubtful > 0 && strict:
		return &exitError{exitDoubtful, errors.New(admin.Count(doubtful, "item") + " doubtful")}
	default:
		return nil
	}
}

// findingJSON is a finding for programs.
type findingJSON struct {
	Subject string        `json:"subject"`
	Where   string        `json:"where"`
	Item    string        `json:"item"`
	Grade   checkup.Grade `json:"grade"`
	Text    string        `json:"text"`
	Mend    string        `json:"mend"`
}

func findingsJSON(subjects []checkup.Subject) (list []findingJSON) {
	for _, s := range subjects {
		for _, f := range s.Findings {
			list = append(list, findingJSON{s.Name, s.Where, f.Item, f.Grade, f.Text, f.Mend})
		}
	}
	return list
}

// mendOf is what to do about a finding, for people.
func mendOf(f checkup.Finding) string {
	return "Mend: " + strings.TrimPrefix(printable(f.Mend), "mend ")
}

// minText is how narrow the texts become at most, in cells.
const minText = 30

// writeFindings prints findings for people, wrapped to the width of w.
func writeFindings(w io.Writer, subjects []checkup.Subject) error {
	style, out := terminal.NewStyle(w), bufio.NewWriter(w)
	paint := map[checkup.Grade]func(string) string{
		checkup.Good: style.Dim, checkup.Doubtful: style.Bold, checkup.Wrong: style.Red,
	}
	grade, item := len("doubtful"), 0
	for _, s := range subjects {
		for _, f := range s.Findings {
			item = max(item, terminal.Width(printable(f.Item)))
		}
	}
	indent := 2 + grade + 2 + item + 2
	width := max(terminal.Columns(w)-indent, minText)
	for _, s := range subjects {
		fmt.Fprintf(out, "%s  %s\n", style.Bold(s.Name), printable(s.Where))
		for _, f := range s.Findings {
			lines := terminal.Wrap(printable(f.Text), width)
			if f.Mend != "" {
				lines = append(lines, terminal.Wrap(mendOf(f), width)...)
			}
			for i, line := range lines {
				if i > 0 {
					fmt.Fprintf(out, "%*s%s\n", indent, "", line)
					continue
				}
				fmt.Fprintf(out, "  %s  %s  %s\n",
					paint[f.Grade](terminal.Pad(f.Grade.String(), grade)),
					terminal.Pad(printable(f.Item), item), line)
			}
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%d good, %d doubtful, %d wrong\n", count(subjects, checkup.Good),
		count(subjects, checkup.Doubtful), count(subjects, checkup.Wrong))
	return out.Flush()
}
