//go:build !race

package counters_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// The race detector makes this slow, and takes memory of its own.
func TestAMillionNamesAreRememberedInLittleMemory(tt *testing.T) {
	t := begin(tt)
	for range chat.LockoutFailures {
		t.fail("locked")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const flood = 1_050_000
	for i := range flood {
		t.fail(fmt.Sprint(i, " with a name of some length"))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.want("locked", chat.LockoutFailures)
	t.want(fmt.Sprint(flood-1, " with a name of some length"), 1)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("a million names take %d MiB", grown>>20)
	if grown > 256<<20 {
		t.Errorf("%d names take %d MiB", flood, grown>>20)
	}
	runtime.KeepAlive(&t.f)
}
