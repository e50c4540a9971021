package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latencyBuckets are the bounds of latencies in seconds, from an answer out of memory to the
// deadline of a request.
func latencyBuckets() []float64 {
	return []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}
}

// Build says what the program was built from.
type Build struct {
	Version, Revision, Go string
}

// Expected are the label values under which requests are counted. Their series are there from the
// start, with 0.
type Expected struct {
	Commands, Outcomes []string
}

// Recorder counts what it is told of. Its methods are safe for concurrent use and quick.
type Recorder struct {
	prometheus.Collector // all the metrics below
	now                  func() time.Time

	requests  *prometheus.CounterVec   // by command, outcome
	durations *prometheus.HistogramVec // by command
	expected  map[string]series        // of requests and durations, by command; never changed

	commitRows, commitBytes, commitDurations prometheus.Histogram
	commitFailures                           prometheus.Counter

	calls      *prometheus.HistogramVec // by store, call
	callErrors *prometheus.CounterVec   // by store, call

	passes, passFailures prometheus.Counter
	lastPass             prometheus.Gauge

	build *prometheus.GaugeVec
}

// NewRecorder returns a recorder by the clock now.
func NewRecorder(now func() time.Time, b Build, e Expected) *Recorder {
	r := &Recorder{
		now:      now,
		expected: make(map[string]series),
		requests: counters("requests_total",
			"Requests finished, by command and by what became of them.",
			"command", "outcome"),
		durations: histograms("request_duration_seconds",
			"Time from a request's arrival until its answer was ready.",
			latencyBuckets(), "command"),
		commitRows: histogram("commit_rows", "Messages and read acks in one commit.",
			prometheus.ExponentialBuckets(1, 2, 10)),
		commitBytes: histogram("commit_bytes", "Bytes of messages in one commit.",
			prometheus.ExponentialBuckets(64, 4, 9)),
		commitDurations: histogram("commit_duration_seconds",
			"Time to store one batch of messages.", latencyBuckets()),
		commitFailures: counter("commit_failures_total",
			"Tries to store a batch that failed, or whose outcome stayed unknown."),
		calls: histograms("store_call_duration_seconds",
			"Time of one call to a store, by store and kind of call.",
			latencyBuckets(), "store", "call"),
		callErrors: counters("store_call_errors_total",
			"Calls to a store that failed, by store and kind of call.", "store", "call"),
		passes: counter("group_sync_looks_total",
			"Looks of the group sync for groups with news."),
		passFailures: counter("group_sync_failures_total", "Looks of the group sync that failed."),
		lastPass: gauge("group_sync_last_success_timestamp_seconds",
			"When the group sync last succeeded, Unix time; 0: not yet."),
		build: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "build_info",
			Help: "Always 1; what the program was built from is in the labels.",
		}, []string{"version", "revision", "go_version"}),
	}
	all := prometheus.NewRegistry()
	all.MustRegister(r.requests, r.durations, r.commitRows, r.commitBytes, r.commitDurations,
		r.commitFailures, r.calls, r.callErrors, r.passes, r.passFailures, r.lastPass, r.build)
	r.Collector = all
	r.build.WithLabelValues(b.Version, b.Revision, b.Go).Set(1)
	for _, c := range e.Commands {
		s := series{r.durations.WithLabelValues(c), make(map[string]prometheus.Counter)}
		for _, o := range e.Outcomes {
			s.requests[o] = r.requests.WithLabelValues(c, o)
		}
		r.expected[c] = s
	}
	return r
}

// series are the metrics of one command. They are looked up once, as every request counts.
type series struct {
	durations prometheus.Observer
	requests  map[string]prometheus.Counter // by outcome
}

// Request counts a request that is finished. command and outcome are of a few values each: a peer
// must not be able to make up new ones.
func (r *Recorder) Request(command, outcome string, took time.Duration) {
	s := r.expected[command]
	n := s.requests[outcome]
	if n == nil {
		n, s.durations = r.requests.WithLabelValues(command, outcome),
			r.durations.WithLabelValues(command)
	}
	n.Inc()
	s.durations.Observe(took.Seconds())
}

// Commit counts a try to store a batch of so many rows and bytes. Sizes and times are those of
// stored batches only.
func (r *Recorder) Commit(rows, bytes int, took time.Duration, err error) {
	if err != nil {
		r.commitFailures.Inc()
		return
	}
	r.commitRows.Observe(float64(rows))
	r.commitBytes.Observe(float64(bytes))
	r.commitDurations.Observe(took.Seconds())
}

// Calls counts calls to one store: "mysql", "redis", "msfs", ….
func (r *Recorder) Calls(store string) Calls { return Calls{r, store} }

// Calls counts the calls of one store.
type Calls struct {
	recorder *Recorder
	store    string
}

// Observe counts a call, whether it failed or not. kind is one of a few names, whatever the call
// asks for.
func (c Calls) Observe(kind string, took time.Duration, err error) {
	c.recorder.calls.WithLabelValues(c.store, kind).Observe(took.Seconds())
	if err != nil {
		c.recorder.callErrors.WithLabelValues(c.store, kind).Inc()
	}
}

// GroupSync counts a pass of the group sync.
func (r *Recorder) GroupSync(_ time.Duration, err error) {
	r.passes.Inc()
	if err != nil {
		r.passFailures.Inc()
		return
	}
	r.lastPass.Set(float64(r.now().UnixMilli()) / 1000)
}
