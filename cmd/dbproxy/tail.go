package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/tryout/tail"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func tailCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print each new message as it is stored",
		Long: `Print each new message of a data directory, or of the MySQL of a configuration,
as it is stored, one line each: its time, who wrote to whom (#: in a group),
its id in their talk, its kind and size. What people wrote is shown only with
--content, decrypted where TeamTalk's own clients have encrypted it, by the
configuration's aesKey. On a terminal lines are cut to its width. It reads the
store directly, beside a running "dbproxy serve" or original servers, and
changes nothing. Ctrl-C ends it.`,
		Example: `  dbproxy tail
  dbproxy tail --since 24h --once
  dbproxy tail --lines 0 --count 1 --content # wait for the next message`,
		Args: cobra.NoArgs,
	}
	where := targetFlags(c)
	opt := tail.Options{Every: 250 * time.Millisecond}
	f := c.Flags()
	f.IntVar(&opt.Last, "lines", 10, "begin with the last `n` messages there are")
	since := f.String("since", "", "begin with those since a `time`: 90m, 24h, 2006-01-02")
	f.BoolVar(&opt.Once, "once", false, "end after those; do not wait for new ones")
	f.IntVar(&opt.Count, "count", 0, "end after `n` messages (default: never)")
	f.BoolVar(&opt.Content, "content", false, "show what people wrote")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if opt.Last < 0 || opt.Count < 0 {
			return errors.New("--lines and --count want 0 or more")
		}
		if *since != "" {
			if opt.Since, err = tail.ParseSince(*since, time.Now()); err != nil {
				return fmt.Errorf("--since: %w", err)
			}
		}
		pool, texts, err := where.openFeed(c.Context())
		if err != nil {
			return err
		}
		opt.Out, opt.Readable = c.OutOrStdout(), texts.Readable
		if terminal.Is(opt.Out) {
			opt.Width = terminal.Columns(opt.Out)
		}
		return errors.Join(tail.Run(c.Context(), tail.NewFeed(pool), opt), pool.Close())
	}
	return c
}

// openFeed opens the store for reading alone, and the cipher of its texts.
func (p *target) openFeed(
	ctx context.Context,
) (pool *sqldb.Pool, texts chat.TextCipher, err error) {
	path, _, err := p.configured()
	if err != nil {
		return nil, texts, err
	}
	if path == "" {
		dir, err := datadir.Existing(p.data)
		if err != nil {
			return nil, texts, err
		}
		if texts, err = chat.NewTextCipher(chat.DefaultVoiceKey); err != nil {
			return nil, texts, err
		}
		if pool, err = sqldb.OpenSQLitePool(dir.Database(), tables.Options(nil)); err != nil {
			err = fmt.Errorf("opening %s: %w", dir.Database(), err)
		}
		return pool, texts, err
	}
	cfg, err := loadConfig(p.cmd, path)
	if err != nil {
		return nil, texts, err
	}
	if texts, err = chat.NewTextCipher(cfg.AESKey.Reveal()); err != nil {
		return nil, texts, err
	}
	master, err := masterOf(cfg)
	if err != nil {
		return nil, texts, err
	}
	if pool, err = tail.Open(ctx, master); err != nil {
		err = cannotUse(cfg.Master, err)
	}
	return pool, texts, err
}
