package crash

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
)

// TestDrain stops all proxies by SIGTERM while many connections send. Each is told (0x0702) and stops sending; everything
// it sent before is answered and stored; and the proxies exit with code 0 although nobody closes a connection.
func TestDrain(t *testing.T) { rig.OnEngines(t, drain) }

func drain(t *testing.T, w *rig.Setup) {
	const conns, inFlight, before = 16, 16, 500
	w.Start(t)
	sent := audit.NewLedger()
	ctx := rig.Within(t)
	enough := make(chan struct{}, conns*before) // a token per answer
	var running sync.WaitGroup
	for i := range conns {
		c := w.Dial(t, i)
		running.Go(func() {
			if err := sendUntilToldToStop(ctx, c, 1000+uint32(i)%5, inFlight, sent, enough); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	idle := w.Dial(t, 0)
	for range before {
		select {
		case <-enough:
		case <-ctx.Done():
			t.Fatal("the load did not get going")
		}
	}
	for _, p := range w.Proxies {
		if err := p.Terminate(); err != nil {
			t.Fatal(err)
		}
	}
	running.Wait()
	select {
	case <-idle.Stopping():
	case <-ctx.Done():
		t.Error("the idle connection was not told")
	}
	for _, p := range w.Proxies {
		if err := p.Wait(ctx); err != nil {
			t.Error(err)
		}
		if _, err := client.Dial(ctx, p.Addr); err == nil {
			t.Error("somebody still listens")
		}
	}
	t.Logf("%d messages were answered", sent.Acknowledged())
	audit.Check(t, w, sent)
}

// sendUntilToldToStop keeps messages to user to in flight until the server says that it takes no more, and waits for
// the answers to all of them.
func sendUntilToldToStop(ctx context.Context, c *client.Client, to uint32, inFlight int, sent *audit.Ledger, answered chan<- struct{}) error {
	room := make(chan struct{}, inFlight)
	failed := make(chan error, inFlight)
	for i := 0; ; i++ {
		select {
		case <-c.Stopping():
			for range inFlight { // all of the room is free when everything is answered
				select {
				case room <- struct{}{}:
				case <-ctx.Done():
					return fmt.Errorf("waiting for the last answers: %w", context.Cause(ctx))
				}
			}
			select {
			case err := <-failed:
				return err
			default:
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case room <- struct{}{}:
		}
		req := rig.PairText(1, to, fmt.Sprintf("%p %d", c, i))
		err := c.Start(ctx, req, func(m proto.Message, err error) {
			defer func() { <-room }()
			if err != nil {
				select {
				case failed <- err:
				default:
				}
				return
			}
			sent.Answered(bench.PairTalk(1, to), m.(*impb.IMMsgData))
			select {
			case answered <- struct{}{}:
			default:
			}
		})
		if err != nil {
			return err
		}
	}
}
