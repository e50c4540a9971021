package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

func migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Create or complete the tables",
		Long: `Create the tables of a data directory or a MySQL database, or complete them
after an update of dbproxy. It only adds, touches no data of others, and is safe
to repeat, beside running servers, too.

In a data directory "dbproxy serve" does it by itself. In a MySQL database that
makes nothing but missing tables of its own: this command says what else is
missing, and adds it when you say yes. A large table may take a while. Views are
passed over. What is there but of another form, such as a column that is too
small, it shows with the statement that mends it, and leaves alone.

Without --data and --config it takes ./dbproxyserver.conf if there is one, else
./data.`,
		Example: `  dbproxy migrate --data ./data
  dbproxy migrate --config dbproxyserver.conf --dry-run`,
		Args: cobra.NoArgs,
	}
	where := targetFlags(c)
	m := migration{cmd: c}
	c.Flags().BoolVar(&m.yes, "yes", false, "with --config: do not ask")
	c.Flags().BoolVar(&m.dryRun, "dry-run", false,
		"with --config: print the statements as a script for mysql, and run none")
	c.Flags().BoolVar(&m.userIndex, "user-index", false,
		"with --config: add an index on IMUser.updated, too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		path, err := where.chosen()
		if err != nil {
			return err
		}
		if path != "" {
			return m.run(c.Context(), path)
		}
		if m.yes || m.dryRun || m.userIndex {
			return errors.New("--yes, --dry-run and --user-index are for --config: a data " +
				"directory needs none of them")
		}
		return migrateDirectory(c, where.data)
	}
	return c
}

func migrateDirectory(c *cobra.Command, data string) error {
	dir, err := datadir.Open(data)
	if err != nil {
		return fmt.Errorf("cannot use the data directory: %w", err)
	}
	opt := records.Options{Log: briefLog(c.ErrOrStderr())}
	store, ran, err := openRecords(c.Context(), dir, opt)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", dir.Database(), migrated(len(ran)))
	return errors.Join(err, store.Close())
}

// migrated says what a migration did.
func migrated(statements int) string {
	if statements == 0 {
		return "nothing to do, all tables are there"
	}
	return fmt.Sprintf("%d statements run, all tables are there now", statements)
}
