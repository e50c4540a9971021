package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/records"
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

// withRecords runs work on the records of an existing store, for commands that do their work and
// end.
func (t *target) withRecords(ctx context.Context, work func(*records.Store) error) error {
	return t.withLocks(ctx, func(store *records.Store, _ locks) error { return work(store) })
}

// change runs work, which changes the records, and prints what work says that it did. Errors begin
// with failed.
func (t *target) change(
	ctx context.Context, failed string, work func(*records.Store) (said string, err error),
) error {
	return t.withRecords(ctx, func(store *records.Store) error {
		said, err := work(store)
		if err != nil {
			return fmt.Errorf("%s: %w", failed, err)
		}
		_, err = fmt.Fprintln(t.cmd.OutOrStdout(), said)
		return err
	})
}

// withLocks is withRecords for work that also needs to know who is locked out.
func (t *target) withLocks(ctx context.Context, work func(*records.Store, locks) error) error {
	path, err := t.chosen()
	if err != nil {
		return err
	}
	if path == "" {
		dir, err := datadir.Existing(t.data)
		if err != nil {
			return err
		}
		store, _, err := openRecords(ctx, dir, recordsOptions(nil, briefLog(t.cmd.ErrOrStderr())))
		if err != nil {
			return err
		}
		return errors.Join(work(store, &counters.Failures{Table: store}), store.Close())
	}
	cfg, err := loadConfig(t.cmd, path)
	if err != nil {
		return err
	}
	s, err := openServers(ctx, cfg, nil, nil, briefLog(t.cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	return errors.Join(work(s.store, &counters.SharedFailures{Copy: s.redis}), s.close())
}
