package faultproxy_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// patience is how long anything may take, on a machine that has much else to do.
const patience = wait.Patience

// echo starts a server that sends back what it gets, first its greeting, and returns its address.
func echo(t *testing.T, greeting string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, greeting)
				_, _ = io.Copy(c, c) // until the client has no more, or is gone
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		tasks.Wait()
	})
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, want %q: %v", got[:n], want, err)
	}
}

// echoed has a text sent there and back.
func echoed(t *testing.T, c net.Conn, text string) {
	t.Helper()
	send(t, c, text)
	expect(t, c, text)
}

// silent checks that nothing comes, as far as one can tell by waiting for a moment.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want none, and no end", n, err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

// ended checks that a connection ends without a further byte.
func ended(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		t.Fatalf("read %d bytes, %v; want %v", n, err, want)
	}
}

// refused checks that a new connection is reset at once, which the system may tell when connecting
// or when reading.
func refused(t *testing.T, addr string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
}

var await = wait.Until

func TestEndsArePassedOn(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, ""))
	c := dial(t, p.Addr())
	send(t, c, "last words")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "last words")
	ended(t, c, io.EOF)
	await(t, "the end of the connection", func() bool { return p.Connections() == 0 })
}

func TestCutAndHangup(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, ""))
	for _, how := range []struct {
		do   func()
		want error
	}{{p.Cut, syscall.ECONNRESET}, {p.Hangup, io.EOF}} {
		one, two := dial(t, p.Addr()), dial(t, p.Addr())
		for _, c := range []net.Conn{one, two} {
			echoed(t, c, "a")
		}
		how.do()
		ended(t, one, how.want)
		ended(t, two, how.want)
		await(t, "the end of the connections", func() bool { return p.Connections() == 0 })
	}
	c := dial(t, p.Addr())
	echoed(t, c, "new ones are served")
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, ""))
	old := dial(t, p.Addr())
	echoed(t, old, "a")
	p.Refuse(true)
	refused(t, p.Addr())
	echoed(t, old, "old ones stay")
	p.Refuse(false)
	c := dial(t, p.Addr())
	echoed(t, c, "again")
}

func TestAServerThatIsDownResets(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	p := faultproxy.New(t, listener.Addr().String())
	refused(t, p.Addr())
}

func TestSetTarget(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, "one"))
	old := dial(t, p.Addr())
	expect(t, old, "one")
	p.SetTarget(echo(t, "two"))
	expect(t, dial(t, p.Addr()), "two")
	echoed(t, old, "still here")
}

func TestHalfOpen(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, ""))
	c := dial(t, p.Addr())
	echoed(t, c, "a")
	p.HalfOpen()
	for range 3 {
		send(t, c, "is anybody there?")
		silent(t, c)
	}
	other := dial(t, p.Addr())
	echoed(t, other, "new ones are served")
	c.Close()
	await(t, "the end of the half-open one", func() bool { return p.Connections() == 1 })
}

func TestFreezeAndThaw(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, ""))
	old := dial(t, p.Addr())
	echoed(t, old, "a")
	p.Freeze()
	p.Freeze() // it is already
	send(t, old, "held")
	young := dial(t, p.Addr())
	send(t, young, "held, too")
	if err := young.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	silent(t, old)
	silent(t, young)
	p.Thaw()
	p.Thaw()
	expect(t, old, "held")
	expect(t, young, "held, too")
	ended(t, young, io.EOF)
}

// TestFrozenConnectionsEnd: neither Cut nor Close waits for a thaw.
func TestFrozenConnectionsEnd(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, "hello"))
	c := dial(t, p.Addr())
	expect(t, c, "hello")
	p.Freeze()
	send(t, c, "a")
	p.Cut()
	ended(t, c, syscall.ECONNRESET)
	c = dial(t, p.Addr())
	send(t, c, "b")
	p.Close()
	ended(t, c, syscall.ECONNRESET)
}

// TestDelayIsALongLine sends at a pace that would take minutes if each write waited for the one
// before.
func TestDelayIsALongLine(t *testing.T) {
	t.Parallel()
	const delay, writes = 200 * time.Millisecond, 400
	p := faultproxy.New(t, echo(t, ""))
	p.Delay(delay)
	c := dial(t, p.Addr())
	start := time.Now()
	go func() {
		for i := range writes {
			if _, err := c.Write([]byte{byte(i), byte(i >> 8)}); err != nil {
				return // the reader sees it
			}
			time.Sleep(time.Millisecond) // or the system makes few pieces of many writes
		}
	}()
	for i := range writes {
		expect(t, c, string([]byte{byte(i), byte(i >> 8)}))
		if took := time.Since(start); i == 0 && took < 2*delay {
			t.Errorf("there and back took %v, want %v at least", took, 2*delay)
		}
	}
}

// TestStreamsStayIntact moves bytes of all kinds in pieces of all sizes while faults come and go
// that lose nothing.
func TestStreamsStayIntact(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, echo(t, ""))
	beginnings := []string{"", "*2\r\n$4\r\nECHO\r\n$1\r\na\r\n", "*2\r\n$x", "\x01\x00\x00\x01x",
		"\x02\x00"}
	for _, beginning := range beginnings {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, uint64(len(beginning))))
			want := []byte(beginning)
			for len(want) < 1<<20 {
				want = append(want, byte(rng.Uint32()))
			}
			c := dial(t, p.Addr())
			var sender sync.WaitGroup
			sender.Go(func() {
				for rest := want; len(rest) > 0; {
					n := min(len(rest), 1+rng.IntN(100_000))
					if _, err := c.Write(rest[:n]); err != nil {
						t.Error(err)
						return
					}
					rest = rest[n:]
				}
				_ = c.CloseWrite() // the reader sees it
			})
			got, err := io.ReadAll(&faulty{Conn: c, proxy: p})
			sender.Wait()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, sent %d, equal: %v; %v", len(got), len(want),
					bytes.Equal(got, want), err)
			}
		})
	}
}

// faulty makes faults between reads.
type faulty struct {
	net.Conn
	proxy *faultproxy.Proxy
	reads int
}

func (f *faulty) Read(b []byte) (int, error) {
	switch f.reads++; f.reads % 20 {
	case 1:
		f.proxy.Delay(5 * time.Millisecond)
	case 5:
		f.proxy.Freeze()
		time.Sleep(time.Millisecond) // let it hold something
		f.proxy.Thaw()
	case 10:
		f.proxy.Delay(0)
	}
	return f.Conn.Read(b)
}
