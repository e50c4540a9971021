package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/datadir"
)

func migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Create or complete the tables of a data directory",
		Long: `Create the tables of a data directory, or complete them after an update of
dbproxy. It only adds, touches no data, and is safe to repeat. "dbproxy serve"
does it by itself.`,
		Example: "  dbproxy migrate --data ./data",
		Args:    cobra.NoArgs,
	}
	data := dataFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		dir, err := datadir.Open(*data)
		if err != nil {
			return fmt.Errorf("cannot use the data directory: %w", err)
		}
		store, ran, err := openRecords(c.Context(), dir, slog.Default())
		if err != nil {
			return err
		}
		result := "nothing to do, all tables are there"
		if len(ran) > 0 {
			result = fmt.Sprintf("%d statements run, all tables are there now", len(ran))
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", dir.Database(), result)
		return errors.Join(err, store.Close())
	}
	return c
}
