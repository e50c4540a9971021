package advice_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/advice"
)

// redis is a server with all its keys.
func redis(addr string) advice.Server {
	return advice.Server{
		Program: "Redis", Where: addr, Bind: "bind", Waited: time.Second,
		Address: "unread_host and unread_port", Timeouts: "unread_call_timeout",
		TLS: "unread_tls", CA: "unread_tls_ca", ServerName: "unread_tls_servername",
	}
}

// met is an error that was met on the way to a server.
type met struct {
	err        error
	trouble    advice.Trouble
	what, mend string // words of the advice of a server with all its keys
	general    string // words of that of one without
}

// dial meets what there is at an address.
func dial(t *testing.T, addr string, config *tls.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var dialer interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	} = new(net.Dialer)
	if config != nil {
		dialer = &tls.Dialer{Config: config}
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = bufio.NewReader(conn).ReadByte()
	return err
}

// hangingUp is the address of a server that says something, and hangs up.
func hangingUp(t *testing.T, says string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, says)
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func TestAdviceOnWhatIsMetOnTheWay(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	ln.Close()
	secure := httptest.NewTLSServer(nil)
	t.Cleanup(secure.Close)
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	_, noSocket := net.Dial("unix", "/nowhere/redis.sock")
	_, noTime := new(net.Dialer).DialContext(late, "tcp", closed)

	for _, m := range []met{
		{dial(t, closed, nil), advice.Refused, "nothing listens at ",
			"start Redis there, have it listen on that address (bind), " +
				"or mend unread_host and unread_port",
			"start the server, or mend its host and port in the configuration"},
		{noSocket, advice.Refused, "nothing listens", "start Redis", "start the server"},
		{dial(t, "no-such-host.invalid:1", nil), advice.UnknownHost, "no-such-host.invalid",
			"name service", "host and port"},
		{noTime, advice.Timeout, "within 1s", "raise unread_call_timeout", "see whether it hangs"},
		{dial(t, secure.Listener.Addr().String(), &tls.Config{}), advice.Certificate,
			"not accepted", "unread_tls_ca", "tls_ca"},
		{dial(t, hangingUp(t, "-ERR what is this?\r\n"), &tls.Config{ServerName: "x"}),
			advice.NoTLS, "TLS", "set unread_tls to off",
			"tls"},
		{dial(t, hangingUp(t, ""), nil), advice.Closed, "EOF",
			"unread_tls says; or mend unread_host", "see whether it runs"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, advice.Closed, "reset", "its log",
			"its log"},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, advice.NoWay, "no route",
			"unread_host", "start the server"},
		{&net.OpError{Op: "dial", Err: syscall.EMFILE}, advice.Descriptors, "too many open files",
			"ulimit", "ulimit"},
	} {
		if got := advice.Of(m.err); got != m.trouble {
			t.Errorf("%v is of kind %d, want %d", m.err, got, m.trouble)
		}
		what, mend := redis("127.0.0.1:6379").Network(m.err)
		if !strings.Contains(what, m.what) || !strings.Contains(mend, m.mend) {
			t.Errorf("%v: %q, %q; want %q, %q", m.err, what, mend, m.what, m.mend)
		}
		if mend := advice.Mend(m.err); !strings.Contains(mend, m.general) ||
			strings.Contains(mend, "unread_") {
			t.Errorf("%v: in general %q, want %q", m.err, mend, m.general)
		}
	}
	for _, err := range []error{nil, errors.New("-NOAUTH Authentication required.")} {
		if what, mend := redis("").Network(err); what != "" || mend != "" ||
			advice.Of(err) != advice.Other {
			t.Errorf("%v: %q, %q", err, what, mend)
		}
	}
}
