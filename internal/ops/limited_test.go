package ops_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/ops"
)

// TestIdleConnectionsLeave: a connection on which nothing is asked does not keep its slot for long.
func TestIdleConnectionsLeave(t *testing.T) {
	const bound = 3 * time.Second
	s := serve(t, ops.Site{Connections: 1})
	for range 2 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(5 * bound)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConnectionsWait: when all slots are taken, a new connection waits until another one ends. The
// end of the site does not wait for any.
func TestConnectionsWait(t *testing.T) {
	s := serve(t, ops.Site{Connections: 2})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ask := func(conn net.Conn) {
		if _, err := conn.Write([]byte("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(conn net.Conn) {
		t.Helper()
		answer := make([]byte, 100)
		if n, err := conn.Read(answer); err != nil ||
			!strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200 OK") {
			t.Errorf("answered with %q, %v", answer[:n], err)
		}
	}
	first, second, third := dial(), dial(), dial()
	for _, conn := range []net.Conn{first, second} {
		ask(conn)
		wants(conn)
	}
	ask(third)
	if err := third.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := third.Read(make([]byte, 1)); err == nil {
		t.Errorf("the third is served beside the two others: %d bytes", n)
	}
	if err := third.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	first.Close()
	wants(third)
	ask(dial()) // and is still waiting when the site ends
}
