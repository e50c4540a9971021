package ops

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sources are functions that are asked at each scrape. Where one is nil its metrics are not there.
// They are called from any goroutine, must be quick, and must not wait for a store.
type Sources struct {
	Network func() Network
	Queue   func() Queue
	// ReplicaLag returns how far the replica is behind, and whether that is known.
	ReplicaLag func() (lag time.Duration, known bool)
	// Degraded has for each part, by name, whether it cannot be used as it should now.
	Degraded map[string]func() bool
	// LogLost returns how many lines of the log could not be written.
	LogLost func() int
}

// Network is what the server has counted.
type Network struct {
	Open            int // connections
	Opened, Refused int64
	Closed          map[string]int64 // by reason
	BytesIn         int64
	BytesOut        int64
	InFlight        int64 // requests
	Panics          int64
	Pending, Unsent int64 // bytes of pending requests and unsent answers; of unsent answers alone
	MaxPending      int64 // bytes
	MaxOpen         int   // how many connections may be open
	// Taken is how many bytes of the budget's shared half are in use, Shared how many that half
	// has.
	Taken, Shared int64
	// Waiting is how many connections wait for memory, LongestWait how long one of them has got
	// none at most.
	Waiting     int
	LongestWait time.Duration
	// MostConns and MostBytes are the addresses that hold most connections and most of the budget.
	MostConns, MostBytes Holder
}

// Holder is an address that peers come from, and how much of something it holds.
type Holder struct {
	Address string // empty: there is none
	Held    int64
}

// Queue is what waits for its turn.
type Queue struct {
	Waiting, Lanes, Limit int
}

// metric is the description of a metric that is made at each scrape.
type metric struct {
	*prometheus.Desc
	kind prometheus.ValueType
}

func countMetric(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(prefix+name, help, labels, nil), prometheus.CounterValue}
}

func gaugeMetric(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(prefix+name, help, labels, nil), prometheus.GaugeValue}
}

// sources is the collector of Sources.
type sources struct {
	from Sources

	inFlight, open, opened, refused, closed, received, sent, panics metric
	budgetUsed, budgetUnsent, budgetLimit                           metric
	openLimit, taken, shared, starved, starving                     metric
	mostConns, mostBytes                                            metric
	waiting, lanes, limit                                           metric
	lag, degraded, logLost                                          metric
}

// NewCollector returns a collector that asks s.
func NewCollector(s Sources) prometheus.Collector {
	return &sources{
		from:     s,
		inFlight: gaugeMetric("requests_in_flight", "Requests that are not finished yet."),
		open:     gaugeMetric("connections_open", "Connections open now."),
		opened:   countMetric("connections_opened_total", "Connections served."),
		refused: countMetric("connections_refused_total",
			"Connections closed at once as all were taken and none had been quiet for long."),
		closed: countMetric("connections_closed_total",
			"Connections served that have ended, by why.", "reason"),
		received: countMetric("received_bytes_total", "Bytes read from peers."),
		sent:     countMetric("sent_bytes_total", "Bytes written to peers."),
		panics: countMetric("handler_panics_total",
			"Requests whose handler panicked: a fault of dbproxy."),

		budgetUsed: gaugeMetric("budget_used_bytes",
			"Bytes of requests under way and of answers not sent yet."),
		budgetUnsent: gaugeMetric("budget_unsent_bytes", "Bytes of answers not sent yet."),
		budgetLimit:  gaugeMetric("budget_limit_bytes", "Bytes that may be in use in all."),
		openLimit:    gaugeMetric("connections_limit", "Connections that may be open."),
		taken: gaugeMetric("budget_shared_used_bytes",
			"Bytes in use of the part of the budget that is for those who need more."),
		shared: gaugeMetric("budget_shared_limit_bytes",
			"Bytes of that part in use from which on others wait."),
		starved: gaugeMetric("budget_waiting", "Connections that wait for memory."),
		starving: gaugeMetric("budget_wait_seconds",
			"How long one of them has got none, at the most."),
		mostConns: gaugeMetric("connections_most",
			"Connections of the address that holds most of them.", "address"),
		mostBytes: gaugeMetric("budget_most_bytes",
			"Bytes of the shared half of the budget that the address has which has most of it.",
			"address"),

		waiting: gaugeMetric("queue_length",
			"Messages and other changes that wait for their turn."),
		lanes: gaugeMetric("queue_lanes",
			"Talks, users and the like with a change waiting or under way."),
		limit: gaugeMetric("queue_limit",
			"Changes waiting or under way above which those who ask for more must wait."),

		lag: gaugeMetric("replica_lag_seconds",
			"How far the replica is behind; not there while it is unknown."),
		degraded: gaugeMetric("degraded", "1 while a part cannot be used as it should, else 0.",
			"part"),
		logLost: countMetric("log_lines_lost_total",
			"Lines of the log that could not be written."),
	}
}

func (s *sources) all() []metric {
	return []metric{
		s.inFlight, s.open, s.opened, s.refused, s.closed, s.received, s.sent, s.panics,
		s.budgetUsed, s.budgetUnsent, s.budgetLimit,
		s.openLimit, s.taken, s.shared, s.starved, s.starving, s.mostConns, s.mostBytes, s.waiting,
		s.lanes, s.limit,
		s.lag, s.degraded, s.logLost,
	}
}

// Describe implements prometheus.Collector.
func (s *sources) Describe(to chan<- *prometheus.Desc) {
	for _, m := range s.all() {
		to <- m.Desc
	}
}

// Collect implements prometheus.Collector.
func (s *sources) Collect(to chan<- prometheus.Metric) {
	send := func(m metric, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(m.Desc, m.kind, value, labels...)
	}
	if s.from.Network != nil {
		s.network(s.from.Network(), send)
	}
	if s.from.Queue != nil {
		q := s.from.Queue()
		send(s.waiting, float64(q.Waiting))
		send(s.lanes, float64(q.Lanes))
		send(s.limit, float64(q.Limit))
	}
	if s.from.ReplicaLag != nil {
		if lag, known := s.from.ReplicaLag(); known {
			send(s.lag, lag.Seconds())
		}
	}
	if s.from.LogLost != nil {
		send(s.logLost, float64(s.from.LogLost()))
	}
	for part, without := range s.from.Degraded {
		value := 0.0
		if without() {
			value = 1
		}
		send(s.degraded, value, part)
	}
}

func (s *sources) network(n Network, send func(m metric, value float64, labels ...string)) {
	send(s.inFlight, float64(n.InFlight))
	send(s.open, float64(n.Open))
	send(s.opened, float64(n.Opened))
	send(s.refused, float64(n.Refused))
	for reason, count := range n.Closed {
		send(s.closed, float64(count), reason)
	}
	send(s.received, float64(n.BytesIn))
	send(s.sent, float64(n.BytesOut))
	send(s.panics, float64(n.Panics))
	send(s.budgetUsed, float64(n.Pending))
	send(s.budgetUnsent, float64(n.Unsent))
	send(s.budgetLimit, float64(n.MaxPending))
	send(s.openLimit, float64(n.MaxOpen))
	send(s.taken, float64(n.Taken))
	send(s.shared, float64(n.Shared))
	send(s.starved, float64(n.Waiting))
	send(s.starving, n.LongestWait.Seconds())
	if m := n.MostConns; m.Address != "" {
		send(s.mostConns, float64(m.Held), m.Address)
	}
	if m := n.MostBytes; m.Address != "" {
		send(s.mostBytes, float64(m.Held), m.Address)
	}
}
