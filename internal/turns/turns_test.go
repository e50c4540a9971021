package turns_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/turns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is one that a stage serves.
type request struct {
	ctx    context.Context
	once   sync.Once
	answer chan error // capacity 1
}

// dropped is the answer to a request that was dropped.
type dropped struct {
	error
	waited bool
}

func (r *request) Context() context.Context { return r.ctx }

func (r *request) Drop(waited bool, cause error) { r.done(dropped{cause, waited}) }

func (r *request) done(err error) { r.once.Do(func() { r.answer <- err }) }

// ask has a stage serve a request of a connection, with a deadline that end brings.
func ask(s *turns.Stage[*request], a turns.Asker) (r *request, end context.CancelFunc) {
	ctx, end := context.WithCancel(turns.AskedBy(context.Background(), a))
	r = &request{ctx: ctx, answer: make(chan error, 1)}
	s.Serve(r)
	return r, end
}

// held is a stage whose batches wait until they are let go.
type held struct {
	*turns.Stage[*request]
	begun chan []*request // each batch, when it has begun
	let   chan struct{}   // one for each batch that may go on
}

func hold(t *testing.T, slots *turns.Slots, size int) held {
	h := held{begun: make(chan []*request), let: make(chan struct{})}
	h.Stage = turns.NewStage(slots, size, func(_ context.Context, batch []*request) {
		h.begun <- batch
		<-h.let
		for _, r := range batch {
			r.done(nil)
		}
	})
	t.Cleanup(h.Wait)
	return h
}

func wantAnswer(t *testing.T, r *request, want error) {
	t.Helper()
	if got := <-r.answer; got != want {
		t.Errorf("answered %v, want %v", got, want)
	}
}

func TestThoseWhoWaitAreTheNextBatch(t *testing.T) {
	h := hold(t, turns.NewSlots(1), 3)
	var all []*request
	for range 6 {
		r, end := ask(h.Stage, 1)
		defer end()
		if all = append(all, r); len(all) == 1 {
			if first := <-h.begun; len(first) != 1 {
				t.Errorf("a lone request is served among %d", len(first))
			}
		}
	}
	for _, want := range [][]*request{all[1:4], all[4:]} {
		h.let <- struct{}{}
		if got := <-h.begun; !slices.Equal(got, want) {
			t.Errorf("%d are served together, want the next %d", len(got), len(want))
		}
	}
	h.let <- struct{}{}
	for _, r := range all {
		wantAnswer(t, r, nil)
	}
}

func TestASlowBatchHoldsUpNoOther(t *testing.T) {
	h := hold(t, turns.NewSlots(2), 3)
	slow, end := ask(h.Stage, 1)
	defer end()
	<-h.begun
	quick, end := ask(h.Stage, 1)
	defer end()
	<-h.begun // beside the first one
	h.let <- struct{}{}
	h.let <- struct{}{}
	wantAnswer(t, slow, nil)
	wantAnswer(t, quick, nil)
}

func TestStagesShareSlots(t *testing.T) {
	slots := turns.NewSlots(1)
	one, other := hold(t, slots, 1), hold(t, slots, 1)
	first, end := ask(one.Stage, 1)
	defer end()
	<-one.begun
	second, end := ask(other.Stage, 1)
	defer end()
	select {
	case <-other.begun:
		t.Error("two batches are at work in one slot")
	case one.let <- struct{}{}:
	}
	<-other.begun
	other.let <- struct{}{}
	wantAnswer(t, first, nil)
	wantAnswer(t, second, nil)
}

func TestConnectionsTakeTurnsInAStage(t *testing.T) {
	h := hold(t, turns.NewSlots(1), 1)
	const much = 1000
	for range much {
		_, end := ask(h.Stage, 1)
		defer end()
	}
	<-h.begun
	modest, end := ask(h.Stage, 2)
	defer end()
	before := 0
	for served := false; !served; before++ {
		h.let <- struct{}{}
		served = (<-h.begun)[0] == modest
	}
	if before > much/8 {
		t.Errorf("%d of %d that another connection wanted came first", before, much)
	}
	go func() {
		for range h.begun {
		}
	}()
	close(h.let)
	h.Wait()
	close(h.begun)
	wantAnswer(t, modest, nil)
}

func TestRequestsAreDroppedAtTheirDeadlines(t *testing.T) {
	h := hold(t, turns.NewSlots(1), 1)
	working, endWorking := ask(h.Stage, 1)
	<-h.begun
	waiting, endWaiting := ask(h.Stage, 1)
	endWaiting()
	endWorking()
	wantAnswer(t, waiting, dropped{context.Canceled, true})
	wantAnswer(t, working, dropped{context.Canceled, false})
	h.let <- struct{}{}
}

func TestTheContextOfABatchEndsWhenNobodyWaitsForIt(t *testing.T) {
	begun := make(chan struct{})
	s := turns.NewStage(turns.NewSlots(1), 2, func(ctx context.Context, batch []*request) {
		close(begun)
		<-ctx.Done()
	})
	r, end := ask(s, 1)
	<-begun
	end()
	wantAnswer(t, r, dropped{context.Canceled, false})
	s.Wait()
}

func TestWhoGivesUpTakesNoSlot(t *testing.T) {
	slots := turns.NewSlots(1)
	if err := slots.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- slots.Acquire(ctx) }()
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	slots.Release()
	if err := slots.Acquire(t.Context()); err != nil {
		t.Error(err)
	}
}
