package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// importing is what "dbproxy user import" is asked for.
type importing struct {
	file                    string // or stdin
	update, skipBad, dryRun bool
	in                      io.Reader
	out, errs               io.Writer
}

// stdin is what standard input is called in messages.
const stdin = "standard input"

func userImportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Make people from a CSV file",
		Long: `Make people from a CSV file in UTF-8 ("-": standard input). Its first line names
the columns, in any order:

  name        what they log in with; must not exist yet
  password    what they type to log in
  nick        the name that others see (default: the same)
  domain      the name in Latin letters (default: the same)
  department  a department that exists, by id or name (default: none)
  sex         male, female or unknown (default: unknown)
  phone       at most 11 characters
  email       the e-mail address

Only name and password are needed. Such a file looks like this:

  name,password,nick,department,sex,phone,email
  ann,secret,Ann,Engineering,female,13800000001,ann@example.com
  王小明,"a ""quoted"" one",小明,2,male,,

Every line that cannot be imported is named with its reason, and then nothing is
imported, or with --skip-bad all but these. With --update the people who exist
get what their line says; empty cells leave what is there.`,
		Example: `  printf 'name,nick,password\nzoe,Zoe,secret\n' > people.csv
  dbproxy user import people.csv --dry-run
  dbproxy user import people.csv
  dbproxy user import - --update < people.csv`,
		Args: oneArg("a CSV file, or - for standard input"),
	}
	data := targetFlags(c)
	var im importing
	f := c.Flags()
	f.BoolVar(&im.dryRun, "dry-run", false, "say what would happen, and change nothing")
	f.BoolVar(&im.skipBad, "skip-bad", false, "import the good lines even when others are bad")
	f.BoolVar(&im.update, "update", false, "change the people who exist already")
	c.RunE = func(c *cobra.Command, args []string) error {
		im.file, im.in, im.out, im.errs = args[0], c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
		if im.file == "-" {
			im.file = stdin
		}
		return data.withLocks(func(store *records.Store, _ locks) error {
			return im.run(c.Context(), store)
		})
	}
	return c
}

func (im *importing) run(ctx context.Context, store *records.Store) error {
	file, err := terminal.Interruptible(ctx, im.read)
	if err != nil {
		return fmt.Errorf("nothing imported: %s: %w", im.file, err)
	}
	plan, err := admin.MakePlan(ctx, store, file.rows, file.bad, im.update)
	if err != nil {
		return fmt.Errorf("nothing imported: %w", err)
	}
	for _, b := range plan.Bad {
		fmt.Fprintf(im.errs, "%s, line %d: %s\n", im.file, b.Line, printable(b.Reason))
	}
	if len(plan.Bad) > 0 && !im.skipBad {
		return fmt.Errorf("nothing imported: %s; mend what is named above, or import the others "+
			"with --skip-bad", badOf(len(plan.Bad), plan.Lines()))
	}
	if plan.Lines() == 0 {
		return fmt.Errorf("nothing imported: there is nobody in %s", im.file)
	}
	if im.dryRun {
		text := im.said("would be ", len(plan.Add), len(plan.Change), plan.Same, len(plan.Bad))
		_, err := fmt.Fprintf(im.out, "%s (a dry run: nothing was changed)\n", text)
		return err
	}
	total := len(plan.Add) + len(plan.Change)
	var at atomic.Int64 // how many are done
	stop := progress(im.errs, "importing", func() string {
		return admin.Digits(int(at.Load())) + " of " + admin.Count(total, "person")
	})
	done, err := plan.Run(ctx, func(done int) { at.Store(int64(done)) })
	stop()
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			err = errors.New("interrupted")
		}
		again := "--update" // it leaves those alone who are as their line says
		if im.skipBad && !im.update {
			again = "--skip-bad"
		}
		return fmt.Errorf("import stopped after %s of %s: %w; for the rest, import the file "+
			"again with %s",
			admin.Digits(done.Added+done.Changed), admin.Count(total, "person"), err, again)
	}
	_, err = fmt.Fprintln(im.out,
		im.said("", done.Added, done.Changed, plan.Same+len(plan.Change)-done.Changed,
			len(plan.Bad)))
	return err
}

// people are the lines of a file.
type people struct {
	rows []admin.Row
	bad  []admin.Bad
}

func (im *importing) read() (p people, err error) {
	in := im.in
	if im.file != stdin {
		f, err := os.Open(im.file)
		if err != nil {
			var wrong *os.PathError
			if errors.As(err, &wrong) {
				err = wrong.Err
			}
			return p, err
		}
		defer f.Close()
		in = f
	}
	p.rows, p.bad, err = admin.ReadCSV(in)
	return p, err
}

// badOf says how many lines are bad.
func badOf(bad, lines int) string {
	verb := "are"
	if bad == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%s of %s %s bad", admin.Digits(bad), admin.Count(lines, "line"), verb)
}

// said tells what an import did, or in a dry run would do.
func (im *importing) said(verb string, added, changed, same, bad int) string {
	text := admin.Count(added, "person") + " " + verb + "added"
	if im.update {
		text += fmt.Sprintf(", %s %schanged, %s as their line says already", admin.Digits(changed),
			verb, admin.Digits(same))
	}
	if bad > 0 {
		text += ", " + admin.Count(bad, "bad line") + " " + verb + "skipped"
	}
	return text
}
