package faultproxy

import (
	"fmt"
	"testing"
)

// PortOf is the port that a proxy listens on.
func PortOf(t *testing.T, p *Proxy) (port int) {
	t.Helper()
	if _, err := fmt.Sscanf(p.Addr(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}
