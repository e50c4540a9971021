package chat_test

import (
	"context"
	"slices"
	"sync"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// The real store with a test's hand on it.

// sameErrors makes wantSame compare errors by errors.Is.
var sameErrors = cmp.Options{cmp.AllowUnexported(answer{}), cmpopts.EquateErrors()}

// ledger is the real one; a test may look at what is appended, hold it up and put faults in its
// way.
type ledger struct {
	chat.Ledger

	mu       sync.Mutex
	batches  []chat.Batch
	append   []appendFault // for the next calls, one each
	outcomes []outcomeFault
}

type (
	appendFault  func(real func() (chat.Receipt, error)) (chat.Receipt, error)
	outcomeFault func(real func() (bool, error)) (bool, error)
)

func (l *ledger) wrap(s *chat.Store) { l.Ledger, s.Ledger = s.Ledger, l }

// fail puts faults in the way of the next Appends.
func (l *ledger) fail(faults ...appendFault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append = append(l.append, faults...)
}

// failOutcome puts faults in the way of the next Outcomes.
func (l *ledger) failOutcome(faults ...outcomeFault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes = append(l.outcomes, faults...)
}

func (l *ledger) Append(
	ctx context.Context, b chat.Batch, seq chat.Sequencer,
) (chat.Receipt, error) {
	l.mu.Lock()
	l.batches = append(l.batches, b)
	var fault appendFault
	if len(l.append) > 0 {
		fault, l.append = l.append[0], l.append[1:]
	}
	l.mu.Unlock()
	real := func() (chat.Receipt, error) { return l.Ledger.Append(ctx, b, seq) }
	if fault == nil {
		return real()
	}
	return fault(real)
}

func (l *ledger) Outcome(ctx context.Context, id chat.CommitID) (bool, error) {
	l.mu.Lock()
	var fault outcomeFault
	if len(l.outcomes) > 0 {
		fault, l.outcomes = l.outcomes[0], l.outcomes[1:]
	}
	l.mu.Unlock()
	real := func() (bool, error) { return l.Ledger.Outcome(ctx, id) }
	if fault == nil {
		return real()
	}
	return fault(real)
}

// seen returns the batches so far.
func (l *ledger) seen() []chat.Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.batches)
}

// largest is how many drafts the largest batch had.
func (l *ledger) largest() (n int) {
	for _, b := range l.seen() {
		n = max(n, len(b.Drafts))
	}
	return n
}

// hold lets a message from 901 to 902 into the ledger and holds it up there; nothing else is stored
// until release.
func (l *ledger) hold(w *world) (release func()) {
	w.Helper()
	arrived, let := make(chan struct{}), make(chan struct{})
	open := sync.OnceFunc(func() { close(let) })
	w.Cleanup(open) // also when the test fails
	l.fail(func(real func() (chat.Receipt, error)) (chat.Receipt, error) {
		close(arrived)
		<-let
		return real()
	})
	held := w.submit(w.pairText(901, 902, "held up"))
	await(w, arrived)
	return func() {
		open()
		if a := await(w, held); a.err != nil {
			w.Error(a.err)
		}
	}
}

// together has all that f submits stored in one batch, as far as a batch may be that large.
func (l *ledger) together(w *world, f func()) {
	w.Helper()
	release := l.hold(w)
	f()
	release()
}

// reserves is the real sequencer; it notes what it is asked for.
type reserves struct {
	chat.Sequencer
	mu    sync.Mutex
	asked []chat.Reserve
}

func (r *reserves) wrap(s *chat.Store) { r.Sequencer, s.Sequencer = s.Sequencer, r }

func (r *reserves) Next(ctx context.Context, want []chat.Reserve) []uint32 {
	r.mu.Lock()
	r.asked = append(r.asked, want...)
	r.mu.Unlock()
	return r.Sequencer.Next(ctx, want)
}

func (r *reserves) all() []chat.Reserve {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

// sounds is the real store of sounds; a test may hold up or fail what is saved, and count what is
// loaded.
type sounds struct {
	chat.Voice
	save func(ctx context.Context, sound string, real func() (string, error)) (string, error)
	load func(ctx context.Context, real func() ([]byte, error)) ([]byte, error)

	mu     sync.Mutex
	loaded int
}

func (s *sounds) wrap(st *chat.Store) { s.Voice, st.Voice = st.Voice, s }

func (s *sounds) Save(ctx context.Context, sound []byte) (string, error) {
	real := func() (string, error) { return s.Voice.Save(ctx, sound) }
	if s.save == nil {
		return real()
	}
	return s.save(ctx, string(sound), real)
}

func (s *sounds) Load(ctx context.Context, path string) ([]byte, error) {
	s.mu.Lock()
	s.loaded++
	s.mu.Unlock()
	real := func() ([]byte, error) { return s.Voice.Load(ctx, path) }
	if s.load == nil {
		return real()
	}
	return s.load(ctx, real)
}

func (s *sounds) loads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded
}
