package ops_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite" // for a pool

	"github.com/teamtalk-go/dbproxy/internal/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. No test passes by waiting this long.
const patience = time.Minute

// site is a Site being served.
type site struct {
	*testing.T
	client http.Client
	addr   string
	stop   func() error
}

// serve serves a site until the test ends, or stop.
func serve(t *testing.T, s ops.Site) *site {
	t.Helper()
	if s.Metrics == nil {
		s.Metrics = prometheus.NewRegistry()
	}
	s.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	running := &site{T: t, addr: ln.Addr().String(),
		client: http.Client{Transport: new(http.Transport), Timeout: patience}}
	running.stop = func() error {
		cancel()
		select {
		case err := <-served:
			served <- nil
			return err
		case <-time.After(patience):
			t.Fatal("Serve goes on and on")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := running.stop(); err != nil {
			t.Error(err)
		}
		running.client.CloseIdleConnections()
	})
	return running
}

// get asks for a page.
func (s *site) get(path string) (status int, body string) {
	s.Helper()
	return s.do("GET", path)
}

func (s *site) do(method, path string) (status int, body string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, "http://"+s.addr+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// wants checks that a page has these lines, and is answered with 200.
func (s *site) wants(path string, lines ...string) {
	s.Helper()
	status, body := s.get(path)
	if status != http.StatusOK {
		s.Errorf("%s: %d %s", path, status, body)
	}
	for _, line := range lines {
		if !strings.Contains("\n"+body, "\n"+line+"\n") {
			s.Errorf("%s lacks %q:\n%s", path, line, body)
		}
	}
}

func TestPages(t *testing.T) {
	s := serve(t, ops.Site{})
	_, index := s.get("/")
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/debug/pprof/"} {
		if !strings.Contains(index, `href="`+path+`"`) {
			t.Errorf("the index does not name %s", path)
		}
		s.wants(path)
	}
	for _, path := range []string{"/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1",
		"/debug/pprof/symbol",
		"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=0.1"} {
		s.wants(path)
	}
	if status, _ := s.do("POST", "/debug/pprof/symbol"); status != http.StatusOK {
		t.Errorf("POST to symbol: %d", status)
	}
	for _, wrong := range []struct {
		method, path string
		status       int
	}{{"GET", "/nothing", 404}, {"POST", "/readyz", 405}, {"DELETE", "/", 405}} {
		if status, _ := s.do(wrong.method, wrong.path); status != wrong.status {
			t.Errorf("%s %s: %d, want %d", wrong.method, wrong.path, status, wrong.status)
		}
	}
}

// verdict is what /readyz says.
type verdict struct {
	Ready  bool
	Checks []finding
}

type finding struct{ Name, State, Text string }

func (s *site) ready() (status int, v verdict) {
	s.Helper()
	status, body := s.get("/readyz")
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		s.Fatalf("%v in %s", err, body)
	}
	return status, v
}

func TestReadiness(t *testing.T) {
	type answer struct {
		state ops.State
		text  string
	}
	var a, b atomic.Pointer[answer]
	look := func(p *atomic.Pointer[answer]) func(context.Context) (ops.State, string) {
		return func(context.Context) (ops.State, string) { return p.Load().state, p.Load().text }
	}
	s := serve(t, ops.Site{Checks: []ops.Check{{Name: "a", Probe: look(&a)},
		{Name: "b", Probe: look(&b)}}})
	for _, test := range []struct {
		a, b   answer
		status int
	}{
		{answer{ops.Good, "fine"}, answer{ops.Good, "fine, too"}, 200},
		{answer{ops.Good, "fine"}, answer{ops.Doubtful, "slow; add <memory>"}, 200},
		{answer{ops.Wrong, "no answer from x"}, answer{ops.Good, "fine"}, 503},
	} {
		a.Store(&test.a)
		b.Store(&test.b)
		status, v := s.ready()
		want := verdict{test.status == 200, []finding{
			{"a", string(test.a.state), test.a.text}, {"b", string(test.b.state), test.b.text},
		}}
		if diff := cmp.Diff(want, v); diff != "" || status != test.status {
			t.Errorf("status %d, want %d (-want +got):\n%s", status, test.status, diff)
		}
		s.wants("/livez", "ok") // whatever the checks say
	}
}

// TestAHangingCheckIsWrong has a check that does not end with its context: those who ask are
// answered, and share one probe.
func TestAHangingCheckIsWrong(t *testing.T) {
	var looks atomic.Int32
	let := make(chan struct{})
	s := serve(t, ops.Site{Checks: []ops.Check{{Name: "stuck",
		Probe: func(context.Context) (ops.State, string) {
			looks.Add(1)
			<-let
			return ops.Good, "at last"
		}}}})
	defer close(let)
	for range 2 {
		status, v := s.ready()
		want := verdict{false, []finding{{"stuck", "wrong", "no answer within 1s"}}}
		if diff := cmp.Diff(want, v); diff != "" || status != http.StatusServiceUnavailable {
			t.Errorf("status %d (-want +got):\n%s", status, diff)
		}
	}
	if n := looks.Load(); n != 1 {
		t.Errorf("%d looks at once", n)
	}
}

func TestServeEndsWhileAProfileIsTaken(t *testing.T) {
	s := serve(t, ops.Site{})
	ended := make(chan struct{})
	resp, err := s.client.Get("http://" + s.addr + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	go func() {
		defer close(ended)
		if resp, err := s.client.Get("http://" + s.addr +
			"/debug/pprof/trace?seconds=3600"); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the profile goes on")
	}
}

func TestServeSaysThatItsListenerIsGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	err = ops.Site{Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.DiscardHandler)}.Serve(t.Context(), ln)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("Serve: %v", err)
	}
}

// recorder is one that expects two commands.
func recorder() *ops.Recorder {
	now := func() time.Time { return time.Unix(1000, 500_000_000) }
	return ops.NewRecorder(now, ops.Build{Version: "v1", Revision: "abc", Go: "go1"}, ops.Expected{
		Commands: []string{"IMMsgData", "IMUsersInfoReq"}, Outcomes: []string{"answered", "failed"},
	})
}

// everything is a registry with all that there can be.
func everything(t *testing.T) (*prometheus.Registry, *ops.Recorder) {
	t.Helper()
	reg, r := prometheus.NewRegistry(), recorder()
	pool, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	pool.SetMaxOpenConns(15)
	if err := ops.Register(reg, map[string]*sql.DB{"master": pool}, r,
		ops.NewCollector(all())); err != nil {
		t.Fatal(err)
	}
	return reg, r
}

func all() ops.Sources {
	return ops.Sources{
		Network: func() ops.Network {
			return ops.Network{
				Open: 1, Opened: 2, Refused: 3, Closed: map[string]int64{"peer": 4, "idle": 0},
				BytesIn: 5, BytesOut: 6,
				InFlight: 7, Panics: 8, Pending: 9, Unsent: 10, MaxPending: 11,
			}
		},
		Queue:      func() ops.Queue { return ops.Queue{Waiting: 12, Lanes: 13, Limit: 14} },
		ReplicaLag: func() (time.Duration, bool) { return 1500 * time.Millisecond, true },
		LogLost:    func() int { return 15 },
		Degraded: map[string]func() bool{"redis": func() bool {
			return true
		}, "replica": func() bool { return false }},
	}
}

func TestMetrics(t *testing.T) {
	reg, r := everything(t)
	r.Request("IMMsgData", "answered", 3*time.Millisecond)
	r.Request("IMMsgData", "answered", 3*time.Second)
	r.Request("unknown", "unknown", 0)
	r.Commit(3, 300, 2*time.Millisecond, nil)
	r.Commit(5, 500, 2*time.Millisecond, errors.New("no"))
	r.Calls("mysql").Observe("append", time.Millisecond, nil)
	r.Calls("redis").Observe("ids", time.Millisecond, errors.New("no"))
	r.GroupSync(time.Second, nil)
	r.GroupSync(time.Second, errors.New("no"))
	serve(t, ops.Site{Metrics: reg}).wants("/metrics",
		`dbproxy_requests_total{command="IMMsgData",outcome="answered"} 2`,
		// expected, and so there from the start
		`dbproxy_requests_total{command="IMMsgData",outcome="failed"} 0`,
		`dbproxy_requests_total{command="IMUsersInfoReq",outcome="answered"} 0`,
		`dbproxy_requests_total{command="unknown",outcome="unknown"} 1`,
		`dbproxy_request_duration_seconds_bucket{command="IMMsgData",le="0.0025"} 0`,
		`dbproxy_request_duration_seconds_bucket{command="IMMsgData",le="0.005"} 1`,
		`dbproxy_request_duration_seconds_bucket{command="IMMsgData",le="5"} 2`,
		`dbproxy_request_duration_seconds_count{command="IMUsersInfoReq"} 0`,
		`dbproxy_requests_in_flight 7`,
		`dbproxy_connections_open 1`,
		`dbproxy_connections_opened_total 2`,
		`dbproxy_connections_refused_total 3`,
		`dbproxy_connections_closed_total{reason="peer"} 4`,
		`dbproxy_connections_closed_total{reason="idle"} 0`,
		`dbproxy_received_bytes_total 5`,
		`dbproxy_sent_bytes_total 6`,
		`dbproxy_handler_panics_total 8`,
		`dbproxy_budget_used_bytes 9`,
		`dbproxy_budget_unsent_bytes 10`,
		`dbproxy_budget_limit_bytes 11`,
		`dbproxy_queue_length 12`,
		`dbproxy_queue_lanes 13`,
		`dbproxy_queue_limit 14`,
		`dbproxy_log_lines_lost_total 15`,
		`dbproxy_commit_rows_sum 3`, // of what was stored only
		`dbproxy_commit_bytes_sum 300`,
		`dbproxy_commit_duration_seconds_count 1`,
		`dbproxy_commit_failures_total 1`,
		`dbproxy_store_call_duration_seconds_count{call="append",store="mysql"} 1`,
		`dbproxy_store_call_duration_seconds_count{call="ids",store="redis"} 1`,
		`dbproxy_store_call_errors_total{call="ids",store="redis"} 1`,
		`dbproxy_group_sync_looks_total 2`,
		`dbproxy_group_sync_failures_total 1`,
		`dbproxy_group_sync_last_success_timestamp_seconds 1000.5`,
		`go_sql_max_open_connections{db_name="master"} 15`,
		`dbproxy_replica_lag_seconds 1.5`,
		`dbproxy_degraded{part="redis"} 1`,
		`dbproxy_degraded{part="replica"} 0`,
		`dbproxy_build_info{go_version="go1",revision="abc",version="v1"} 1`,
	)
}

func TestMetricsKeepTheConventions(t *testing.T) {
	reg, r := everything(t)
	r.Calls("redis").Observe("ids", time.Millisecond, errors.New("no"))
	_, body := serve(t, ops.Site{Metrics: reg}).get("/metrics")
	var ours strings.Builder // promlint also finds faults with client_golang's own
	for line := range strings.Lines(body) {
		if strings.Contains(line, "dbproxy_") {
			ours.WriteString(line)
		}
	}
	problems, err := promlint.New(strings.NewReader(ours.String())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestWhatIsNotKnownIsNotShown(t *testing.T) {
	reg := prometheus.NewRegistry()
	sources := all()
	sources.ReplicaLag = func() (time.Duration, bool) { return 0, false }
	if err := ops.Register(reg, nil, recorder(), ops.NewCollector(sources)); err != nil {
		t.Fatal(err)
	}
	_, body := serve(t, ops.Site{Metrics: reg}).get("/metrics")
	for _, name := range []string{"replica_lag", "connections_most", "budget_most"} {
		if strings.Contains(body, "\ndbproxy_"+name) {
			t.Errorf("there is a dbproxy_%s", name)
		}
	}
	for _, name := range []string{"\ngo_goroutines ", "\nprocess_cpu_seconds_total "} {
		if !strings.Contains(body, name) {
			t.Errorf("there is no %s", strings.TrimSpace(name))
		}
	}
	if err := ops.Register(reg, nil, recorder()); err == nil {
		t.Error("metrics were registered twice without an error")
	}
}

// BenchmarkRequest measures what counting adds to a request.
func BenchmarkRequest(b *testing.B) {
	r := recorder()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Request("IMMsgData", "answered", time.Millisecond)
		}
	})
}
