//go:build !race

package faults

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
)

// TestRollingRestarts stops two proxies in turn by SIGTERM, and starts them again, while clients send that do as they are
// told (0x0702): what they ask from then on goes to the other proxy, and what is under way is finished where it is. No
// request is refused, and none is left without its answer.
func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	const conns, between = 12, 200
	inFlight := rig.InFull(8, 3)
	restarts := rig.InFull(20, 4)
	w := rig.Engine{Name: "mysql, two proxies", Proxies: 2, Open: rig.OpenMySQL}.At(t)
	w.Start(t)
	r := &rolling{sent: audit.NewLedger(), room: inFlight, halt: make(chan struct{})}
	r.point(w)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(restarts)*rig.Patience)
	defer cancel()
	var load sync.WaitGroup
	for i := range conns {
		load.Go(func() {
			if err := r.follow(ctx, i); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	var stopping time.Duration
	for n := range restarts {
		r.await(ctx, between)
		p, begun := w.Proxy(n), time.Now()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
		stopping = max(stopping, time.Since(begun))
		w.Start(t)
		r.point(w)
	}
	r.await(ctx, between)
	close(r.halt)
	load.Wait()
	rig.Guarantee(t, fmt.Sprintf("two proxies stopped (SIGTERM) and restarted in turn, %d times", restarts),
		fmt.Sprintf("%d requests answered, none refused, none without answer, the slowest after %s", r.answered.Load(),
			rig.Short(time.Duration(r.slowest.Load()))),
		fmt.Sprintf("0 s: the other proxy serves; the one told to stop is gone after %s at most", rig.Short(stopping)))
	if moved := r.moved.Load(); moved < int64(restarts) {
		t.Errorf("clients went to the other proxy %d times in %d restarts", moved, restarts)
	}
	audit.Check(t, w, r.sent)
}

// rolling is load on two proxies that are restarted one after the other.
type rolling struct {
	sent     *audit.Ledger
	room     int // requests under way on a connection
	halt     chan struct{}
	serial   atomic.Int64 // makes each text unique
	answered atomic.Int64
	moved    atomic.Int64
	slowest  atomic.Int64

	mu    sync.Mutex
	addrs []string // of the proxies
}

// point tells clients where the proxies are.
func (r *rolling) point(w *rig.Setup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs = nil
	for _, p := range w.Proxies {
		r.addrs = append(r.addrs, p.Addr)
	}
}

// await waits until so many more requests were answered.
func (r *rolling) await(ctx context.Context, more int64) {
	for enough := r.answered.Load() + more; r.answered.Load() < enough && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
}

// follow sends to one proxy until it says that it stops, and then to the other one, without waiting for the answers that
// are still to come from the first. All must come.
func (r *rolling) follow(ctx context.Context, i int) error {
	var settling sync.WaitGroup
	failed := make(chan error, 1)
	defer settling.Wait()
	for at := i; ; at++ {
		r.mu.Lock()
		addr := r.addrs[at%len(r.addrs)]
		r.mu.Unlock()
		c, err := client.Dial(ctx, addr)
		if err != nil {
			return err
		}
		room := make(chan struct{}, r.room)
		told, err := r.send(ctx, c, room, uint32(i), failed)
		settling.Go(func() {
			defer c.Close()
			for range cap(room) { // all of the room is free when everything is answered
				select {
				case room <- struct{}{}:
				case <-ctx.Done():
					r.sent.Fault(fmt.Sprintf("client %d: requests to %s have no answer", i, addr))
					return
				}
			}
		})
		if err != nil || !told {
			return err
		}
		r.moved.Add(1)
	}
}

// send sends messages, and asks, until the server says that it stops (true), or the load is to end (false).
func (r *rolling) send(ctx context.Context, c *client.Client, room chan struct{}, i uint32, failed chan error) (bool, error) {
	k := bench.PairTalk(1000+i%5, 2000+i%3)
	for n := 0; ; n++ {
		select {
		case <-r.halt:
			return false, nil
		case <-c.Stopping():
			return true, nil
		case err := <-failed:
			return false, err
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case room <- struct{}{}:
		}
		var req proto.Message = rig.PairText(k.Low, k.High, fmt.Sprint("request ", r.serial.Add(1)))
		if n%4 == 3 {
			req = rig.Unread(k.High)
		}
		above, begun := r.sent.Highest(k), time.Now()
		err := c.Start(ctx, req, func(m proto.Message, err error) {
			defer func() { <-room }()
			if err != nil {
				select {
				case failed <- err:
				default:
				}
				return
			}
			if answer, is := m.(*impb.IMMsgData); is {
				if answer.GetMsgId() <= above {
					r.sent.Fault(fmt.Sprintf("%v: id %d was given after id %d", k, answer.GetMsgId(), above))
				}
				r.sent.Answered(k, answer)
			}
			r.answered.Add(1)
			for took, most := int64(time.Since(begun)), r.slowest.Load(); took > most; most = r.slowest.Load() {
				if r.slowest.CompareAndSwap(most, took) {
					break
				}
			}
		})
		if err != nil {
			return false, err
		}
	}
}
