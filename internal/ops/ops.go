// Package ops shows operators how the process does: metrics, health and profiles, at an address of
// their own. It knows none of the other packages: a Recorder is told what happens, and Sources are
// functions that are asked at each scrape.
package ops

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// Limits of the server. A profile may take as long as its "seconds" say, beside them.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 3 * time.Second // an idle connection keeps a slot from others
	headerBytes   = 64 << 10
	gatherTimeout = 10 * time.Second // of one scrape
	maxScrapes    = 4                // at once
	defaultConns  = 16
	lastWords     = 100 * time.Millisecond // for what is being answered when the server stops
)

// Site is what the server shows.
type Site struct {
	Metrics prometheus.Gatherer // at /metrics
	Checks  []Check             // at /readyz
	Log     *slog.Logger        // for faults of the server and of metrics
	// Connections is how many there are at once, more of them wait; 0: 16.
	Connections int
}

// Serve answers on ln until ctx ends; then it closes ln, gives what is being answered a moment, and
// returns nil. Serve it for as long as the process lives, its draining included: /readyz is what
// tells others that it drains.
//
// Whoever reaches ln sees everything and can have profiles taken, which costs time: ln belongs on
// loopback or a network of operators.
func (s Site) Serve(ctx context.Context, ln net.Listener) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	srv := &http.Server{
		Handler:           s.handler(base),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(ln, cmp.Or(s.Connections, defaultConns))) }()
	select {
	case err := <-served:
		_ = srv.Close()
		return fmt.Errorf("the admin address %s is not served any more: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(base, lastWords)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		end() // of profiles, too
		_ = srv.Close()
	}
	<-served
	return nil
}

// handler has all the pages. What it begins on behalf of several requests ends with base.
func (s Site) handler(base context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.Log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             gatherTimeout,
	}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /readyz", &readiness{base: base, checks: s.Checks})
	// Importing net/http/pprof also puts these on http.DefaultServeMux, which nothing here serves.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // what "go tool pprof" does
	return mux
}

//go:generate go test -count=1 -run TestOperationsShowsTheRules . -update

//go:embed index.html
var indexPage string

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, indexPage)
}

// Register makes the collectors' metrics part of a registry, and beside them those of the Go
// runtime, of the process, and of the connection pools, by their names. An error names what was
// registered before.
func Register(
	reg prometheus.Registerer, pools map[string]*sql.DB, ours ...prometheus.Collector,
) error {
	ours = append(ours, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for name, db := range pools {
		ours = append(ours, collectors.NewDBStatsCollector(db, name))
	}
	var errs []error
	for _, c := range ours {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}
