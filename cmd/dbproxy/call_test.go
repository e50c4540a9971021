package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// Every example is taken by a proxy that has the people it speaks of, and is not refused.
func TestCallExamples(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	addr := serveHere(t, data)
	for _, name := range []string{"ann", "bob", "cy"} {
		execute(t, "secret\n", "user", "add", name, "--data", data)
	}
	send := func(name string) {
		t.Helper()
		example := execute(t, "", "call", "--example", name)
		answer := execute(t, example, "call", name, "-", "--addr", addr)
		if e, err := catalog.Lookup(name); err != nil || (e.Answer != nil) != json.Valid([]byte(answer)) {
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

// serveHere serves in this process until the test ends, and returns the address.
func serveHere(t *testing.T, data string) (addr string) {
	t.Helper()
	lines, log := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := serving{data: data, listen: []string{"127.0.0.1:0"}, log: slog.New(slog.NewJSONHandler(log, nil))}.run(ctx)
		log.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for in := json.NewDecoder(lines); addr == ""; {
		var line struct{ Msg, Addr string }
		if err := in.Decode(&line); err != nil {
			t.Fatalf("the proxy did not start: %v", err)
		}
		if line.Msg == "listening" {
			addr = line.Addr
		}
	}
	go io.Copy(io.Discard, lines)
	return addr
}

// What listens may be no proxy, or one in trouble: the command says so, in time.
func TestCallOfOtherServers(t *testing.T) {
	users, read := []string{"IMAllUserReq"}, []string{"IMMsgDataReadAck", `{"user_id": 1, "session_id": 2}`}
	for name, c := range map[string]struct {
		says        string // what the server says before it closes; with "wait" it never closes
		args        []string
		code        int
		err, stderr string
	}{
		"web server":  {"HTTP/1.1 400 Bad Request\r\n\r\n", users, 1, "does not speak this protocol (frame length 1213486160 ", ""},
		"web, ack":    {"HTTP/1.1 400 Bad Request\r\n\r\n", read, 1, "does not speak this protocol", ""},
		"closes":      {"", users, 1, "closed by the server", ""},
		"stops":       {"\x00\x00\x00\x12\x00\x01\x00\x00\x00\x07\x07\x02\x00\x00\x00\x00\x08\x00", users, 1, "is stopping", ""},
		"other frame": {"\x00\x00\x00\x10\x00\x01\x00\x00\x00\x02\x02\x05\x00\x01\x00\x00", users, 1, "with command 0x0205 instead of 0x0209", ""},
		"no answer":   {"\x00\x00\x00\x12\x00\x01\x00\x00\x00\x02\x02\x09\x00\x01\x00\x00\x08\xff", users, 1, "is no IMAllUserRsp", ""},
		"silent":      {"wait", users, 3, "no answer to IMAllUserReq from ", ""},
		"read ack":    {"wait", read, 0, "", "did not say within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"call", "--addr", answerWith(t, c.says), "--raw"}, c.args...)
			if c.says == "wait" {
				args = append(args, "--timeout", "1s")
			}
			out, notes, err := try(t, "", args...)
			if out != "" || !strings.Contains(notes, "sent: "+c.args[0]) || !strings.Contains(notes, c.stderr) {
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

// answerWith takes one connection, reads a frame, says that, and closes; with "wait" it says nothing and does not close.
// It returns its address.
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
