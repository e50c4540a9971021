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
	"github.com/teamtalk-go/dbproxy/internal/company"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/ops"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/server"
	"github.com/teamtalk-go/dbproxy/internal/terminal"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// serving is what "dbproxy serve" is asked for.
type serving struct {
	data, listen string
	admin        string // where to show metrics and health; "" or "off" for nowhere
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

Logs go to standard error, as text on a terminal and as JSON otherwise.

With --admin it shows how it does over HTTP, at an address of its own: /metrics
for Prometheus, /livez, /readyz with reasons as JSON, and /debug/pprof. Whoever
reaches that address sees all of it: keep it to operators.`,
		Example: `  dbproxy serve
  dbproxy serve --data /var/lib/dbproxy --listen 10.0.0.5:10600
  dbproxy serve --admin 127.0.0.1:10601
  dbproxy serve --demo --data /tmp/demo # a made-up company to try things on`,
		Args: cobra.NoArgs,
	}
	data := dataFlag(c)
	listen := c.Flags().String("listen", "127.0.0.1:10600", "the `address` to listen on")
	admin := c.Flags().String("admin", off, "the `address` for metrics, health and profiles, or off")
	level := c.Flags().String("log-level", "info", "the least `level` to log: debug, info, warn or error")
	demo := c.Flags().Bool("demo", false, "fill an empty data directory with a made-up company first")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log, err := newLog(c.ErrOrStderr(), *level)
		if err != nil {
			return err
		}
		s := serving{data: *data, listen: *listen, admin: *admin, log: log, demo: *demo}
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
	door, err := s.open()
	if err != nil {
		return err
	}
	defer door.close()
	if err := dir.Announce(door.public.Addr().String()); err != nil {
		return err
	}
	watch := newRecorder()
	rules := embedded(store, sounds)
	opt := chat.Options{VoiceKey: chat.DefaultVoiceKey, Log: s.log, Committed: watch.Commit}
	svc, err := chat.New(rules, opt)
	if err != nil {
		return err
	}
	var filled company.State
	if s.demo {
		if filled, err = company.Ensure(ctx, store, rules, opt); err != nil {
			return err
		}
	}
	s.log.Info("listening", "addr", door.public.Addr().String(), "admin", door.adminAddr(), "data", dir.Path(),
		"pid", os.Getpid(), "version", version())
	if s.ready != nil {
		s.ready(door.public.Addr().String(), filled)
	}
	return s.serve(ctx, door, svc, store, watch)
}

// serve runs the server, the committer, the group sync and the admin address. When ctx ends the server drains first; the
// others stop when nobody needs them any more.
func (s serving) serve(ctx context.Context, at door, svc *chat.Service, store *records.Store, watch *ops.Recorder) error {
	handler := newHandler(svc, s.log, watch)
	cfg := server.DefaultConfig()
	srv := server.New(cfg, handler, s.log)
	site, err := newSite(watched{ctx, at.public.Addr(), srv, cfg, svc, store}, watch, s.log)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	syncing, stopSync := context.WithCancel(background)
	defer stopSync()
	var tasks errgroup.Group
	tasks.Go(func() error { return svc.Run(background) })
	sync := groupsync.Syncer{Store: store, Now: svc.Now, Log: s.log, Observe: watch.GroupSync}
	tasks.Go(func() error { return sync.Run(syncing) })
	if at.admin != nil {
		tasks.Go(func() error { return site.Serve(background, at.admin) })
	}
	said := make(chan struct{})
	context.AfterFunc(ctx, func() {
		s.log.Info("stopping: finishing what is under way, 4 seconds at the most")
		close(said)
	})
	err = srv.Serve(ctx, at.public) // until ctx ends
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

// listen opens an address that was given by a flag.
func listen(flag, addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: another program has that port; stop it, or choose another address with %s", addr, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("cannot listen on %s: ports below 1024 are for root; choose another address with %s", addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("cannot listen on %s: this machine does not have that address; choose another with %s", addr, flag)
	default:
		return nil, fmt.Errorf("cannot listen on %s (%s wants HOST:PORT): %w", addr, flag, err)
	}
}
