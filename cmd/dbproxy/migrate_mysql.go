package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/terminal"
)

// longestStatement is how long a statement that changes a table may take.
const longestStatement = 7 * 24 * time.Hour

// migration is what "dbproxy migrate --config" is asked for.
type migration struct {
	cmd                    *cobra.Command
	yes, dryRun, userIndex bool
}

func (m *migration) run(ctx context.Context, path string) error {
	cfg, err := loadConfig(m.cmd, path)
	if err != nil {
		return err
	}
	store, err := openToMigrate(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(m.migrate(ctx, store, cfg.Master), store.Close())
}

// openToMigrate opens the master alone, for statements that may take long.
func openToMigrate(ctx context.Context, cfg *config.Config) (*records.Store, error) {
	at, err := mysqlOf(cfg.Master)
	if err != nil {
		return nil, fmt.Errorf("teamtalk_master: %w", err)
	}
	at.ReadTimeout = longestStatement
	store, err := records.OpenMySQL(at, nil, records.Options{Log: briefLog(os.Stderr)})
	if err != nil {
		return nil, err
	}
	reach, cancel := context.WithTimeout(ctx, at.ConnectTimeout)
	defer cancel()
	if err := store.Ping(reach); err != nil {
		return nil, errors.Join(cannotUse(cfg.Master, err), store.Close())
	}
	return store, nil
}

func (m *migration) migrate(ctx context.Context, store *records.Store, d config.Database) error {
	out := m.cmd.OutOrStdout()
	where := fmt.Sprintf("database %s at %s", d.Name, d.Addr())
	stmts, err := store.Missing(ctx)
	if err != nil {
		return err
	}
	index, err := store.UserIndex(ctx)
	if err != nil {
		return err
	}
	in := m.cmd.InOrStdin()
	asks := terminal.Is(in) && !m.yes
	if index != "" && m.userIndex {
		stmts, index = append(stmts, index), ""
	}
	if m.dryRun {
		return showSQL(out, where, stmts, index)
	}
	if len(stmts) > 0 {
		fmt.Fprintf(out, "%s lacks:\n\n%s\nNothing is removed, no data is touched; --dry-run shows the statements.\n\n", where, addedBy(stmts))
	} else {
		fmt.Fprintf(out, "%s: %s\n", where, migrated(0))
	}
	if index != "" {
		fmt.Fprintf(out, "An index on IMUser.updated would save reading all people to find those who\nchanged (--user-index).\n\n")
	}
	switch {
	case asks:
		answers := terminal.NewPipe(in, out, m.cmd.ErrOrStderr()).Lines()
		stmts = agreed(ctx, questions{answers, out}, stmts, index)
	case !m.yes && len(stmts) > 0:
		return fmt.Errorf("nothing was changed, as there is no terminal to ask at; --yes adds what is missing")
	}
	if len(stmts) == 0 {
		return nil
	}
	ran, err := runShown(ctx, store, stmts)
	if err != nil {
		return fmt.Errorf("%d of %d statements were run; the rest can be run by the same command again: %w", len(ran), len(stmts), err)
	}
	_, err = fmt.Fprintf(out, "%s added\n", addedBy(ran).count())
	return err
}

// showSQL prints statements as a script for mysql: all else is comments, the index that is not needed, too.
func showSQL(out io.Writer, where string, stmts []string, index string) error {
	var b strings.Builder
	if len(stmts) > 0 {
		fmt.Fprintf(&b, "-- %s needs %s\n-- (nothing is removed, no data is touched):\n\n%s;\n", where, plural(len(stmts), "statement"), strings.Join(stmts, ";\n"))
	} else {
		fmt.Fprintf(&b, "-- %s: %s\n", where, migrated(0))
	}
	if index != "" {
		fmt.Fprintf(&b, "\n-- An index on IMUser.updated would save reading all people to find those who\n-- changed (--user-index):\n-- %s;\n",
			strings.ReplaceAll(index, "\n", "\n-- "))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// questions are asked on a terminal, one a line.
type questions struct {
	answers <-chan string
	out     io.Writer
}

// yes asks a question. The end of the input, and of ctx, is a no.
func (q questions) yes(ctx context.Context, question string) bool {
	fmt.Fprintf(q.out, "%s [y/N] ", question)
	select {
	case line, ok := <-q.answers:
		if !ok {
			fmt.Fprintln(q.out)
		}
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	case <-ctx.Done():
		fmt.Fprintln(q.out)
		return false
	}
}

// agreed asks which statements to run.
func agreed(ctx context.Context, q questions, stmts []string, index string) (run []string) {
	if len(stmts) > 0 && q.yes(ctx, "Add "+addedBy(stmts).count()+"?") {
		run = stmts
	}
	if index != "" && (len(run) > 0 || len(stmts) == 0) && q.yes(ctx, "Add the index on IMUser.updated?") {
		run = append(run, index)
	}
	if len(run) == 0 {
		fmt.Fprintln(q.out, "Nothing was changed.")
	}
	return run
}

// runShown runs statements, and shows on a terminal which takes its time.
func runShown(ctx context.Context, store *records.Store, stmts []string) (ran []string, err error) {
	stop, n := func() {}, 0
	ran, err = store.Run(ctx, stmts, func(stmt string) {
		stop()
		n++
		line, _, _ := strings.Cut(stmt, "\n")
		what := terminal.Fit(fmt.Sprintf("%d of %d: %s", n, len(stmts), line), columns(os.Stderr)-len(" … 00h00m00s"))
		stop = progress(os.Stderr, what, nil)
	})
	stop()
	return ran, err
}

// plural is "1 statement", "2 statements".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
