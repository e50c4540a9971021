package crash

import (
	"context"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestDrain stops all proxies by SIGTERM while many connections send. Each is told (0x0702) and
// stops sending; everything it sent before is answered and stored; and the proxies exit with code 0
// although nobody closes a connection.
func TestDrain(t *testing.T) { rig.OnEngines(t, drain) }

func drain(t *testing.T, w *rig.Setup) {
	w.Start(t)
	profile := load.Crash()
	profile.Pairs, profile.Groups, profile.PairReaders, profile.GroupReaders = 16, 0, 0, 0
	profile.Volley = 16
	l := load.New(w, profile)
	idle := w.Dial(t, 0)
	l.Run(t, func(ctx context.Context) {
		l.Await(ctx, 500)
		for _, p := range w.Proxies {
			if err := p.Terminate(); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range w.Proxies {
			if err := p.Wait(ctx); err != nil {
				t.Error(err)
			}
			if _, err := client.Dial(ctx, p.Addr); err == nil {
				t.Error("somebody still listens")
			}
		}
	})
	select {
	case <-idle.Stopping():
	case <-rig.Within(t).Done():
		t.Error("the idle connection was not told")
	}
	t.Logf("%d messages were answered", l.Sent.Acknowledged())
	audit.Check(t, w, l.Sent)
}
