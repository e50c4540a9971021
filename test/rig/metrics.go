package rig

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// AdminPageOf is what the admin address shows there.
func AdminPageOf(t *testing.T, admin, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(Within(t), http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// MetricOf is the value of a metric without labels.
func MetricOf(t *testing.T, admin, name string) (value float64) {
	t.Helper()
	for line := range strings.Lines(AdminPageOf(t, admin, "/metrics")) {
		if n, _ := fmt.Sscanf(line, name+" %g", &value); n == 1 {
			return value
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// Goroutines asks a proxy how many it has.
func Goroutines(t *testing.T, p *harness.Proxy) int {
	t.Helper()
	return Metric(t, p, "go_goroutines")
}

// Metric asks a proxy, which is observed, for a number.
func Metric(t *testing.T, p *harness.Proxy, name string) int {
	t.Helper()
	listening, err := p.Log.Await(Within(t), func(l harness.Line) bool { return l.Message == "listening" })
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(Within(t), http.MethodGet, "http://"+listening.Text("admin")+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if value, found := strings.CutPrefix(s.Text(), name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatal("no " + name)
	return 0
}

// AdminPage reads a page of the admin address.
func AdminPage(t *testing.T, p *harness.Proxy, path string) string {
	t.Helper()
	listening, err := p.Log.Await(Within(t), func(l harness.Line) bool {
		return l.Message == "listening"
	})
	if err != nil {
		t.Fatal(err)
	}
	return AdminPageOf(t, listening.Text("admin"), path)
}
