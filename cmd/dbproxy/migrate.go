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

Where no original server runs any more, --without-redis has the proxies of a
MySQL database count without Redis: it takes over what only Redis knows, with a
configuration that still names it and all proxies stopped. It refuses while
anybody else may count there, for which it watches for half a minute.
--with-redis is the way back. docs/migration.md tells both.

Without --data and --config it takes ./dbproxyserver.conf if there is one, else
./data.`,
		Example: `  dbproxy migrate --data ./data
  dbproxy migrate --config dbproxyserver.conf --dry-run
  dbproxy migrate --config dbproxyserver.conf --without-redis`,
		Args: cobra.NoArgs,
	}
	where := targetFlags(c)
	m := migration{cmd: c}
	c.Flags().BoolVar(&m.yes, "yes", false, "with --config: do not ask")
	c.Flags().BoolVar(&m.dryRun, "dry-run", false,
		"with --config: print the statements as a script for mysql, and run none")
	c.Flags().BoolVar(&m.userIndex, "user-index", false,
		"with --config: add an index on IMUser.updated, too")
	c.Flags().BoolVar(&m.withoutRedis, "without-redis", false,
		"with --config: have proxies count without Redis, and take over what it knows")
	c.Flags().BoolVar(&m.withRedis, "with-redis", false,
		"with --config: have proxies count in Redis again")
	c.Flags().BoolVar(&m.force, "force", false,
		"dangerous, with either: go on though others may still count, who then "+
			"give the same ids to other messages")
	c.Flags().DurationVar(&m.watch, "watch", watchMoves,
		"for tests: how long to watch whether anything moves in Redis")
	_ = c.Flags().MarkHidden("watch") // fails only without the flag
	c.RunE = func(c *cobra.Command, _ []string) error {
		path, err := where.chosen()
		if err != nil {
			return err
		}
		switch {
		case m.withoutRedis && m.withRedis:
			return errors.New("--without-redis and --with-redis exclude each other")
		case m.force && !m.withoutRedis && !m.withRedis:
			return errors.New("--force is for --without-redis and --with-redis")
		}
		if path != "" {
			return m.run(c.Context(), path)
		}
		if m.yes || m.dryRun || m.userIndex {
			return errors.New("--yes, --dry-run and --user-index are for --config: a data " +
				"directory needs none of them")
		}
		if m.withoutRedis || m.withRedis {
			return errors.New("--without-redis and --with-redis are for --config: a data " +
				"directory never has a Redis")
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
