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

// place is where a command finds its data: a directory, or the servers that a configuration names.
type place struct {
	cmd  *cobra.Command
	data string
	conf string
}

// placeFlags gives a command the flags that say where the data is.
func placeFlags(c *cobra.Command) *place {
	p := &place{cmd: c}
	c.Flags().StringVar(&p.data, "data", "./data", "the data `directory`")
	c.Flags().StringVar(&p.conf, "config", "", "work on the MySQL and Redis of a configuration `file`; without this and --data ./dbproxyserver.conf is taken, if there is one")
	// Both fail only without the flag.
	_ = c.MarkFlagDirname("data")
	_ = c.MarkFlagFilename("config", "conf")
	return p
}

// errTwoPlaces is the refusal of --data together with --config.
var errTwoPlaces = errors.New("--data is a store of its own, --config names MySQL and Redis: give one of the two")

// configured returns the path of the configuration to use, "" for the data directory, and why. An original's file in the
// working directory is used unless --data says otherwise.
func (p *place) configured() (path, why string, err error) {
	flags := p.cmd.Flags()
	switch {
	case flags.Changed("data") && flags.Changed("config"):
		return "", "", errTwoPlaces
	case flags.Changed("config"):
		return p.conf, "--config says so", nil
	case flags.Changed("data"):
		return "", "--data says so", nil
	}
	switch _, err := os.Stat(config.File); {
	case err == nil:
		return config.File, "it is in the working directory, and there is no --data", nil
	case errors.Is(err, fs.ErrNotExist):
		return "", "there is no --config, and no " + config.File + " in the working directory", nil
	default:
		return "", "", fmt.Errorf("looking for %s in the working directory (--data or --config say what to use): %w", config.File, err)
	}
}

// chosen is configured for commands that do their work and end: it says on standard error when nobody named the servers.
func (p *place) chosen() (path string, err error) {
	path, _, err = p.configured()
	if err == nil && path != "" && !p.cmd.Flags().Changed("config") {
		fmt.Fprintf(p.cmd.ErrOrStderr(), "on the servers of ./%s, as it is there (else: --data or --config)\n", path)
	}
	return path, err
}

// withRecords runs work on the records of an existing store, for commands that do their work and end.
func (p *place) withRecords(ctx context.Context, work func(*records.Store) error) error {
	return p.withLocks(ctx, func(store *records.Store, _ locks) error { return work(store) })
}

// withLocks is withRecords for work that needs to know who is locked out, too.
func (p *place) withLocks(ctx context.Context, work func(*records.Store, locks) error) error {
	path, err := p.chosen()
	if err != nil {
		return err
	}
	if path == "" {
		dir, err := datadir.Existing(p.data)
		if err != nil {
			return err
		}
		store, _, err := openRecords(ctx, dir, recordsOptions(nil, briefLog(p.cmd.ErrOrStderr())))
		if err != nil {
			return err
		}
		return errors.Join(work(store, &counters.Failures{Table: store}), store.Close())
	}
	cfg, err := loadConfig(p.cmd, path)
	if err != nil {
		return err
	}
	s, err := openServers(ctx, cfg, nil, nil, briefLog(p.cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	return errors.Join(work(s.store, &counters.SharedFailures{Copy: s.redis}), s.close())
}
