package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/bench/yardstick"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

func yardstickCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "yardstick",
		Short: "Measure what a MySQL does by itself",
		Long: `Measure what the MySQL of a configuration does by itself, with no proxy:

  R  rows inserted in a second, 256 in a transaction, on 4 connections
  S  rows selected in a second, one by its key, on 16 connections
  P  pages selected in a second: the newest 20 rows of a talk, on 16 connections

Rates of "dbproxy bench" on the same machine, told in shares of these, hold on
other machines, too. It works in a table of its own, dbproxy_yardstick, which it
removes. The user of the configuration must be allowed to CREATE and DROP it.`,
		Example: `  dbproxy bench yardstick
  dbproxy bench yardstick --config dbproxyserver.conf --for 5s --json`,
		Args: cobra.NoArgs,
	}
	path := c.Flags().String("config", config.File, "the configuration `file` that names the MySQL")
	each := c.Flags().Duration("for", 2*time.Second, "measure each for this `time`")
	_ = c.MarkFlagFilename("config", "conf") // fails only without the flag
	asJSON := c.Flags().Bool("json", false, "print them as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, *path)
		if err != nil {
			return err
		}
		m, err := mysqlOf(cfg.Master)
		if err != nil {
			return err
		}
		m.MaxConns = 20
		pool, err := sqldb.OpenMySQLPool(m, sqldb.Options{})
		if err != nil {
			return err
		}
		if err := pool.Connections().PingContext(c.Context()); err != nil {
			return errors.Join(cannotUse(cfg.Master, err), pool.Close())
		}
		y, err := yardstick.Measure(c.Context(), pool, *each)
		if err := errors.Join(err, pool.Close()); err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(c.OutOrStdout()).Encode(y)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "R %.0f rows/s  S %.0f selects/s  P %.0f pages/s\n",
			y.Rows, y.Selects, y.Pages)
		return err
	}
	return c
}
