package ops

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sources are functions that are asked at each scrape. They are called from any goroutine, must be
// quick, and must not wait for a store.
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

// made are the metrics that are made at each scrape: counters, whose names end with _total, and
// gauges. label is "" where there is none.
var made = []struct{ name, label, help string }{
	{"requests_in_flight", "", "Requests that are not finished yet."},
	{"connections_open", "", "Connections open now."},
	{"connections_opened_total", "", "Connections served."},
	{"connections_refused_total", "",
		"Connections closed at once as all were taken and none had been quiet for long."},
	{"connections_closed_total", "reason", "Connections served that have ended, by why."},
	{"received_bytes_total", "", "Bytes read from peers."},
	{"sent_bytes_total", "", "Bytes written to peers."},
	{"handler_panics_total", "", "Requests whose handler panicked: a fault of dbproxy."},
	{"budget_used_bytes", "", "Bytes of requests under way and of answers not sent yet."},
	{"budget_unsent_bytes", "", "Bytes of answers not sent yet."},
	{"budget_limit_bytes", "", "Bytes that may be in use in all."},
	{"connections_limit", "", "Connections that may be open."},
	{"budget_shared_used_bytes", "",
		"Bytes in use of the part of the budget that is for those who need more."},
	{"budget_shared_limit_bytes", "", "Bytes of that part in use from which on others wait."},
	{"budget_waiting", "", "Connections that wait for memory."},
	{"budget_wait_seconds", "", "How long one of them has got none, at the most."},
	{"connections_most", "address", "Connections of the address that holds most of them."},
	{"budget_most_bytes", "address",
		"Bytes of the shared half of the budget that the address has which has most of it."},
	{"queue_length", "", "Messages and other changes that wait for their turn."},
	{"queue_lanes", "", "Talks, users and the like with a change waiting or under way."},
	{"queue_limit", "",
		"Changes waiting or under way above which those who ask for more must wait."},
	{"replica_lag_seconds", "", "How far the replica is behind; not there while it is unknown."},
	{"degraded", "part", "1 while a part cannot be used as it should, else 0."},
	{"log_lines_lost_total", "", "Lines of the log that could not be written."},
}

// sources is the collector of Sources.
type sources struct {
	from  Sources
	descs map[string]*prometheus.Desc // by the names in made
}

// NewCollector returns a collector that asks s.
func NewCollector(s Sources) prometheus.Collector {
	c := &sources{s, make(map[string]*prometheus.Desc)}
	for _, m := range made {
		c.descs[m.name] = prometheus.NewDesc(prefix+m.name, m.help, strings.Fields(m.label), nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (s *sources) Describe(to chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *sources) Collect(to chan<- prometheus.Metric) {
	send := func(name string, value float64, labels ...string) {
		kind := prometheus.GaugeValue
		if strings.HasSuffix(name, "_total") {
			kind = prometheus.CounterValue
		}
		to <- prometheus.MustNewConstMetric(s.descs[name], kind, value, labels...)
	}
	sendNetwork(s.from.Network(), send)
	q := s.from.Queue()
	send("queue_length", float64(q.Waiting))
	send("queue_lanes", float64(q.Lanes))
	send("queue_limit", float64(q.Limit))
	if lag, known := s.from.ReplicaLag(); known {
		send("replica_lag_seconds", lag.Seconds())
	}
	send("log_lines_lost_total", float64(s.from.LogLost()))
	for part, without := range s.from.Degraded {
		value := 0.0
		if without() {
			value = 1
		}
		send("degraded", value, part)
	}
}

func sendNetwork(n Network, send func(name string, value float64, labels ...string)) {
	send("requests_in_flight", float64(n.InFlight))
	send("connections_open", float64(n.Open))
	send("connections_opened_total", float64(n.Opened))
	send("connections_refused_total", float64(n.Refused))
	for reason, count := range n.Closed {
		send("connections_closed_total", float64(count), reason)
	}
	send("received_bytes_total", float64(n.BytesIn))
	send("sent_bytes_total", float64(n.BytesOut))
	send("handler_panics_total", float64(n.Panics))
	send("budget_used_bytes", float64(n.Pending))
	send("budget_unsent_bytes", float64(n.Unsent))
	send("budget_limit_bytes", float64(n.MaxPending))
	send("connections_limit", float64(n.MaxOpen))
	send("budget_shared_used_bytes", float64(n.Taken))
	send("budget_shared_limit_bytes", float64(n.Shared))
	send("budget_waiting", float64(n.Waiting))
	send("budget_wait_seconds", n.LongestWait.Seconds())
	if m := n.MostConns; m.Address != "" {
		send("connections_most", float64(m.Held), m.Address)
	}
	if m := n.MostBytes; m.Address != "" {
		send("budget_most_bytes", float64(m.Held), m.Address)
	}
}
