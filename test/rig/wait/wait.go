// Package wait has tests wait for what must come.
package wait

import (
	"testing"
	"time"
)

// Patience is how long a test waits, on a machine that has much else to do. No test passes by
// waiting this long.
const Patience = time.Minute

// Until waits for what must come to be so.
func Until(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for %s", Patience, what)
		}
	}
}
