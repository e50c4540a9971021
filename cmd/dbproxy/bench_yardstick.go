package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/bench/yardstick"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// yardstickFor is how long each yardstick is measured, unless it is said; beside profiles, at most.
const yardstickFor = 2 * time.Second

func yardstickCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "yardstick",
		Short: "Measure what a MySQL does by itself",
		Long: `Measure what the MySQL of a configuration does by itself, with no proxy:

  R  rows inserted in a second, 256 in a transaction, on 4 connections
  S  rows selected in a second, one by its key, on 16 connections
  P  pages selected in a second, the newest 20 rows of a talk, on 16 connections

What "dbproxy bench" measures on the same machine, told in shares of these,
holds on other machines, too. It works in a table of its own, dbproxy_yardstick,
which it makes and removes: the user of the configuration must be allowed to
CREATE and DROP it.`,
		Example: `  dbproxy bench yardstick
  dbproxy bench yardstick --config dbproxyserver.conf --for 5s --json`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	path := f.String("config", config.File, "the configuration `file` that names the MySQL")
	_ = c.MarkFlagFilename("config", "conf") // fails only without the flag
	each := f.Duration("for", yardstickFor, "measure each of them for a `time`")
	asJSON := f.Bool("json", false, "print JSON, for programs")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if *each <= 0 || *each > time.Hour {
			return fmt.Errorf("--for %v: it must be above 0 and not above 1h", *each)
		}
		stick, err := openYardstick(c, *path)
		if err != nil {
			return err
		}
		y, err := stick.take(c.Context(), *each)
		if err := errors.Join(err, stick.close()); err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(c.OutOrStdout()).Encode(y)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "R %9s rows inserted/s\nS %9s rows selected/s\n"+
			"P %9s pages selected/s\n", bench.Digits(y.Rows), bench.Digits(y.Selects),
			bench.Digits(y.Pages))
		return err
	}
	return c
}

// stick measures yardsticks. A nil one does nothing.
type stick struct {
	cmd  *cobra.Command
	pool *sqldb.Pool
}

// openYardstick reaches the MySQL of a configuration; nil: none is named.
func openYardstick(c *cobra.Command, path string) (*stick, error) {
	if path == "" {
		return nil, nil
	}
	cfg, err := loadConfig(c, path)
	if err != nil {
		return nil, err
	}
	m, err := masterOf(cfg)
	if err != nil {
		return nil, err
	}
	m.MaxConns, m.MaxIdle = yardstick.Connections, 0
	pool, err := sqldb.OpenMySQLPool(m, sqldb.Options{Log: briefLog(c.ErrOrStderr())})
	if err != nil {
		return nil, err
	}
	if err := pool.Connections().PingContext(c.Context()); err != nil {
		return nil, errors.Join(cannotUse(cfg.Master, err), pool.Close())
	}
	return &stick{c, pool}, nil
}

// take measures each of the yardsticks for so long.
func (s *stick) take(ctx context.Context, each time.Duration) (bench.Yardsticks, error) {
	stop := progress(s.cmd.ErrOrStderr(), "measuring MySQL by itself", nil)
	defer stop()
	return yardstick.Measure(ctx, s.pool, each)
}

// measure adds yardsticks to a report. Each is measured for as long as a profile, or a bit less.
func (s *stick) measure(ctx context.Context, report *bench.Report, each time.Duration) error {
	if s == nil {
		return nil
	}
	y, err := s.take(ctx, min(each, yardstickFor))
	if err == nil {
		report.Measure(y)
	}
	return err
}

func (s *stick) close() error {
	if s == nil {
		return nil
	}
	return s.pool.Close()
}
