package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// fetch is the script command "fetch STATUS PATH": it prints what the admin address of the script's
// proxy answers there.
func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetch STATUS PATH")
	}
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + ts.Getenv("ADMIN") + args[1])
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("%s is answered with status %s, want %s", args[1], got, args[0])
	}
}

var (
	typeLine = regexp.MustCompile(`^# TYPE (\S+) (\S+)$`)
	label    = regexp.MustCompile(`(\w+)="`)
)

// metrics is the script command "metrics": of each metric at the admin address of the script's
// proxy it prints the name, the type and the labels, without those of the Go runtime and the
// process.
func metrics(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: metrics")
	}
	resp, err := http.Get("http://" + ts.Getenv("ADMIN") + "/metrics")
	ts.Check(err)
	defer resp.Body.Close()
	var names []string // each with its type and labels
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if m := typeLine.FindStringSubmatch(lines.Text()); m != nil {
			names = append(names, m[1]+" "+m[2])
			continue
		}
		for _, m := range label.FindAllStringSubmatch(lines.Text(), -1) {
			if last := &names[len(names)-1]; m[1] != "le" &&
				!slices.Contains(strings.Fields(*last), m[1]) {
				*last += " " + m[1]
			}
		}
	}
	for _, name := range names {
		if strings.HasPrefix(name, "dbproxy_") || strings.HasPrefix(name, "go_sql_") {
			fmt.Fprintln(ts.Stdout(), name)
		}
	}
}

// stopping is a log that tells where the admin address is, and holds the server's stop up at its
// first word.
type stopping struct {
	slog.Handler
	admin       chan string
	begun, goOn chan struct{}
}

func (s *stopping) Enabled(context.Context, slog.Level) bool { return true }
func (s *stopping) WithAttrs([]slog.Attr) slog.Handler       { return s }

func (s *stopping) Handle(_ context.Context, r slog.Record) error {
	switch {
	case r.Message == "listening":
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "admin" {
				s.admin <- a.Value.String()
			}
			return true
		})
	case strings.HasPrefix(r.Message, "stopping"):
		close(s.begun)
		<-s.goOn
	}
	return nil
}

// TestADrainingProxyIsNotReady asks a proxy that was told to stop.
func TestADrainingProxyIsNotReady(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log := &stopping{slog.DiscardHandler, make(chan string, 1), make(chan struct{}),
		make(chan struct{})}
	s := serving{data: t.TempDir(), listen: []string{"127.0.0.1:0"},
		admin: "127.0.0.1:0", out: io.Discard}
	if err := s.logTo("info"); err != nil {
		t.Fatal(err)
	}
	s.log = slog.New(log)
	ran := make(chan error, 1)
	go func() { ran <- s.run(ctx) }()
	var admin string
	select {
	case admin = <-log.admin:
	case err := <-ran:
		t.Fatal("it did not start: ", err)
	}
	ready := func() (status int, states map[string]string) {
		t.Helper()
		client := http.Client{Timeout: time.Minute}
		defer client.CloseIdleConnections()
		resp, err := client.Get("http://" + admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var v struct {
			Checks []struct{ Name, State string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
			t.Error(err)
		}
		states = make(map[string]string)
		for _, c := range v.Checks {
			states[c.Name] = c.State
		}
		return resp.StatusCode, states
	}
	if status, states := ready(); status != http.StatusOK {
		t.Errorf("before: %d %v", status, states)
	}
	cancel()
	<-log.begun
	status, states := ready()
	if status != http.StatusServiceUnavailable || states["draining"] != "wrong" ||
		states["listening"] != "wrong" || states["store"] != "good" {
		t.Errorf("while it stops: %d %v", status, states)
	}
	close(log.goOn)
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + admin + "/livez"); err == nil {
		t.Error("the admin address outlives the proxy")
	}
}
