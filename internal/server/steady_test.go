//go:build !race

package server_test

import (
	"testing"
	"time"
)

// steady are peers that send and take as well as their lines let them: a page in less than the time
// (slow, in relief.go) that others wait for the memory of one. How much of it the kernel holds
// instead of the server differs between kernels.
var steady = map[string]hog{
	"sixty-four send large frames steadily": {64, uploads(900 << 10)},
	"sixty-four take pages steadily":        {64, takes(1, 3000<<10)},
}

// uploads sends frames of 16 MB at a rate, in bytes a second.
func uploads(rate int) func(*client) {
	return func(c *client) {
		b := request(1, 16*megabyte).Append(nil)
		piece := rate / 20
		for tick := time.Tick(50 * time.Millisecond); len(b) > piece; b = b[piece:] {
			<-tick
			if _, err := c.Write(b[:piece]); err != nil {
				return
			}
		}
	}
}

// TestSteadyPeersAreNotClosedForOthers has a peer send and read beside those that need long for
// what they send and take, but get on with it. (Under the race detector two cores are too slow for
// the gigabyte that these send.)
func TestSteadyPeersAreNotClosedForOthers(t *testing.T) {
	for name, h := range steady {
		t.Run(name, func(t *testing.T) { besideHogs(t, h, "127.0.0.1", true) })
	}
}
