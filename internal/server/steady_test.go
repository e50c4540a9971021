//go:build !race

package server_test

import (
	"testing"
	"time"
)

// steady are peers that send and take as well as their lines let them.
var steady = map[string]hog{
	"sixty-four send large frames steadily": {64, uploads(900 << 10)},
	"sixty-four take pages steadily": {64, func(c *client) {
		// How a kernel shares its buffers out differs: some tell the sender of room so rarely that
		// it sees nothing move for a second. With room for a page it moves on every one.
		if err := c.SetReadBuffer(1<<20); err != nil {
			c.t.Error(err)
		}
		takes(1, 500<<10)(c)
	}},
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
