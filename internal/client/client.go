// Package client is a Go client of the proxy's protocol: many requests in flight on one connection,
// each matched with its answer by its sequence number. See docs/protocol.md.
package client

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

const (
	// heartbeatEvery keeps the server from closing an idle connection, which it does after 30 s.
	heartbeatEvery = 5 * time.Second
	// maxAnswer is the longest frame taken from the server, in bytes. Its pages are cut at 4 MiB,
	// but lists are not, and attach_data comes on top.
	maxAnswer = 64 << 20
	// maxInFlight is how many sequence numbers there are; 0 is the server's own.
	maxInFlight = 1<<16 - 1
)

var (
	// ErrClosed is the cause of errors after Close.
	ErrClosed = errors.New("client closed")
	// ErrBusy refuses a request while all sequence numbers are in flight.
	ErrBusy = fmt.Errorf("all %d sequence numbers are in flight", maxInFlight)
)

// Client is one connection to a proxy. Its methods are safe for concurrent use.
type Client struct {
	conn     net.Conn
	addr     string
	requests map[string]catalog.Entry // by name; never changed
	out      chan outgoing            // read by writeLoop
	stopping chan struct{}            // closed by readLoop
	loops    sync.WaitGroup

	ending sync.Once
	done   chan struct{} // closed when the connection is over
	cause  error         // why; to be read after done is closed

	mu sync.Mutex // guards the fields below
	// pending has who waits for an answer, by sequence number; nil when no more answers are
	// expected.
	pending map[uint16]func(f pdu.Frame, e error)
	lastSeq uint16
}

// Dial connects to the proxy at addr, a TCP address such as 127.0.0.1:10600. ctx bounds the
// connecting alone.
func Dial(ctx context.Context, addr string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return New(conn, addr), nil
}

// New starts a client on a connection, which belongs to the client from then on. addr is the other
// end of it, for errors.
func New(conn net.Conn, addr string) *Client {
	c := &Client{
		conn:     conn,
		addr:     addr,
		requests: make(map[string]catalog.Entry),
		out:      make(chan outgoing),
		stopping: make(chan struct{}),
		done:     make(chan struct{}),
		pending:  make(map[uint16]func(pdu.Frame, error)),
	}
	for _, e := range catalog.Entries() {
		c.requests[e.Name()] = e
	}
	c.loops.Go(c.readLoop)
	c.loops.Go(c.writeLoop)
	return c
}

// Close ends the connection. Requests in flight fail with ErrClosed. When Close returns, no
// goroutine of the client runs any more. Do not call it from a function given to Start.
func (c *Client) Close() error {
	c.end(ErrClosed)
	c.loops.Wait()
	return nil
}

// Stopping returns a channel that is closed when the server says that it is about to stop and takes
// no more requests (0x0702). What was sent before is still answered.
func (c *Client) Stopping() <-chan struct{} { return c.stopping }

// IsStopping reports whether the server has said so.
func (c *Client) IsStopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// Done returns a channel that is closed when the connection is over, by Close or because it was
// lost.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil while the connection lasts, and afterwards why it ended: ErrClosed, or what
// happened to it.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.lost()
	default:
		return nil
	}
}

// end closes the connection for the reason given, the first time it is called.
func (c *Client) end(cause error) {
	c.ending.Do(func() {
		c.cause = cause
		close(c.done)
		c.conn.Close()
	})
}

// lost returns the error for requests that were in flight when the connection ended. It waits for
// that end.
func (c *Client) lost() error {
	<-c.done
	if errors.Is(c.cause, ErrClosed) {
		return fmt.Errorf("client: %w", c.cause)
	}
	return fmt.Errorf("client: connection to %s lost: %w", c.addr, c.cause)
}

// WirePassword is what the suite's clients send for a password that their user typed: its MD5 in
// lower-case hex.
func WirePassword(typed string) string {
	sum := md5.Sum([]byte(typed))
	return hex.EncodeToString(sum[:])
}
