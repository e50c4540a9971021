package audit

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

// Bounds of what a proxy may use, whatever happened before.
const (
	mostMemory     = 400 << 20
	mostGoroutines = 300 // once it is quiet
)

// Resources sees that proxies did not use too much memory, and that nothing of what was begun is
// left running.
func Resources(t *testing.T, w *rig.Setup) {
	t.Helper()
	for _, p := range w.Proxies {
		rig.CheckMemory(t, p, mostMemory)
		rig.Await(t, "the end of what was begun", func() bool {
			return rig.Metric(t, p, "go_goroutines") <= mostGoroutines
		})
	}
}
