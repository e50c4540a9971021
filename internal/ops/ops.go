// Package ops shows operators how the process does: metrics, health and profiles, at an address of
// their own. It imports none of the other packages. What counts events as they happen is a
// Recorder, which others call. What has a value at any time, such as the number of connections, is
// asked for at each scrape: see Sources. A Check is asked when somebody asks for /readyz.
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

// Limits of the server. They do not count for a profile, which takes as long as its "seconds" say.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 3 * time.Second // an idle connection keeps a slot from others
	headerBytes   = 64 << 10
	gatherTimeout = 10 * time.Second // of one scrape
	maxScrapes    = 4                // at once
	defaultConns  = 16
	lastWords     = 100 * time.Millisecond // to finish answers when the server stops
)

// Site is what the server shows.
type Site struct {
	Metrics prometheus.Gatherer // at /metrics
	Checks  []Check             // at /readyz
	Log     *slog.Logger        // for faults of the server and of metrics
	// Connections is how many are served at once; more of them wait. 0 means 16.
	Connections int
}

// Serve answers on ln until ctx ends. Then it closes ln, waits a moment for answers that have
// begun, and returns nil. Keep it running as long as the process lives, also while it drains:
// /readyz is how others learn of that.
//
// Whoever reaches ln sees everything and can take profiles, which costs time. So ln belongs on the
// loopback interface or in a network of operators.
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
	go func() {
		served <- srv.Serve(netutil.LimitListener(ln, cmp.Or(s.Connections, defaultConns)))
	}()
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

// handler serves all the pages. Checks, which several requests may share, end with base.
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

// Register adds to a registry the metrics of the collectors, of the Go runtime, of the process and
// of the connection pools, which are given by name. It fails for what was registered before.
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
