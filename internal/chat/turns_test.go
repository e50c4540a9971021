package chat_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/turns"
)

// One connection asks for much at once, another one then for one thing.
const (
	greedy turns.Asker = 1
	modest turns.Asker = 2
	much               = 2000
)

// TestConnectionsTakeTurns lets what waits go on one by one, and counts how much of the greedy
// connection's comes before the one thing that the other one wants.
func TestConnectionsTakeTurns(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		var works sync.Map // by the sound that is to be saved: what it does
		var s sounds
		s.save = func(_ context.Context, sound string, _ func() (string, error)) (string, error) {
			work, _ := works.Load(sound)
			work.(func())()
			return "", errors.New("not wanted")
		}
		w := start(t, e, s.wrap)
		for name, begin := range map[string]beginning{
			"reads": func(ctx context.Context, _ uint32, work func()) {
				w.read(ctx, func(error) { work() })
			},
			"changes": func(ctx context.Context, n uint32, work func()) {
				w.changeOf(n)(ctx, func(error) { work() })
			},
			"sounds": func(ctx context.Context, n uint32, work func()) {
				m := w.pairVoice(n, 9999, 1, "sound "+string(rune(n)))
				works.Store(string(m.Data[4:]), work)
				w.svc.Send(ctx, m, func(uint32, error) {})
			},
		} {
			t.Run(name, func(t *testing.T) { takeTurns(t, w, begin) })
		}
	})
}

// beginning begins the n-th thing, which does its work when its turn has come.
type beginning func(ctx context.Context, n uint32, work func())

func takeTurns(t *testing.T, w *world, begin beginning) {
	t.Helper()
	next, mine := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Add(much + 1)
	for n := range uint32(much) {
		begin(turns.AskedBy(w.ctx, greedy), 1+n, func() { <-next; all.Done() })
	}
	for range much / 2 { // meanwhile the others come to wait
		next <- struct{}{}
	}
	begin(turns.AskedBy(w.ctx, modest), 1+much, func() { close(mine); all.Done() })
	before := 0
	for waits := true; waits; {
		select {
		case next <- struct{}{}:
			before++
		case <-mine:
			waits = false
		}
	}
	close(next)
	all.Wait()
	if before > much/8 {
		t.Errorf("%d of %d that another connection wanted came first", before, much)
	}
}

// TestMessagesTakeTurnsByConnection has one connection send to many talks before another one sends.
func TestMessagesTakeTurnsByConnection(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		release := l.hold(w)
		const talks = 3000
		before := make(chan error, talks)
		for n := range uint32(talks) {
			ctx := turns.AskedBy(w.ctx, greedy)
			w.svc.Send(ctx, w.pairText(1+n, 9999, "x"), func(_ uint32, err error) { before <- err })
		}
		came := make(chan int, 1)
		w.svc.Send(turns.AskedBy(w.ctx, modest), w.pairText(9998, 9999, "x"),
			func(_ uint32, err error) {
				if err != nil {
					w.Error(err)
				}
				came <- len(before)
			})
		release()
		if n := await(w, came); n > talks/2 {
			w.Errorf("a message was stored after %d that another connection had sent", n)
		}
		for range talks {
			w.must(await(w, before))
		}
	})
}
