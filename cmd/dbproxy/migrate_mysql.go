package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/marks"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// longestStatement is how long a statement that changes a table may take.
const longestStatement = 7 * 24 * time.Hour

// migration is what "dbproxy migrate --config" is asked for.
type migration struct {
	cmd                    *cobra.Command
	yes, dryRun, userIndex bool
	withoutRedis           bool // the proxies are to count without Redis
	withRedis              bool // they are to count with it again
	force                  bool // though others may still count
	watch                  time.Duration

	fresh bool // a database on which nobody has worked is to be one of proxies without Redis
	asked *terminal.Questions

	passed []string // what was said to be passed over
}

// questions asks at the terminal.
func (m *migration) questions() terminal.Questions {
	if m.asked == nil {
		q := terminal.NewQuestions(m.cmd.InOrStdin(), m.cmd.OutOrStdout())
		m.asked = &q
	}
	return *m.asked
}

func (m *migration) run(ctx context.Context, path string) error {
	cfg, err := loadConfig(m.cmd, path)
	if err != nil {
		return err
	}
	m.fresh = cfg.WithoutRedis()
	at, err := masterOf(cfg)
	if err != nil {
		return err
	}
	store, err := openToMigrate(ctx, cfg, at)
	if err != nil {
		return err
	}
	if err = m.mayMove(ctx, store, cfg, path); err == nil {
		err = m.migrate(ctx, store, at)
	}
	if err = errors.Join(err, store.Close()); err == nil && m.to() != 0 {
		err = m.move(ctx, cfg, at)
	}
	return err
}

// leftAlone shows findings in lines that begin with mark, or nothing when there are none. A mark is
// for scripts: there statements are not wrapped.
func leftAlone(findings []checkup.Finding, mark string) string {
	if len(findings) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%sOf another form, and left alone:\n", mark)
	for _, f := range findings {
		lines := terminal.Wrap(printable(fmt.Sprintf("%s (%s): %s", f.Item, f.Grade, f.Text)),
			74-len(mark))
		mend := printable(f.Mend)
		if mark == "" || unicode.IsLower(rune(mend[0])) { // or no statement
			lines = append(lines, terminal.Wrap(mendOf(f), 74-len(mark))...)
		} else {
			lines = append(lines, strings.Split(strings.ReplaceAll(mend, "; ", ";\n")+";", "\n")...)
		}
		fmt.Fprintf(&b, "%s  %s\n", mark, strings.Join(lines, "\n"+mark+"    "))
	}
	return b.String()
}

// openToMigrate opens the master alone, for statements that may take long.
func openToMigrate(
	ctx context.Context, cfg *config.Config, at sqldb.MySQL,
) (*records.Store, error) {
	at.ReadTimeout = longestStatement
	store, err := records.OpenMySQL(at, nil, records.Options{Log: briefLog(os.Stderr)})
	if err != nil {
		return nil, err
	}
	reach, cancel := context.WithTimeout(ctx, at.ConnectTimeout)
	defer cancel()
	if err := store.DB().Ping(reach); err != nil {
		return nil, errors.Join(cannotUse(cfg.Master, err), store.Close())
	}
	return store, nil
}

func (m *migration) migrate(ctx context.Context, store *records.Store, at sqldb.MySQL) error {
	out := m.cmd.OutOrStdout()
	where := fmt.Sprintf("database %s at %s", at.Database, at.Addr)
	stmts, err := m.missing(ctx, store)
	if err != nil {
		return err
	}
	index, err := tables.UserIndex(ctx, store.DB())
	if err != nil {
		return err
	}
	other := checkup.CheckShape(ctx, at, checkup.CheckOptions{Name: "teamtalk_master"})
	in := m.cmd.InOrStdin()
	asks := terminal.Is(in) && !m.yes
	if index != "" && m.userIndex {
		stmts, index = append(stmts, index), ""
	}
	if m.to() != 0 {
		index = "" // it has nothing to do with where proxies count
	}
	if m.dryRun {
		return showSQL(out, where, stmts, index, leftAlone(other, "-- "))
	}
	if len(stmts) > 0 {
		fmt.Fprintf(out, "%s lacks:\n\n%s\nNothing of others is removed, no data of theirs is "+
			"touched; --dry-run shows the\nstatements.\n\n", where, addedBy(stmts))
	} else {
		fmt.Fprintf(out, "%s: %s\n", where, migrated(0))
		if len(other) > 0 || index != "" {
			fmt.Fprintln(out)
		}
	}
	if other := leftAlone(other, ""); other != "" {
		fmt.Fprintf(out, "%s\n", other)
	}
	if index != "" {
		fmt.Fprintf(out, "An index on IMUser.updated would save reading all people to find those "+
			"who\nchanged (--user-index).\n")
		if len(stmts) > 0 || asks {
			fmt.Fprintln(out)
		}
	}
	switch {
	case asks:
		if stmts = agreed(ctx, m.questions(), stmts, index); len(stmts) == 0 {
			fmt.Fprintln(out, "Nothing was changed.")
		}
	case !m.yes && len(stmts) > 0:
		return fmt.Errorf("nothing was changed, as there is no terminal to ask at; --yes adds " +
			"what is missing")
	}
	if len(stmts) == 0 {
		return nil
	}
	ran, err := runShown(ctx, store, stmts)
	if err != nil {
		return fmt.Errorf("%d of %d statements were run; the rest can be run by the same command "+
			"again: %w", len(ran), len(stmts), err)
	}
	_, err = fmt.Fprintf(out, "%s added\n", addedBy(ran).count())
	return err
}

// missing returns the statements for what the database lacks. Where no server has ever worked on
// it, and the configuration is for proxies without Redis, it first gets the mark that says so.
func (m *migration) missing(ctx context.Context, store *records.Store) ([]string, error) {
	stmts, err := tables.Missing(ctx, store.DB())
	if err != nil || !m.fresh {
		return stmts, err
	}
	fresh, marked, err := tables.Fresh(ctx, store.DB())
	switch {
	case err != nil || !fresh:
		return stmts, err
	case marked:
		return append([]string{fleet.CountWithoutRedis}, stmts...), nil
	}
	for i, stmt := range stmts {
		if slices.Contains(addedBy([]string{stmt})["table"], marks.Table) {
			first := []string{stmt, fleet.CountWithoutRedis}
			return append(first, slices.Delete(stmts, i, i+1)...), nil
		}
	}
	return stmts, nil
}

// showSQL prints statements as a script for mysql. All else stands in it as comments: the index,
// which is not needed, and what is left alone.
func showSQL(out io.Writer, where string, stmts []string, index, leftAlone string) error {
	var b strings.Builder
	if len(stmts) > 0 {
		fmt.Fprintf(&b, "-- %s needs %s\n-- (nothing of others is removed, no data of theirs is "+
			"touched):\n\n%s;\n", where, admin.Count(len(stmts), "statement"),
			strings.Join(stmts, ";\n"))
	} else {
		fmt.Fprintf(&b, "-- %s: %s\n", where, migrated(0))
	}
	if index != "" {
		fmt.Fprintf(&b, "\n-- An index on IMUser.updated would save reading all people to find "+
			"those who\n-- changed (--user-index):\n-- %s;\n",
			strings.ReplaceAll(index, "\n", "\n-- "))
	}
	if leftAlone != "" {
		fmt.Fprintf(&b, "\n%s", leftAlone)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// agreed asks which statements to run, and returns these.
func agreed(
	ctx context.Context, q terminal.Questions, stmts []string, index string,
) (run []string) {
	if len(stmts) > 0 && q.Yes(ctx, "Add "+addedBy(stmts).count()+"?") {
		run = stmts
	}
	if index != "" && (len(run) > 0 || len(stmts) == 0) &&
		q.Yes(ctx, "Add the index on IMUser.updated?") {
		run = append(run, index)
	}
	return run
}

// runShown runs statements, and shows on a terminal at which one it is.
func runShown(ctx context.Context, store *records.Store, stmts []string) (ran []string, err error) {
	stop, n := func() {}, 0
	ran, err = store.DB().Define(ctx, stmts, func(stmt string) {
		stop()
		n++
		line, _, _ := strings.Cut(stmt, "\n")
		what := terminal.Fit(fmt.Sprintf("%d of %d: %s", n, len(stmts), line),
			terminal.Columns(os.Stderr)-len(" … 00h00m00s"))
		stop = progress(os.Stderr, what, nil)
	})
	stop()
	return ran, err
}
