package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// ReadAdmin reads a page of an admin address, whatever its status is.
func ReadAdmin(ctx context.Context, admin, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// FindMetric finds the value of a metric, named with its labels, in the text of /metrics.
func FindMetric(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// AdminAddr is where a proxy that was started with an admin address has it.
func AdminAddr(t *testing.T, p *harness.Proxy) string {
	t.Helper()
	listening, err := p.Log.Await(Within(t), func(l harness.Line) bool {
		return l.Message == "listening"
	})
	if err != nil {
		t.Fatal(err)
	}
	return listening.Text("admin")
}

// AdminPageOf is ReadAdmin for a page that must come.
func AdminPageOf(t *testing.T, admin, path string) string {
	t.Helper()
	text, err := ReadAdmin(Within(t), admin, path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// AdminPage reads a page of a proxy's admin address.
func AdminPage(t *testing.T, p *harness.Proxy, path string) string {
	t.Helper()
	return AdminPageOf(t, AdminAddr(t, p), path)
}

// MetricOf asks an admin address for a metric, which must be there.
func MetricOf(t *testing.T, admin, name string) float64 {
	t.Helper()
	value, err := FindMetric(AdminPageOf(t, admin, "/metrics"), name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Metric asks a proxy for a metric that is a whole number.
func Metric(t *testing.T, p *harness.Proxy, name string) int {
	t.Helper()
	return int(MetricOf(t, AdminAddr(t, p), name))
}
