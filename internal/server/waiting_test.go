//go:build !race

package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// TestThousandsWaitForMemory has 10,000 connections ask for pages, of which some thirty fit into
// the memory: all are answered, and none is closed for the sake of others. (The race detector bears
// no more than 8,000 goroutines.)
func TestThousandsWaitForMemory(t *testing.T) {
	const conns, each = 10_000, 3
	c := crowded(t, conns)
	deadline := time.Now().Add(patience)
	var clients sync.WaitGroup
	var unanswered atomic.Int64
	for _, nc := range c.conns {
		clients.Go(func() {
			_ = nc.SetDeadline(deadline)
			frames := pdu.NewReader(nc, 1<<20)
			for range each {
				if _, err := nc.Write(request(1, 100).Append(nil)); err != nil {
					unanswered.Add(1)
				} else if _, err := frames.Next(); err != nil {
					unanswered.Add(1)
				}
			}
		})
	}
	receive(t, c.full)
	answering := make(chan struct{})
	go func() {
		defer close(answering)
		for answer := range c.answers {
			answer()
		}
	}()
	clients.Wait()
	if n := unanswered.Load(); n > 0 {
		t.Errorf("%d of %d requests were not answered", n, conns*each)
	}
	if n := c.Stats().Closed["held_most"]; n > 0 {
		t.Errorf("%d connections were closed for others", n)
	}
	c.end()
	<-answering
	if pending := c.Stats().Pending; pending != 0 {
		t.Errorf("%d bytes are left", pending)
	}
}

// BenchmarkWaiting measures what a request costs while those of so many other connections wait for
// memory, client included.
func BenchmarkWaiting(b *testing.B) {
	for _, conns := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint("conns=", conns), func(b *testing.B) { waitBeside(b, conns) })
	}
}

func waitBeside(b *testing.B, conns int) {
	c := crowded(b, conns)
	var clients sync.WaitGroup
	for _, nc := range c.conns {
		clients.Go(func() {
			frames := pdu.NewReader(nc, 1<<20)
			for err := error(nil); err == nil; {
				if _, err = nc.Write(request(1, 100).Append(nil)); err == nil {
					_, err = frames.Next()
				}
			}
		})
	}
	<-c.full
	for b.Loop() {
		(<-c.answers)()
	}
	for _, nc := range c.conns {
		_ = nc.Close()
	}
	clients.Wait()
	go func() {
		for answer := range c.answers {
			answer()
		}
	}()
	c.end()
}

// crowd is a server whose handler reserves memory for a page and leaves it to the test when the
// request is answered.
type crowd struct {
	*server.Server
	conns   []net.Conn
	full    chan struct{} // closed when as many requests as connections have been asked
	answers chan func()   // to answer a request whose memory is reserved
	end     func()        // closes all connections, stops the server and closes answers
}

func crowded(tb testing.TB, conns int) *crowd {
	c := &crowd{full: make(chan struct{}), answers: make(chan func())}
	var asked atomic.Int64
	var pending sync.WaitGroup
	reserve := handlerFunc(func(
		ctx context.Context, p server.Peer, f pdu.Frame, finish func(pdu.Frame, bool),
	) {
		if asked.Add(1) == int64(conns) {
			close(c.full)
		}
		pending.Go(func() {
			err := p.Reserve(ctx, pageLength)
			c.answers <- func() { finish(f, err == nil) }
		})
	})
	cfg := testConfig()
	cfg.MaxConns = conns
	c.Server = server.New(cfg, reserve, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ln := make(pipes)
	served := make(chan error)
	go func() { served <- c.Serve(ctx, ln) }()
	for range conns {
		ours, theirs := net.Pipe()
		ln <- theirs
		c.conns = append(c.conns, ours)
	}
	c.end = func() {
		for _, nc := range c.conns {
			_ = nc.Close()
		}
		cancel()
		if err := <-served; err != nil {
			tb.Error(err)
		}
		pending.Wait()
		close(c.answers)
	}
	return c
}

// pipes is a listener for connections without descriptors.
type pipes chan net.Conn

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	if nc, open := <-p; open {
		return nc, nil
	}
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (p pipes) Close() error {
	close(p)
	return nil
}

// Addr implements net.Listener.
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
