package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. No test passes by waiting this long.
const patience = 30 * time.Second

const (
	cmdHeartbeat = 0x0701
	cmdStop      = 0x0702
)

// handlerFunc is a Handler made of a function.
type handlerFunc func(ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool))

func (h handlerFunc) Start(
	ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool),
) {
	h(ctx, p, f, finish)
}

// echo answers every frame with itself.
var echo = handlerFunc(
	func(_ context.Context, _ server.Peer, f pdu.Frame, finish func(pdu.Frame, bool)) {
		finish(f, true)
	})

// testConfig returns clocks that never run out in a test, but a short quiet at the end.
func testConfig() server.Config {
	cfg := server.DefaultConfig()
	cfg.MaxFrame = 1 << 20
	cfg.RequestTimeout, cfg.HeartbeatEvery, cfg.IdleTimeout = patience, patience, patience
	cfg.RateWindow, cfg.DrainTimeout = patience, patience
	cfg.DrainQuiet = 20 * time.Millisecond
	return cfg
}

// fixture is a running server.
type fixture struct {
	*server.Server
	t      *testing.T
	addr   string
	logs   chan logLine
	cancel context.CancelFunc
	served chan error // what Serve returned
}

// serve runs a server until the test ends, and then checks that it drained and released
// everything.
func serve(t *testing.T, cfg server.Config, h server.Handler) *fixture {
	t.Helper()
	f := start(t, cfg, h, listen(t))
	t.Cleanup(func() {
		if err := f.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if s := f.Stats(); s.Pending != 0 || s.Unsent != 0 || s.Connections != 0 {
			t.Errorf("left after the drain: %+v", s)
		}
	})
	return f
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// start runs a server that the test stops itself.
func start(t *testing.T, cfg server.Config, h server.Handler, lns ...net.Listener) *fixture {
	f := &fixture{
		t: t, addr: lns[0].Addr().String(),
		logs: make(chan logLine, 10_000), served: make(chan error, 1),
	}
	f.Server = server.New(cfg, h, slog.New(slog.NewJSONHandler(f, nil)))
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(context.Background())
	go func() { f.served <- f.Serve(ctx, lns...) }()
	return f
}

// stop drains the server and returns what Serve did.
func (f *fixture) stop() error {
	f.cancel()
	return receive(f.t, f.served)
}

// logLine is one line of the server's log.
type logLine struct {
	Level, Msg, Peer, Reason      string
	Command, Panic, Stack         string
	Connections, Limit            int
	Address, Most                 string
	Requests, Answers, Unanswered int
	BytesIn                       int `json:"bytes_in"`
	BytesOut                      int `json:"bytes_out"`
}

// Write takes a line of the log.
func (f *fixture) Write(p []byte) (int, error) {
	var line logLine
	if err := json.Unmarshal(p, &line); err != nil {
		f.t.Errorf("log line %s: %v", p, err)
	}
	f.logs <- line
	return len(p), nil
}

// logged waits for the next line with that message.
func (f *fixture) logged(msg string) logLine {
	f.t.Helper()
	for {
		if line := receive(f.t, f.logs); line.Msg == msg {
			return line
		}
	}
}

// receive takes a value from ch, which must come.
func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("waited in vain")
		panic("unreachable")
	}
}

// client is a peer of the server.
type client struct {
	*net.TCPConn
	t      *testing.T
	frames *pdu.Reader
}

func (f *fixture) dial() *client {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &client{nc.(*net.TCPConn), f.t, pdu.NewReader(nc, 1<<30)}
}

// send writes frames in one go.
func (c *client) send(frames ...pdu.Frame) {
	c.t.Helper()
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	c.raw(b)
}

func (c *client) raw(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next reads a frame, heartbeats too.
func (c *client) next() pdu.Frame {
	c.t.Helper()
	f, err := c.frames.Next()
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

// wants reads frames, which must be these.
func (c *client) wants(frames ...pdu.Frame) {
	c.t.Helper()
	for i, want := range frames {
		got := c.next()
		if !same(got, want) {
			c.t.Fatalf("frame %d: command %#x, seq %d, %d bytes; want %#x, %d, %d", i,
				got.Command, got.Seq, got.Len(), want.Command, want.Seq, want.Len())
		}
	}
}

// echoed sends frames, which must come back.
func (c *client) echoed(frames ...pdu.Frame) {
	c.t.Helper()
	c.send(frames...)
	c.wants(frames...)
}

// closed reads the end of the connection, which the server closed with nothing lost.
func (c *client) closed() {
	c.t.Helper()
	if f, err := c.frames.Next(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("got %+v, %v; want the end", f, err)
	}
}

// cut reads the end of a connection that the server closed or reset at once.
func (c *client) cut() {
	c.t.Helper()
	if n, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) || n > 0 {
		c.t.Fatalf("%d bytes, %v; want the end", n, err)
	}
}

func same(a, b pdu.Frame) bool {
	return a.Service == b.Service && a.Command == b.Command && a.Seq == b.Seq &&
		bytes.Equal(a.Body, b.Body)
}

// request returns a frame of n bytes in all.
func request(seq, n int) pdu.Frame {
	body := bytes.Repeat([]byte{byte(seq)}, n-pdu.HeaderLen)
	return pdu.Frame{Service: 3, Command: 0x0301, Seq: uint16(seq), Body: body}
}

// requests returns n small frames, seq counting from 0.
func requests(n int) (frames []pdu.Frame) {
	for i := range n {
		frames = append(frames, request(i, pdu.HeaderLen+i%100))
	}
	return frames
}

// stopReceiving is the server's frame at the start of a drain.
var stopReceiving = pdu.Frame{Service: 7, Command: cmdStop, Body: []byte{0x08, 0x00}}

// held is a request a test finishes itself.
type held struct {
	ctx    context.Context
	peer   server.Peer
	frame  pdu.Frame
	finish func(pdu.Frame, bool)
}

func (h held) echo() { h.finish(h.frame, true) }

// holder is a Handler that only passes requests on to the test.
type holder chan held

func (h holder) Start(
	ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool),
) {
	h <- held{ctx, p, f, finish}
}

// take waits for n requests.
func (h holder) take(t *testing.T, n int) (got []held) {
	t.Helper()
	for range n {
		got = append(got, receive(t, h))
	}
	return got
}

func reversed[T any](s []T) []T {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}
