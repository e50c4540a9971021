package sqldb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// gate is a source of which queries wait until they are let through. What it finds of a key is how
// many queries had begun when it was asked.
type gate struct {
	begun atomic.Int32
	keys  chan []int // of each query that begins
	let   chan error // what each query ends with
}

func (g *gate) find(ctx context.Context, keys []int) (map[int]int32, error) {
	n := g.begun.Add(1)
	g.keys <- slices.Clone(keys)
	select {
	case err := <-g.let:
		found := make(map[int]int32)
		for _, k := range keys {
			found[k] = n
		}
		return found, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer is what a request got.
type answer struct {
	found map[int]int32
	err   error
}

func newGate(most int) (*gate, *Shared[int, int32]) {
	g := &gate{keys: make(chan []int, 100), let: make(chan error, 100)}
	return g, &Shared[int, int32]{Find: g.find, Most: most}
}

// ask begins a request and returns when it runs or waits.
func asking(t *testing.T, b *Shared[int, int32], ctx context.Context, keys ...int) <-chan answer {
	t.Helper()
	state := func() (running, waiting int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.running, len(b.waiting)
	}
	running, waiting := state()
	c := make(chan answer, 1)
	go func() {
		found, err := b.Get(ctx, keys)
		c <- answer{found, err}
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if r, w := state(); r+w > running+waiting {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal("a request neither runs nor waits")
		}
	}
}

func wantKeys(t *testing.T, g *gate, want ...int) {
	t.Helper()
	if got := <-g.keys; !slices.Equal(got, want) {
		t.Errorf("a query for %v, want %v", got, want)
	}
}

func TestRequestsThatWaitShareTheNextQuery(t *testing.T) {
	g, b := newGate(1)
	first := asking(t, b, t.Context(), 1)
	wantKeys(t, g, 1)
	second, third := asking(t, b, t.Context(), 1, 2), asking(t, b, t.Context(), 3)
	g.let <- nil
	if a := <-first; a.err != nil || !maps.Equal(a.found, map[int]int32{1: 1}) {
		t.Errorf("the first request: %+v", a)
	}
	wantKeys(t, g, 1, 2, 3)
	g.let <- nil
	for _, c := range []<-chan answer{second, third} {
		// A query that began before they asked must not be their answer, though it was for the same
		// key.
		if a := <-c; a.err != nil || !maps.Equal(a.found, map[int]int32{1: 2, 2: 2, 3: 2}) {
			t.Errorf("a request that waited: %+v", a)
		}
	}
	b.Wait()
	if b.running != 0 || b.waiting != nil {
		t.Errorf("%d run, %d wait", b.running, len(b.waiting))
	}
}

func TestARequestThatEndsDisturbsNobody(t *testing.T) {
	g, b := newGate(1)
	ctx, cancel := context.WithCancel(t.Context())
	first := asking(t, b, t.Context(), 1)
	wantKeys(t, g, 1)
	leader, gone, other := asking(t, b, ctx, 2), asking(t, b, ctx, 3), asking(t, b, t.Context(), 4)
	cancel()
	for _, c := range []<-chan answer{leader, gone} {
		if a := <-c; chat.KindOf(a.err) != chat.Unavailable || !errors.Is(a.err, context.Canceled) {
			t.Errorf("a request that ended: %+v", a)
		}
	}
	g.let <- nil
	<-first
	wantKeys(t, g, 4)
	g.let <- errors.New("a fault of the test's")
	if a := <-other; a.err == nil {
		t.Error("a fault was not told")
	}
	ctx, cancel = context.WithCancel(t.Context())
	last := asking(t, b, ctx, 5) // its own query ends with it
	wantKeys(t, g, 5)
	cancel()
	if a := <-last; !errors.Is(a.err, context.Canceled) {
		t.Errorf("a request that ended: %+v", a)
	}
	b.Wait()
}

func TestSharedQueriesAreBounded(t *testing.T) {
	g, b := newGate(1)
	first := asking(t, b, t.Context(), 0)
	wantKeys(t, g, 0)
	var waiting []<-chan answer
	for i := range sharedKeys/FewKeys + 1 {
		keys := make([]int, FewKeys)
		for k := range keys {
			keys[k] = i*FewKeys + k
		}
		waiting = append(waiting, asking(t, b, t.Context(), keys...))
	}
	g.let <- nil
	<-first
	if n := len(<-g.keys); n != sharedKeys {
		t.Errorf("the next query has %d keys, want %d", n, sharedKeys)
	}
	g.let <- nil
	if n := len(<-g.keys); n != FewKeys {
		t.Errorf("the last query has %d keys, want %d", n, FewKeys)
	}
	g.let <- nil
	for _, c := range waiting {
		if a := <-c; a.err != nil {
			t.Error(a.err)
		}
	}
	b.Wait()
}

// TestManyRequestsGetWhatIsTheirs has many ask for changing values: nobody may get one from before
// it asked.
func TestManyRequestsGetWhatIsTheirs(t *testing.T) {
	var now atomic.Int64
	b := &Shared[int, int64]{Most: 2, Find: func(_ context.Context, keys []int) (map[int]int64,
		error) {
		at := now.Load()
		found := make(map[int]int64)
		for _, k := range keys {
			found[k] = at
		}
		return found, nil
	}}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 2000 {
				asked := now.Add(1)
				found, err := b.Get(t.Context(), []int{i})
				if at, ok := found[i]; err != nil || !ok || at < asked {
					t.Error(fmt.Errorf("asked at %d, got %d (%t), %w", asked, at, ok, err))
					return
				}
			}
		})
	}
	all.Wait()
	b.Wait()
}
