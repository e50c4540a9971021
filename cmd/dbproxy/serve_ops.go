package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/command"
	"github.com/teamtalk-go/dbproxy/internal/ops"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// off is an address that means: none.
const off = "off"

// door is where a server listens.
type door struct {
	public net.Listener // for message servers
	admin  net.Listener // for operators; nil for nowhere
}

// open listens where s says.
func (s serving) open() (d door, err error) {
	if d.public, err = listen("--listen", s.listen); err != nil {
		return door{}, err
	}
	if s.admin == "" || s.admin == off {
		return d, nil
	}
	if d.admin, err = listen("--admin", s.admin); err != nil {
		return door{}, errors.Join(err, d.public.Close())
	}
	return d, nil
}

// close closes what nobody served; what was served is closed already.
func (d door) close() {
	_ = d.public.Close()
	if d.admin != nil {
		_ = d.admin.Close()
	}
}

// adminAddr is the admin address for the log.
func (d door) adminAddr() string {
	if d.admin == nil {
		return off
	}
	return d.admin.Addr().String()
}

// newRecorder counts for this program.
func newRecorder() *ops.Recorder {
	expected := ops.Expected{Commands: command.Names()}
	for _, o := range command.Outcomes() {
		expected.Outcomes = append(expected.Outcomes, string(o))
	}
	return ops.NewRecorder(time.Now, ops.Build{Version: release, Revision: revision(), Go: runtime.Version()}, expected)
}

// newHandler is a handler whose requests are counted.
func newHandler(svc *chat.Service, log *slog.Logger, watch *ops.Recorder) *command.Handler {
	return command.New(svc, command.Options{Log: log, Observe: func(request string, what command.Outcome, took time.Duration) {
		watch.Request(request, string(what), took)
	}})
}

// watched is what the admin address shows the state of.
type watched struct {
	running context.Context // ends when the server is to stop
	addr    net.Addr
	srv     *server.Server
	cfg     server.Config // of srv
	svc     *chat.Service
	store   *records.Store
}

// newSite is what the admin address shows.
func newSite(w watched, watch *ops.Recorder, log *slog.Logger) (ops.Site, error) {
	reg := prometheus.NewRegistry()
	err := ops.Register(reg, watch, ops.NewCollector(ops.Sources{
		Network: w.network,
		Queue:   func() ops.Queue { return ops.Queue(w.svc.Queue()) },
		Pools:   w.store.Stats,
	}))
	checks := []ops.Check{
		{Name: "listening", Look: w.listening},
		{Name: "draining", Look: w.draining},
		{Name: "store", Look: w.reachable},
	}
	return ops.Site{Metrics: reg, Checks: checks, Log: log}, err
}

func (w watched) network() ops.Network {
	s := w.srv.Stats()
	return ops.Network{
		Open: s.Connections, Opened: s.Opened, Refused: s.Refused, Closed: s.Closed,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, InFlight: s.InFlight, Panics: s.Panics,
		Pending: s.Pending, Unsent: s.Unsent, MaxPending: w.cfg.MaxPending,
	}
}

// listening checks that message servers can connect.
func (w watched) listening(context.Context) (ops.State, string) {
	open := w.srv.Stats().Connections
	text := fmt.Sprintf("on %s, %d of %d connections", w.addr, open, w.cfg.MaxConns)
	switch {
	case w.running.Err() != nil:
		return ops.Wrong, "not any more"
	case open >= w.cfg.MaxConns:
		return ops.Doubtful, text + ": more are refused; run another proxy"
	default:
		return ops.Good, text
	}
}

// draining checks that the server is not stopping.
func (w watched) draining(context.Context) (ops.State, string) {
	if w.running.Err() != nil {
		return ops.Wrong, "stopping: finishing what is under way"
	}
	return ops.Good, "no"
}

// reachable checks that the records can be read through the connections that read and through those that write.
func (w watched) reachable(ctx context.Context) (ops.State, string) {
	begun := time.Now()
	if err := w.store.Reachable(ctx); err != nil {
		return ops.Wrong, err.Error()
	}
	return ops.Good, fmt.Sprintf("answered in %.1f ms", time.Since(begun).Seconds()*1000)
}
