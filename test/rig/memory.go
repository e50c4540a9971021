package rig

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// peakMemory is the most memory the process has had, in bytes (VmHWM).
func peakMemory(t *testing.T, p *harness.Proxy) int64 {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(s.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// CheckMemory sees that the process never had more than limit bytes; the race detector takes
// several times as much.
func CheckMemory(t *testing.T, p *harness.Proxy, limit int64) {
	t.Helper()
	if UnderRace {
		limit *= 5
	}
	peak := peakMemory(t, p)
	t.Logf("at most %d MiB of memory", peak>>20)
	if peak > limit {
		t.Errorf("more than %d MiB", limit>>20)
	}
}
