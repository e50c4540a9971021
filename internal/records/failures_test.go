package records_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// failures are failed logins by name.
type failures = map[string][]int64

// wantFailures checks which failed logins of a name are stored.
func wantFailures(t testing.TB, s *records.Store, name string, want ...int64) {
	t.Helper()
	found, err := s.FailedAt(t.Context(), []string{name, "nobody"})
	if err != nil || !slices.Equal(found[name], want) || len(found["nobody"]) > 0 {
		t.Errorf("of %s are stored %v, %v; want %v", name, found, err, want)
	}
}

func TestFailedLoginsAreAddedToWhatIsStored(t *testing.T) {
	t.Parallel()
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		keep := func(names, want failures) {
			t.Helper()
			if got, err := s.KeepFailures(t.Context(), names); err != nil ||
				fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("stored is %v, %v; want %v", got, err, want)
			}
		}
		keep(failures{"ann": {30, 10}}, failures{"ann": {10, 30}})
		for range 2 { // what is there already changes nothing
			keep(failures{"ann": {20, 30}, "bob": {5}}, failures{"ann": {10, 20, 30}, "bob": {5}})
		}
		wantFailures(t, s, "ann", 10, 20, 30)
		keep(failures{"ann": {11, 12, 13, 14, 15, 16, 17, 18, 19}}, // the last eleven stay
			failures{"ann": {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 30}})
		if err := s.ClearFailures(t.Context(), []string{"ann", "nobody"}); err != nil {
			t.Error(err)
		}
		wantFailures(t, s, "ann")
		wantFailures(t, s, "bob", 5)
	})
}

func TestFailedLoginsOfSeveralProcessesAreAllStored(t *testing.T) {
	t.Parallel()
	rule(t, func(t *testing.T, p fixture) {
		failTogether(t.Context(), t, p.store(), p.store(), p.store())
	})
}

// TestFailedLoginsAtSeveralNodesAreAllStored: a node knows nothing of the locks at another one.
func TestFailedLoginsAtSeveralNodesAreAllStored(t *testing.T) {
	t.Parallel()
	p := newNodes(t, servers.SharedGalera(t))
	failTogether(p.ctx, t, p.stores[:]...)
}

// failTogether has stores add failed logins of the same names at the same time.
func failTogether(ctx context.Context, t *testing.T, stores ...*records.Store) {
	t.Helper()
	for round := range 20 {
		names := []string{fmt.Sprint("ann ", round), fmt.Sprint("bob ", round)}
		var want []int64
		var each sync.WaitGroup
		for i, s := range stores {
			for k := range 3 {
				at := int64(1000*round + 10*i + k)
				want = append(want, at)
				each.Go(func() {
					add := make(failures)
					for _, name := range names {
						add[name] = []int64{at}
					}
					if _, err := s.KeepFailures(ctx, add); err != nil {
						t.Error(err)
					}
				})
			}
		}
		each.Wait()
		last := stores[len(stores)-1]
		if last.DB().ManyWriters() {
			_ = last.DB().CatchUp(ctx) // which only a cluster can
		}
		for _, name := range names {
			wantFailures(t, last, name, want...)
		}
	}
}

func TestOldFailedLoginsArePruned(t *testing.T) {
	t.Parallel()
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		at := time.Unix(1_700_000_000, 0)
		many, late := make(failures), at.Add(time.Second).UnixNano()
		for i := range 1500 {
			many[fmt.Sprint("old ", i)] = []int64{at.Add(-time.Hour).UnixNano()}
		}
		many["new"] = []int64{at.Add(-time.Hour).UnixNano(), late}
		if _, err := s.KeepFailures(t.Context(), many); err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false, false} {
			if more, err := s.PruneFailures(t.Context(), at); err != nil || more != want {
				t.Errorf("there may be more: %v, %v; want %v", more, err, want)
			}
		}
		wantFailures(t, s, "new", at.Add(-time.Hour).UnixNano(), late)
		wantFailures(t, s, "old 7")
	})
}
