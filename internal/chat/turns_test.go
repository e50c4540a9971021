package chat_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// One connection asks for much at once, another one then for one thing.
const (
	greedy chat.Asker = 1
	modest chat.Asker = 2
	much              = 2000
)

// TestConnectionsTakeTurns lets what waits go on one by one, and counts how much of the greedy
// connection's comes before the one thing that the other one wants.
func TestConnectionsTakeTurns(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		var works sync.Map // by the sound that is to be saved: what it does
		s := &sounds{save: func(_ context.Context, sound string, _ func() (string, error)) (string, error) {
			work, _ := works.Load(sound)
			work.(func())()
			return "", errors.New("not wanted")
		}}
		w := start(t, e, s.wrap)
		for name, begin := range map[string]func(n uint32, ctx context.Context, work func()){
			"reads":   func(_ uint32, ctx context.Context, work func()) { w.read(ctx, func(error) { work() }) },
			"changes": func(n uint32, ctx context.Context, work func()) { w.changeOf(n)(ctx, func(error) { work() }) },
			"sounds": func(n uint32, ctx context.Context, work func()) {
				m := w.pairVoice(n, 9999, 1, "sound "+string(rune(n)))
				works.Store(string(m.Data[4:]), work)
				w.svc.Send(ctx, m, func(uint32, error) {})
			},
		} {
			t.Run(name, func(t *testing.T) { takeTurns(t, w, begin) })
		}
	})
}

func takeTurns(t *testing.T, w *world, begin func(n uint32, ctx context.Context, work func())) {
	next, mine := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Add(much + 1)
	for n := range uint32(much) {
		begin(1+n, chat.AskedBy(w.ctx, greedy), func() { <-next; all.Done() })
	}
	for range much / 2 { // meanwhile the others come to wait
		next <- struct{}{}
	}
	begin(1+much, chat.AskedBy(w.ctx, modest), func() { close(mine); all.Done() })
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
	onEngines(t, func(t *testing.T, e engine) {
		var l ledger
		w := start(t, e, l.wrap)
		release := l.hold(w)
		const talks = 3000
		before := make(chan error, talks)
		for n := range uint32(talks) {
			w.svc.Send(chat.AskedBy(w.ctx, greedy), w.pairText(1+n, 9999, "x"), func(_ uint32, err error) { before <- err })
		}
		came := make(chan int, 1)
		w.svc.Send(chat.AskedBy(w.ctx, modest), w.pairText(9998, 9999, "x"), func(_ uint32, err error) {
			if err != nil {
				t.Error(err)
			}
			came <- len(before)
		})
		release()
		if n := await(w, came); n > talks/2 {
			t.Errorf("a message was stored after %d that another connection had sent before to other talks", n)
		}
		for range talks {
			w.must(await(w, before))
		}
	})
}
