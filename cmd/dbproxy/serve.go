package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/command"
	"github.com/teamtalk-go/dbproxy/internal/company"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/server"
	"github.com/teamtalk-go/dbproxy/internal/terminal"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// serving is what "dbproxy serve" is asked for.
type serving struct {
	data, listen string
	log          *slog.Logger
	demo         bool                                    // fill an empty directory with the demo company
	ready        func(addr string, filled company.State) // may be nil; called when it listens
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve message servers",
		Long: `Serve message servers from a data directory, which is made when it is missing.
Stop it with Ctrl-C or SIGTERM: it tells its peers, finishes what it has, and
exits within 4 seconds.

Logs go to standard error, as text on a terminal and as JSON otherwise.`,
		Example: `  dbproxy serve
  dbproxy serve --data /var/lib/dbproxy --listen 10.0.0.5:10600
  dbproxy serve --demo --data /tmp/demo # a made-up company to try things on`,
		Args: cobra.NoArgs,
	}
	data := dataFlag(c)
	listen := c.Flags().String("listen", "127.0.0.1:10600", "the `address` to listen on")
	level := c.Flags().String("log-level", "info", "the least `level` to log: debug, info, warn or error")
	demo := c.Flags().Bool("demo", false, "fill an empty data directory with a made-up company first")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := newLog(c.ErrOrStderr(), *level)
		if err != nil {
			return err
		}
		s := serving{data: *data, listen: *listen, log: log, demo: *demo}
		if *demo {
			s.ready = func(addr string, filled company.State) { sayWhatToTry(c.OutOrStdout(), *data, addr, filled) }
		}
		return s.run(c.Context())
	}
	return c
}

// newLog logs as text on a terminal and as JSON otherwise.
func newLog(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %s: choose debug, info, warn or error", level)
	}
	opt := &slog.HandlerOptions{Level: l}
	if terminal.Is(w) {
		opt.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey { // who looks on knows the day
				a.Value = slog.StringValue(a.Value.Time().Format(time.TimeOnly))
			}
			return a
		}
		return slog.New(slog.NewTextHandler(w, opt)), nil
	}
	return slog.New(slog.NewJSONHandler(w, opt)), nil
}

// run serves until ctx ends and everything under way is finished.
func (s serving) run(ctx context.Context) (err error) {
	if _, err := net.ResolveTCPAddr("tcp", s.listen); err != nil {
		return fmt.Errorf("cannot listen on %s (--listen wants HOST:PORT): %w", s.listen, err)
	}
	dir, err := datadir.Open(s.data)
	if err != nil {
		return fmt.Errorf("cannot use the data directory: %w", err)
	}
	if err := dir.Own(s.listen); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Release()) }()
	store, ran, err := openRecords(ctx, dir, s.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if len(ran) > 0 {
		s.log.Info("tables created or completed", "statements", len(ran))
	}
	sounds, err := voice.OpenDir(dir.Voice())
	if err != nil {
		return fmt.Errorf("opening the directory for voice messages: %w", dir.Explain(err))
	}
	defer func() { err = errors.Join(err, sounds.Close()) }()
	ln, err := listen(s.listen)
	if err != nil {
		return err
	}
	if err := dir.Announce(ln.Addr().String()); err != nil {
		return errors.Join(err, ln.Close())
	}
	rules, opt := embedded(store, sounds), chat.Options{VoiceKey: chat.DefaultVoiceKey, Log: s.log}
	svc, err := chat.New(rules, opt)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	var filled company.State
	if s.demo {
		if filled, err = company.Ensure(ctx, store, rules, opt); err != nil {
			return errors.Join(err, ln.Close())
		}
	}
	s.log.Info("listening", "addr", ln.Addr().String(), "data", dir.Path(), "pid", os.Getpid(), "version", version())
	if s.ready != nil {
		s.ready(ln.Addr().String(), filled)
	}
	return s.serve(ctx, ln, svc, store)
}

// serve runs the server, the committer and the group sync. When ctx ends the server drains first; the others stop when
// nobody needs them any more.
func (s serving) serve(ctx context.Context, ln net.Listener, svc *chat.Service, store *records.Store) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	syncing, stopSync := context.WithCancel(background)
	defer stopSync()
	var tasks errgroup.Group
	tasks.Go(func() error { return svc.Run(background) })
	sync := groupsync.Syncer{Store: store, Now: svc.Now, Log: s.log}
	tasks.Go(func() error { return sync.Run(syncing) })
	handler := command.New(svc, s.log)
	said := make(chan struct{})
	context.AfterFunc(ctx, func() {
		s.log.Info("stopping: finishing what is under way, 4 seconds at the most")
		close(said)
	})
	err := server.New(server.DefaultConfig(), handler, s.log).Serve(ctx, ln) // until ctx ends
	<-said
	stopSync()
	handler.Wait()
	stop()
	err = errors.Join(err, tasks.Wait())
	refused, failed := handler.Counts()
	s.log.Info("stopped", "refused", refused, "failed", failed)
	return err
}

// embedded is the store of a data directory.
func embedded(store *records.Store, sounds chat.Voice) chat.Store {
	counted := counters.Embedded{Records: store}
	return chat.Store{
		Ledger:    store,
		Sequencer: counted,
		Counters:  counted,
		Directory: store,
		Profiles:  store,
		Archive:   store,
		Sessions:  store,
		Groups:    store,
		Mutes:     store,
		Tokens:    store,
		Files:     store,
		Voice:     sounds,
		Failures:  &counters.Failures{},
	}
}

func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: another program has that port; stop it, or choose another address with --listen", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("cannot listen on %s: ports below 1024 are for root; choose another address with --listen", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("cannot listen on %s: this machine does not have that address; choose another with --listen", addr)
	default:
		return nil, fmt.Errorf("cannot listen on %s (--listen wants HOST:PORT): %w", addr, err)
	}
}
