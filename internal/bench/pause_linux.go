package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// pause sleeps for a while. The sleep of package time lasts up to a millisecond longer when a
// process has nothing else to do.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(d.Nanoseconds())
	for unix.Nanosleep(&t, &t) == unix.EINTR {
	}
}
