package counters_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
)

// tries are the failures of names at a time that the test sets.
type tries struct {
	*testing.T
	f   counters.Failures
	now time.Time
}

func begin(t *testing.T) *tries { return &tries{T: t, now: time.Unix(1_700_000_000, 0)} }

func (t *tries) fail(name string) {
	t.Helper()
	if _, err := t.f.Add(context.Background(), []string{name}, t.now); err != nil {
		t.Fatal(err)
	}
}

func (t *tries) want(name string, want int) {
	t.Helper()
	if n, err := t.count(name); n != want || err != nil {
		t.Errorf("%.20q has %d failures, %v; want %d", name, n, err, want)
	}
}

func (t *tries) count(name string) (int, error) {
	counts, err := t.f.Count(context.Background(), []string{name}, t.now)
	if err != nil {
		return 0, err
	}
	return counts[0], nil
}

func TestFailuresAreCountedByName(tt *testing.T) {
	t := begin(tt)
	t.want("alice", 0)
	t.fail("alice")
	t.fail("alice")
	t.fail("Alice")
	t.fail("")
	t.want("alice", 2)
	t.want("Alice", 1)
	t.want("alice ", 0)
	t.want("", 1)
}

func TestFailuresOfSeveralNamesAreCountedAtOnce(tt *testing.T) {
	t := begin(tt)
	want := func(got []int, err error, want ...int) {
		t.Helper()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("failures %v, %v; want %v", got, err, want)
		}
	}
	t.fail("bob")
	counts, err := t.f.Add(tt.Context(), []string{"alice", "bob", ""}, t.now)
	want(counts, err, 1, 2, 1)
	counts, err = t.f.Count(tt.Context(), []string{"bob", "cy", "alice"}, t.now)
	want(counts, err, 2, 0, 1)
	if err := t.f.Clear(tt.Context(), []string{"bob", "cy"}); err != nil {
		t.Fatal(err)
	}
	counts, err = t.f.Count(tt.Context(), []string{"alice", "bob"}, t.now)
	want(counts, err, 1, 0)
}

func TestFailuresCountForTheWindowOnly(tt *testing.T) {
	t := begin(tt)
	t.fail("alice")
	t.now = t.now.Add(chat.LockoutWindow)
	t.fail("alice")
	t.want("alice", 2)
	t.now = t.now.Add(time.Second)
	t.want("alice", 1)
	t.now = t.now.Add(chat.LockoutWindow)
	t.want("alice", 0)
}

func TestClearForgetsOneName(tt *testing.T) {
	t := begin(tt)
	t.fail("alice")
	t.fail("bob")
	for range 2 {
		if err := t.f.Clear(tt.Context(), []string{"alice"}); err != nil {
			t.Fatal(err)
		}
	}
	t.want("alice", 0)
	t.want("bob", 1)
}

func TestNoMoreFailuresAreKeptThanMakeADifference(tt *testing.T) {
	t := begin(tt)
	for range 100 {
		t.fail("alice")
		t.now = t.now.Add(time.Second)
	}
	if n, err := t.count("alice"); n < chat.LockoutFailures || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	// The latest of them decide when the name is free again.
	t.now = t.now.Add(chat.LockoutWindow - 2*time.Second)
	t.want("alice", 2)
}

func TestAFloodOfNamesForgetsThoseWithTheFewestFailures(tt *testing.T) {
	t := begin(tt)
	const most = 1000
	t.f.LimitNames(most)
	for i := range 30 {
		for range chat.LockoutFailures {
			t.fail(fmt.Sprint("locked ", i))
		}
	}
	t.fail("twice")
	t.fail("twice")
	t.fail("once, before all others")
	const flood = 20 * most
	for i := range flood {
		t.fail(fmt.Sprint("made up ", i))
		if i%500 == 0 {
			t.now = t.now.Add(time.Second)
		}
	}
	for i := range 30 {
		t.want(fmt.Sprint("locked ", i), chat.LockoutFailures)
	}
	t.want("twice", 2)
	t.want("once, before all others", 0)
	t.want(fmt.Sprint("made up ", flood-1), 1)
	left := 0
	for i := range flood {
		n, err := t.count(fmt.Sprint("made up ", i))
		if err != nil {
			t.Fatal(err)
		}
		left += n
	}
	if left > most || left < most/2 {
		t.Errorf("%d of %d made-up names are remembered, where %d may be", left, flood, most)
	}
}

func TestAFloodOfLockedNamesForgetsTheOldest(tt *testing.T) {
	t := begin(tt)
	const most = 100
	t.f.LimitNames(most)
	for i := range 2 * most {
		for range chat.LockoutFailures {
			t.fail(fmt.Sprint("name ", i))
		}
		t.now = t.now.Add(time.Second)
	}
	t.want("name 0", 0)
	t.want(fmt.Sprint("name ", 2*most-1), chat.LockoutFailures)
}

func TestFailuresSideBySideAreAllCounted(tt *testing.T) {
	t := begin(tt)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				t.fail(fmt.Sprint("name ", i%4))
				t.want("somebody else", 0)
			}
		})
	}
	all.Wait()
	for i := range 4 {
		t.want(fmt.Sprint("name ", i), 10)
	}
}

func TestIDsOfTheEmbeddedStoreGoOnFromTheFloors(t *testing.T) {
	got := counters.Embedded{}.Next(t.Context(), []chat.Reserve{
		{Talk: chat.PairTalk(1, 2), Count: 1},
		{Talk: chat.PairTalk(1, 3), Count: 5, Floor: 7},
		{Talk: chat.GroupTalk(1), Count: 1, Floor: chat.MaxMsgID - 1},
	})
	if want := []uint32{1, 8, chat.MaxMsgID}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
