//go:build !linux

package bench

import "time"

// pause sleeps for a while.
func pause(d time.Duration) { time.Sleep(d) }
