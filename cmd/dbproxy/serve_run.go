package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/logwriter"
	"github.com/teamtalk-go/dbproxy/internal/ops"
	"github.com/teamtalk-go/dbproxy/internal/server"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
)

// serving is what "dbproxy serve" is asked for. It is set up by one goroutine, and is not changed
// any more when the server runs.
type serving struct {
	data   string         // the directory of the embedded store; not used with conf
	conf   *config.Config // nil: the embedded store
	limit  *config.Limits // nil: the defaults
	path   string         // of conf
	wait   bool           // wait for the servers of conf
	listen []string
	admin  string // where to show metrics and health; "" or "off" for nowhere
	// listenBy and adminBy are the keys that said so; "": a flag did.
	listenBy, adminBy string
	noCreate          bool // make no tables in the MySQL of conf
	adminSpare        bool // nobody asked for that admin address: the server can do without

	// How many connections the limit of open files allows; set by withinLimit.
	peers, adminConns int

	// original is set where this runs in the place of the original's program.
	original *inPlace

	out io.Writer // where the log goes
	// logTo sets what follows. sums writes what the log has summed up, until the context ends.
	log     *slog.Logger
	sums    func(context.Context) error
	written *logwriter.Writer

	demo  bool                                    // fill an empty directory with the demo company
	ready func(addr string, filled company.State) // may be nil; called when it listens
	// exit ends the process. Where it is nil, neither signals nor the time of a stop do so.
	exit    func(code int)
	signals <-chan os.Signal
}

// run serves until ctx ends and every pending request is finished.
func (s serving) run(ctx context.Context) (err error) {
	last := s.lastWords()
	end := newEnding(ctx, s, last)
	defer func() {
		end.finished.Store(err == nil)
		last(lastLines)
	}()
	var needless []string
	if s.listen, needless, err = distinct(cmp.Or(s.listenBy, "--listen"), s.listen); err != nil {
		return err
	}
	for _, text := range needless {
		s.log.Warn("configuration", "at", "ListenIP", "what", text)
	}
	if err := s.mayListen(); err != nil {
		return err
	}
	watch := newRecorder()
	b, err := s.openBackend(ctx, watch)
	if err != nil {
		return err
	}
	defer func() {
		end.at("closing the store")
		err = errors.Join(err, b.close())
	}()
	door, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	if b.announce != nil {
		if err := b.announce(ctx, door.addr()); err != nil {
			return err
		}
	}
	opt := chat.Options{VoiceKey: b.voiceKey, Log: s.log, Committed: watch.Commit,
		Concurrency: b.reads,
		Now:         func() time.Time { return time.Now().In(b.zone) }}
	if s, err = s.withinLimit(b, door); err != nil {
		return err
	}
	svc, err := chat.New(b.rules, opt)
	if err != nil {
		return err
	}
	var filled company.State
	if s.demo {
		if filled, err = b.fill(ctx, opt); err != nil {
			return err
		}
	}
	s.announces()
	s.log.Info("listening", append([]any{"addr", door.addr(), "admin", door.adminAddr(),
		"pid", os.Getpid(), "version", version()}, b.where...)...)
	if s.ready != nil {
		s.ready(door.addr(), filled)
	}
	return s.serve(ctx, door, svc, b, watch, end)
}

// openBackend opens what s serves from. With --wait it tries again while servers cannot be reached.
func (s serving) openBackend(ctx context.Context, watch *ops.Recorder) (*backend, error) {
	if s.conf == nil {
		return s.openEmbedded(ctx)
	}
	last, told := "", make(map[string]bool)
	for {
		b, err := s.openConfigured(ctx, s.conf, watch, told)
		if err == nil || !s.wait || chat.KindOf(err) != chat.Unavailable {
			return b, err
		}
		if now := err.Error(); now != last {
			s.log.Warn("waiting, as --wait says",
				"for", strings.ReplaceAll(strings.ReplaceAll(now, ":\n  ", ": "), "\n  ", " | "))
			last = now
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(waitPause):
		}
	}
}

// waitPause is the time between two tries with --wait.
const waitPause = time.Second

// limits returns the limits of the server.
func (s serving) limits() server.Config {
	cfg := server.DefaultConfig()
	if l := s.limit; l != nil {
		cfg.RequestTimeout, cfg.DrainTimeout = l.RequestTimeout, l.DrainTimeout
		cfg.MaxFrame, cfg.MaxPending = uint32(l.MaxFrame), int64(l.MaxPending)
		cfg.MaxConns, cfg.MaxInFlight = l.MaxConnections, l.MaxInFlight
		cfg.ConnShare, cfg.QuietTimeout = l.ConnectionShare, l.QuietTimeout
		cfg.MinSendRate, cfg.MinTakeRate = int64(l.MinSendRate), int64(l.MinTakeRate)
		cfg.RateWindow = l.RateWindow
	}
	if s.peers > 0 {
		cfg.MaxConns = min(cfg.MaxConns, s.peers)
	}
	return cfg
}

// serve runs the server, the committer, the group sync and the admin address. When ctx ends the
// server drains first; the others stop when nobody needs them any more.
func (s serving) serve(
	ctx context.Context, at door, svc *chat.Service, b *backend, watch *ops.Recorder, end *ending,
) error {
	cfg := s.limits()
	handler := newHandler(svc, cfg.MaxFrame, s.log, watch)
	limitMemory(cfg.MaxPending, cfg.MaxConns)
	srv := server.New(cfg, handler, s.log)
	site, err := newSite(watched{ctx, at.addr(), s, srv, cfg, svc, b}, watch)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	syncing, stopSync := context.WithCancel(background)
	defer stopSync()
	var tasks errgroup.Group
	tasks.Go(func() error { return svc.Run(background) })
	for _, loop := range b.loops {
		tasks.Go(func() error { return loop(background) })
	}
	sync := groupsync.Syncer{
		Store: b.store, Marks: b.marks, Now: svc.Now, Log: s.log, Observe: watch.GroupSync,
	}
	tasks.Go(func() error { return sync.Run(syncing) })
	if at.admin != nil {
		tasks.Go(func() error { return site.Serve(background, at.admin) })
	}
	said := make(chan struct{})
	context.AfterFunc(ctx, func() {
		s.log.Info(fmt.Sprintf("stopping: finishing what is under way, %v at the most",
			cfg.DrainTimeout))
		close(said)
	})
	end.at("finishing requests")
	end.leaves(func() []any {
		now := srv.Stats()
		return []any{"connections", now.Connections, "requests", now.InFlight, "queued",
			svc.Queue().Waiting}
	})
	err = srv.Serve(ctx, at.public...) // until ctx ends
	<-said
	stopSync()
	handler.Wait()
	stop()
	end.at("waiting for the store")
	err = errors.Join(err, tasks.Wait())
	refused, failed := handler.Counts()
	s.log.Info("stopped", "refused", refused, "failed", failed)
	return err
}

// limitMemory has the garbage collector work little as long as there is much memory, and harder
// where it gets short. The limit is one and a half times what requests and answers may take, 48 KiB
// for each connection and its buffers, and 64 MiB for all else. Below it the heap may grow to five
// times what is in use: that is a few MiB, of which each request leaves garbage. GOMEMLIMIT and
// GOGC override the two.
func limitMemory(pending int64, conns int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(pending + pending/2 + int64(conns)*48<<10 + 64<<20)
	}
}
