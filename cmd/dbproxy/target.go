package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// target is where a command finds its data: a directory, or the servers that a configuration names.
type target struct {
	cmd  *cobra.Command
	data string
	conf string
}

// targetFlags gives a command the flags that say where the data is.
func targetFlags(c *cobra.Command) *target {
	t := &target{cmd: c}
	c.Flags().StringVar(&t.data, "data", "./data", "the data `directory`")
	c.Flags().StringVar(&t.conf, "config", "",
		"work on the MySQL and Redis of a configuration `file`; without this and --data "+
			"./dbproxyserver.conf is taken, if there is one")
	// Both fail only without the flag.
	_ = c.MarkFlagDirname("data")
	_ = c.MarkFlagFilename("config", "conf")
	return t
}

// errTwoTargets is the refusal of --data together with --config.
var errTwoTargets = errors.New("--data is a store of its own, --config names MySQL and Redis: " +
	"give one of the two")

// configured returns the path of the configuration to use, or "" for the data directory, and why.
// An original's file in the working directory is used unless --data is given.
func (t *target) configured() (path, why string, err error) {
	flags := t.cmd.Flags()
	switch {
	case flags.Changed("data") && flags.Changed("config"):
		return "", "", errTwoTargets
	case flags.Changed("config"):
		return t.conf, "--config says so", nil
	case flags.Changed("data"):
		return "", "--data says so", nil
	}
	switch _, err := os.Stat(config.File); {
	case err == nil:
		return config.File, "it is in the working directory, and there is no --data", nil
	case errors.Is(err, fs.ErrNotExist):
		return "", "there is no --config, and no " + config.File + " in the working directory", nil
	default:
		return "", "", fmt.Errorf("looking for %s in the working directory (--data or --config "+
			"say what to use): %w", config.File, err)
	}
}

// chosen is configured for commands that do their work and end. It says on standard error that a
// configuration is used which nobody has named.
func (t *target) chosen() (path string, err error) {
	path, _, err = t.configured()
	if err == nil && path != "" && !t.cmd.Flags().Changed("config") {
		fmt.Fprintf(t.cmd.ErrOrStderr(),
			"on the servers of ./%s, as it is there (else: --data or --config)\n", path)
	}
	return path, err
}

// runs is what a command runs.
type runs = func(c *cobra.Command, args []string) error

// onRecords has a command work on the records of an existing store.
func (t *target) onRecords(work func(store *records.Store, args []string) error) runs {
	return func(_ *cobra.Command, args []string) error {
		return t.withLocks(func(store *records.Store, _ locks) error { return work(store, args) })
	}
}

// changes is onRecords for work that changes them. What work says that it did is printed. Errors
// begin with failed.
func (t *target) changes(
	failed string, work func(store *records.Store, args []string) (said string, err error),
) runs {
	return t.onRecords(func(store *records.Store, args []string) error {
		said, err := work(store, args)
		if err != nil {
			return fmt.Errorf("%s: %w", failed, err)
		}
		_, err = fmt.Fprintln(t.cmd.OutOrStdout(), said)
		return err
	})
}

// withLocks runs work on the records of an existing store. It also tells work who is locked out.
func (t *target) withLocks(work func(*records.Store, locks) error) error {
	path, err := t.chosen()
	if err != nil {
		return err
	}
	if path == "" {
		store, err := t.openExisting()
		if err != nil {
			return err
		}
		return errors.Join(work(store, &counters.Failures{Table: store}), store.Close())
	}
	cfg, err := loadConfig(t.cmd, path)
	if err != nil {
		return err
	}
	complete := func(s *servers) error { return hasTables(t.cmd.Context(), s.store) }
	s, err := openServers(t.cmd.Context(), cfg, complete, nil, briefLog(t.cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	return errors.Join(work(s.store, s.locks()), s.close())
}

// hasTables returns an error when a table of the suite's is missing, with what to do about it.
func hasTables(ctx context.Context, store *records.Store) error {
	seen, err := tables.Inspect(ctx, store.DB().Pool)
	if err == nil {
		err = seen.Named()
	}
	if err == nil {
		err = seen.Suite(store.DB().Pool)
	}
	return err
}

// openExisting opens the records of the data directory, which must be there.
func (t *target) openExisting() (*records.Store, error) {
	dir, err := datadir.Existing(t.data)
	if err != nil {
		return nil, err
	}
	opt := records.Options{Log: briefLog(t.cmd.ErrOrStderr())}
	store, _, err := openRecords(t.cmd.Context(), dir, opt)
	return store, err
}

// openRecords opens the records of a directory and brings their tables up to date.
func openRecords(
	ctx context.Context, dir *datadir.Dir, opt records.Options,
) (store *records.Store, ran []string, err error) {
	store, err = records.OpenSQLite(dir.Database(), opt)
	if err != nil {
		return nil, nil, fmt.Errorf("opening %s: %w", dir.Database(), dir.Explain(err))
	}
	stop := progress(os.Stderr, "bringing the tables up to date", nil)
	ran, err = tables.Migrate(ctx, store.DB())
	stop()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("making the tables of %s: %w", dir.Database(), err),
			store.Close())
	}
	return store, ran, nil
}

// recordsOptions returns the options for records; limits may be nil, for the defaults.
func recordsOptions(l *config.Limits, log *slog.Logger) records.Options {
	opt := records.Options{Log: log}
	if l != nil {
		opt.MessageTypes, opt.GroupTypes = l.MessageTypes.List(), l.GroupTypes.List()
	}
	return opt
}
