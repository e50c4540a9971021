package rig

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// FullFaults says that the long form of the fault tests was asked for: see "make faults".
func FullFaults() bool { return os.Getenv("FAULTS") == "full" }

// InFull is the value for the long form of the fault tests, or the one for the short form.
func InFull[T any](long, short T) T {
	if FullFaults() {
		return long
	}
	return short
}

// Guarantee reports what a fault did to requests, in the form of docs/guarantees.md.
func Guarantee(t *testing.T, fault, meanwhile, back string) {
	t.Helper()
	t.Logf("guarantee: %s | meanwhile %s | back after %s", fault, meanwhile, back)
}

// Short is a time for a report, with two digits after the point.
func Short(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// Seconds is how long something lasts in either form.
func Seconds(short, long int) time.Duration {
	return time.Duration(InFull(long, short)) * time.Second
}

// Pause waits as long as a fault is to last.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
