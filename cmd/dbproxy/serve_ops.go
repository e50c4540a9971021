package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/command"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
	"github.com/teamtalk-go/dbproxy/internal/ops"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// off stands in the place of an address that is not wanted.
const off = "off"

// door is where a server listens.
type door struct {
	public []net.Listener // for message servers
	admin  net.Listener   // for operators; nil for nowhere
}

// open listens on the addresses of s.
func (s serving) open(ctx context.Context) (d door, err error) {
	flag, still := cmp.Or(s.listenBy, "--listen"), s.patience()
	for _, addr := range s.listen {
		ln, err := s.await(ctx, flag, addr, still)
		if err != nil {
			d.close()
			return door{}, err
		}
		d.public = append(d.public, ln)
	}
	if s.admin == "" || s.admin == off {
		return d, nil
	}
	flag = cmp.Or(s.adminBy, "--admin")
	former := s.original.formerRuns()
	d.admin, err = listen(flag, s.admin)
	if errors.Is(err, errTaken) && former {
		d.admin, err = s.late(flag)
	}
	if err != nil && s.adminSpare && descriptors.Mend(err) == "" {
		s.log.Warn("serving without metrics and health: their default address cannot be had, "+
			"perhaps as another proxy has it; set "+flag+" to have them at another one", "err", err)
		return d, nil
	}
	if err != nil {
		d.close()
		return door{}, err
	}
	return d, nil
}

// close closes the listeners that nobody has served. The others are closed already.
func (d door) close() {
	for _, ln := range d.public {
		_ = ln.Close()
	}
	if d.admin != nil {
		_ = d.admin.Close()
	}
}

// addr returns where it listens; several addresses are separated by commas.
func (d door) addr() string {
	addrs := make([]string, len(d.public))
	for i, ln := range d.public {
		addrs[i] = ln.Addr().String()
	}
	return strings.Join(addrs, ",")
}

// adminAddr is the admin address for the log.
func (d door) adminAddr() string {
	if d.admin == nil {
		return off
	}
	return d.admin.Addr().String()
}

// newRecorder makes the recorder of this program.
func newRecorder() *ops.Recorder {
	expected := ops.Expected{Commands: command.Names()}
	for _, o := range command.Outcomes() {
		expected.Outcomes = append(expected.Outcomes, string(o))
	}
	return ops.NewRecorder(time.Now,
		ops.Build{Version: release, Revision: revision(), Go: runtime.Version()}, expected)
}

// newHandler makes a handler whose requests watch counts.
func newHandler(
	svc *chat.Service, maxFrame uint32, log *slog.Logger, watch *ops.Recorder,
) *command.Handler {
	return command.New(svc, command.Options{Log: log, MaxFrame: int(maxFrame),
		Observe: func(request string, what command.Outcome, took time.Duration) {
			watch.Request(request, string(what), took)
		}})
}

// watched is what the admin address shows the state of.
type watched struct {
	running context.Context // ends when the server is to stop
	addr    string
	serving serving
	srv     *server.Server
	cfg     server.Config // of srv
	svc     *chat.Service
	backend *backend
}

// newSite makes what the admin address shows.
func newSite(w watched, watch *ops.Recorder) (ops.Site, error) {
	reg := prometheus.NewRegistry()
	degraded := map[string]func() bool{"storing": func() bool {
		_, failing := w.svc.Failing()
		return failing
	}}
	maps.Copy(degraded, w.backend.degraded)
	err := ops.Register(reg, w.backend.store.Pools(), watch, ops.NewCollector(ops.Sources{
		Network:    w.network,
		Queue:      func() ops.Queue { return ops.Queue(w.svc.Queue()) },
		ReplicaLag: w.backend.store.Replica().Lag,
		Degraded:   degraded,
		LogLost:    w.serving.written.Total,
	}))
	checks := append([]ops.Check{
		{Name: "listening", Probe: w.listening},
		{Name: "draining", Probe: w.draining},
		{Name: "peers", Probe: w.peers},
		{Name: "store", Probe: w.reachable},
		{Name: "storing", Probe: w.storing},
		{Name: "log", Probe: w.serving.logged},
	}, w.backend.checks...)
	return ops.Site{Metrics: reg, Checks: checks, Log: w.serving.log,
		Connections: w.serving.adminConns}, err
}

func (w watched) network() ops.Network {
	s, p := w.srv.Stats(), w.srv.Peers()
	return ops.Network{
		Open: s.Connections, Opened: s.Opened, Refused: s.Refused, Closed: s.Closed,
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, InFlight: s.InFlight, Panics: s.Panics,
		Pending: s.Pending, Unsent: s.Unsent, MaxPending: w.cfg.MaxPending,
		MaxOpen: p.MaxConns, Taken: p.Taken, Shared: p.Shared, Waiting: p.Waiting,
		LongestWait: p.LongestWait,
		MostConns:   ops.Holder{Address: p.MostConns.Address, Held: int64(p.MostConns.Conns)},
		MostBytes:   ops.Holder{Address: p.MostBytes.Address, Held: p.MostBytes.Bytes},
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
		return ops.Doubtful, fmt.Sprintf("%s: one more takes the place of one that asked nothing "+
			"for %v, or is refused; raise %s, or run another proxy", text, w.cfg.QuietTimeout,
			w.serving.named("MaxConnections"))
	default:
		return ops.Good, text
	}
}

// peers checks that peers do not hold each other up, and says who holds most.
func (w watched) peers(context.Context) (ops.State, string) {
	p := w.srv.Peers()
	var words []string
	say := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if m := p.MostConns; m.Address != "" {
		say("%s has most connections, %d of %d (limit %d)", m.Address, m.Conns, p.Connections,
			p.MaxConns)
	}
	if m := p.MostBytes; m.Address != "" {
		say("%s holds most memory, %.1f MiB (all together %.1f of %.1f MiB)", m.Address,
			mib(m.Bytes), mib(p.Taken), mib(p.Shared))
	}
	if m := p.Ended; m.Address != "" {
		say("%s held most, %.1f MiB, until it was closed %v ago", m.Address, mib(m.Bytes),
			ago(m.At))
	}
	if m := p.Refused; m.Address != "" {
		say("%s had most connections, %d, when one was refused or made room %v ago", m.Address,
			m.Conns, ago(m.At))
	}
	if p.Waiting > 0 {
		say("%d connections wait for memory, one has got none for %.1f s", p.Waiting,
			p.LongestWait.Seconds())
	}
	state := ops.Good
	if p.HeldUp {
		state = ops.Doubtful
		say("memory for requests and answers is short, or was lately: see what %s does, or "+
			"raise %s", cmp.Or(p.Ended.Address, p.MostBytes.Address, "each peer"),
			w.serving.named("MaxPending"))
	}
	if p.Crowded {
		state = ops.Doubtful
		say("connections are short, or were lately: see what %s does, or raise %s",
			cmp.Or(p.Refused.Address, p.MostConns.Address, "each peer"),
			w.serving.named("MaxConnections"))
	}
	if len(words) == 0 {
		words = []string{"none is connected"}
	}
	return state, strings.Join(words, "; ")
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// ago is how long ago something was, in seconds.
func ago(at time.Time) time.Duration { return time.Since(at).Round(time.Second) }

// draining checks that the server is not stopping.
func (w watched) draining(context.Context) (ops.State, string) {
	if w.running.Err() != nil {
		return ops.Wrong, "stopping: finishing what is under way"
	}
	return ops.Good, "no"
}

// reachable checks that the records can be read, through the connections that read and through
// those that write.
func (w watched) reachable(ctx context.Context) (ops.State, string) {
	begun := time.Now()
	if err := w.backend.store.DB().Reachable(ctx); err != nil {
		return ops.Wrong, err.Error()
	}
	return ops.Good, fmt.Sprintf("answered in %.1f ms", time.Since(begun).Seconds()*1000)
}

// storing is doubtful while messages fail, though the records can be read: a full disk, a table
// that is missing.
func (w watched) storing(context.Context) (ops.State, string) {
	what, failing := w.svc.Failing()
	if !failing {
		return ops.Good, "messages are stored as they come"
	}
	return ops.Doubtful, fmt.Sprintf("messages are not stored: %d failed, the first %v ago, the "+
		"last %v ago: %v", what.Count, ago(what.Since), ago(what.Last), what.Err)
}
