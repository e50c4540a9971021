package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// Every example is taken by a proxy that has the people it speaks of, and is not refused.
func TestCallExamples(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addr, _ := serveHere(t, serving{data: data})
	for _, name := range []string{"ann", "bob", "cy"} {
		execute(t, "secret\n", "user", "add", name, "--data", data)
	}
	send := func(name string) {
		t.Helper()
		example := execute(t, "", "call", "--example", name)
		answer := execute(t, example, "call", name, "-", "--addr", addr)
		e, err := catalog.Lookup(name)
		if err != nil || (e.Answer != nil) != json.Valid([]byte(answer)) {
			t.Errorf("%s, %v: printed %q", name, err, answer)
		}
	}
	send("IMMsgData") // what the others need
	send("IMGroupCreateReq")
	for _, e := range catalog.Entries() {
		send(e.Name())
	}
}

// execute runs a command in this process; it must succeed. It returns what it printed.
func execute(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, notes, err := try(t, stdin, args...)
	if err != nil {
		t.Fatalf("dbproxy %s < %q: %v\n%s%s", strings.Join(args, " "), stdin, err, out, notes)
	}
	return out
}

// try runs a command in this process and returns what it wrote to either output, and its error.
func try(t *testing.T, stdin string, args ...string) (out, notes string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := rootCommand()
	c.SetArgs(args)
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	err = c.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// serveHere serves in this process until stop, or the end of the test.
func serveHere(t *testing.T, s serving) (addr string, stop func()) {
	t.Helper()
	addr, end, err := startHere(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return addr, stop
}

// frame is a frame as a proxy sends it; the service is the first byte of the command.
func frame(command, seq uint16, body string) string {
	f := pdu.Frame{Service: command >> 8, Command: command, Seq: seq, Body: []byte(body)}
	return string(f.Append(nil))
}

// What listens may be no proxy, or one in trouble: the command says so, in time.
func TestCallOfOtherServers(t *testing.T) {
	const web = "HTTP/1.1 400 Bad Request\r\n\r\n"
	users := []string{"IMAllUserReq"}
	read := []string{"IMMsgDataReadAck", `{"user_id": 1, "session_id": 2}`}
	for name, c := range map[string]struct {
		says        string // what the server says before it closes; with "wait" it never closes
		args        []string
		code        int
		err, stderr string
	}{
		"web server":  {web, users, 1, "this protocol (frame length 1213486160 ", ""},
		"web, ack":    {web, read, 1, "does not speak this protocol", ""},
		"closes":      {"", users, 1, "closed by the server", ""},
		"stops":       {frame(0x0702, 0, "\x08\x00"), users, 1, "is stopping", ""},
		"other frame": {frame(0x0205, 1, ""), users, 1, "command 0x0205 instead of 0x0209", ""},
		"no answer":   {frame(0x0209, 1, "\x08\xff"), users, 1, "is no IMAllUserRsp", ""},
		"silent":      {"wait", users, 3, "no answer to IMAllUserReq from ", ""},
		"read ack":    {"wait", read, 0, "", "did not say within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"call", "--addr", answerWith(t, c.says), "--raw"}, c.args...)
			if c.says == "wait" {
				args = append(args, "--timeout", "1s")
			}
			out, notes, err := try(t, "", args...)
			sent := strings.Contains(notes, "sent: "+c.args[0])
			if out != "" || !sent || !strings.Contains(notes, c.stderr) {
				t.Errorf("printed %q and %q", out, notes)
			}
			if c.code == 0 && err == nil {
				return
			}
			if err == nil || exitCode(err) != c.code || !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want code %d and %q", err, c.code, c.err)
			}
		})
	}
}

// answerWith takes one connection, reads a frame, says that, and closes; with "wait" it says
// nothing and does not close. It returns its address.
func answerWith(t *testing.T, says string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	t.Cleanup(func() { close(over); ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err = pdu.NewReader(conn, 1<<20).Next(); err != nil {
			return
		}
		if says == "wait" {
			<-over
			return
		}
		_, _ = io.WriteString(conn, says)
	}()
	return ln.Addr().String()
}
