//go:build !race

package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestRollingRestarts stops two proxies in turn by SIGTERM, and starts them again, while clients
// send that do as they are told (0x0702): what they ask from then on goes to the other proxy, and
// what was asked before is finished where it is. No request is refused, and none is left without
// its answer.
func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	for how, open := range map[string]func(*testing.T) *rig.Setup{
		withRedis: rig.OpenMySQL, withoutRedis: rig.OpenWithoutRedis,
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			restartInTurn(t, rig.Engine{Proxies: 2, Open: open}.At(t), how)
		})
	}
}

func restartInTurn(t *testing.T, w *rig.Setup, how string) {
	t.Helper()
	const connections, between = 12, 200
	restarts := rig.InFull(20, 4)
	w.Start(t)
	profile := load.Crash()
	profile.Pairs, profile.Groups = connections-4, 0
	profile.PairReaders, profile.GroupReaders = 4, 0
	profile.Volley, profile.Roam = rig.InFull(8, 3), true
	l := load.New(w, profile)
	l.Stay, l.Limit = 0, time.Duration(restarts)*rig.Patience
	var stopping time.Duration
	l.Run(t, func(ctx context.Context) {
		for n := range restarts {
			l.Await(ctx, between)
			begun := time.Now()
			if err := w.Proxy(n).Stop(ctx); err != nil {
				t.Error(err)
			}
			stopping = max(stopping, time.Since(begun))
			w.Start(t)
			l.Find()
		}
		l.Await(ctx, between)
	})
	n := l.Tally(func(*lines.Request) bool { return true })
	if n.Failed() > l.Tolerated() {
		t.Errorf("of all requests became %+v", n)
	}
	rig.Guarantee(t,
		fmt.Sprintf("two proxies stopped (SIGTERM) and restarted in turn, %d times, %s", restarts,
			how),
		fmt.Sprintf("%d requests answered, none refused, none without answer, the slowest after %s",
			n.Done, rig.Short(n.Slowest)),
		fmt.Sprintf("0 s: the other proxy serves; the one told to stop is gone after %s at most",
			rig.Short(stopping)))
	if moved := l.Lines() - connections; moved < restarts {
		t.Errorf("clients went to the other proxy %d times in %d restarts", moved, restarts)
	}
	l.Audit(t, false)
}
