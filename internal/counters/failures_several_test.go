package counters_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// proxy is a process that counts in a table in which others count, too.
type proxy struct {
	*tries
	table *table
}

// several tests processes that count in one table, on every engine. start starts one more of them;
// each has a store of its own.
func several(t *testing.T, test func(t *testing.T, start func() proxy)) {
	for _, engine := range testdb.Engines {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			test(t, func() proxy {
				store, _ := engine.Open(t, dir, records.Options{})
				at := tableOf(store)
				p := proxy{at.on(t), at}
				p.f.Shared = true
				return p
			})
		})
	}
}

// wantAll wants a name to have failed so often, whomever one asks.
func wantAll(t *testing.T, name string, want int, proxies ...proxy) {
	t.Helper()
	for _, p := range proxies {
		p.want(name, want)
	}
}

// clear clears a name, as a good login does.
func (t *tries) clear(name string) {
	t.Helper()
	must(t.T, t.f.Clear(t.Context(), []string{name}))
}

func TestFailuresAtAllProxiesLockANameOutTogether(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b, c := start(), start(), start()
		first := a.now
		c.want("ann", 0)
		for range 6 {
			a.fail("ann")
		}
		b.now = b.now.Add(time.Second)
		for range 4 {
			b.fail("ann")
		}
		wantAll(t, "ann", 10, a, b, c)
		c.locked("ann", time.Time{})
		if counts, err := b.f.Add(t.Context(), []string{"bob", "ann"}, b.now); err != nil ||
			fmt.Sprint(counts) != "[1 11]" {
			t.Errorf("%v, %v", counts, err)
		}
		wantAll(t, "ann", chat.LockoutFailures, c, b, a, start())
		wantAll(t, "bob", 1, c, b, a)
		c.locked("ann", first.Add(chat.LockoutWindow))
		c.now = first.Add(chat.LockoutWindow + time.Millisecond)
		c.want("ann", 5)
		c.locked("ann", time.Time{})
	})
}

func TestManyNamesAreOneQuestion(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b := start(), start()
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprint("name ", i))
		}
		a.fail("name 7")
		counts, err := b.f.Count(t.Context(), names, b.now)
		if err != nil || counts[7] != 1 || counts[8] != 0 || b.table.asked != 1 {
			t.Errorf("%v, %v, in %d queries", counts, err, b.table.asked)
		}
	})
}

func TestWhatOneProxyClearsStaysCleared(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b, c := start(), start(), start()
		for range 3 {
			a.fail("ann")
			b.fail("ann")
		}
		wantAll(t, "ann", 6, a, b, c)
		c.clear("ann")
		wantAll(t, "ann", 0, c)
		a.fail("ann") // which has learned of all six
		wantAll(t, "ann", 1, c, b, a)
		c.clear("ann")
		wantAll(t, "ann", 0, a, b, c)
		b.fail("ann")
		a.end()
		b.end()
		wantAll(t, "ann", 1, a, b, c, start())
	})
}

func TestACommandUnlocksANameForAllProxies(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b, command := start(), start(), start()
		command.f.Shared = false
		for i := range chat.LockoutFailures {
			[]proxy{a, b}[i%2].fail("ann")
			command.locked("bob", time.Time{})
		}
		command.locked("ann", command.now.Add(chat.LockoutWindow))
		must(t, command.f.Unlock(t.Context(), "ann", command.now))
		command.locked("ann", time.Time{})
		wantAll(t, "ann", 0, a, b)
		b.fail("ann")
		a.end()
		wantAll(t, "ann", 1, a, b)
	})
}

func TestFailuresAtSeveralProxiesAtTheSameTimeAreAllCounted(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b, c := start(), start(), start()
		var all sync.WaitGroup
		for _, p := range []proxy{a, b, c} {
			for range 3 {
				all.Go(func() {
					p.fail("ann")
					if _, err := p.f.Add(t.Context(), []string{"cy", "bob"}, p.now); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		for _, name := range []string{"ann", "bob", "cy"} {
			wantAll(t, name, 9, a, b, c, start())
		}
	})
}

// await runs the loop of a process until it has written so many failures of a name.
func (p proxy) await(name string, n int) {
	p.Helper()
	ctx, end := context.WithCancel(p.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = p.f.Run(ctx) })
	defer run.Wait()
	defer end()
	late := time.After(time.Minute)
	for {
		p.table.mu.Lock()
		written := len(p.table.written[counters.HashOf(name)])
		p.table.mu.Unlock()
		if written >= n {
			return
		}
		select {
		case <-p.table.news:
		case <-late:
			p.Fatalf("%d failures of %s were written, want %d", written, name, n)
		}
	}
}

func TestAFloodAtOneProxyWritesFewRows(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b := start(), start()
		for range 8 {
			b.fail("ann")
		}
		a.want("ann", 8)
		begun := time.Now()
		var all sync.WaitGroup
		for k := range 10 {
			all.Go(func() {
				for i := range 500 {
					a.fail(fmt.Sprint("made up ", k, " ", i))
				}
			})
		}
		for range 3 {
			a.fail("ann")
		}
		all.Wait()
		a.want("ann", chat.LockoutFailures)
		a.want("made up 7 77", 1)
		a.await("ann", 3) // it goes before all others
		b.want("ann", chat.LockoutFailures)
		a.table.wroteFew(t, begun)
	})
}

func TestAFailureBeyondTheBudgetWaitsForNothing(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b := start(), start()
		for n := 1; a.waits("ann"); n++ {
			if n == 5 {
				t.Fatal("it always waits")
			}
			a.clear("ann")
			a = start()
		}
		a.want("ann", 1)
		b.want("ann", 0)
		a.await("ann", 1)
		b.want("ann", 1)
	})
}

// waits has a name fail while a hundred others are written, the first of a process, and reports
// whether it waits for these. It may if the next second has begun, as on a busy machine.
func (p proxy) waits(name string) (waited bool) {
	p.Helper()
	writes, goOn := make(chan struct{}), make(chan struct{})
	p.table.before = func(names map[string][]int64) {
		if len(names) == 100 {
			close(writes)
			<-goOn
		}
	}
	begun := time.Now()
	var all sync.WaitGroup
	all.Go(func() { p.failMany(100) })
	select {
	case <-writes:
	case <-time.After(time.Minute):
		p.Fatal("the others are not written")
	}
	done := make(chan struct{})
	all.Go(func() { p.fail(name); close(done) })
	select {
	case <-done:
	case <-time.After(900*time.Millisecond - time.Since(begun)):
		waited = true
	}
	close(goOn)
	all.Wait()
	p.table.before = nil
	return waited
}

// failMany has many made-up names fail at once.
func (t *tries) failMany(n int) {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("made up ", i))
	}
	if _, err := t.f.Add(t.Context(), names, t.now); err != nil {
		t.Error(err)
	}
}

func TestWhoIsLockedOutIsWrittenBeforeOthers(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a := start()
		for range 10 {
			a.fail("ann")
		}
		a.failMany(100)
		a.failMany(300)
		var first map[string][]int64
		a.table.before = func(names map[string][]int64) {
			if first == nil {
				first = names
			}
		}
		a.fail("ann")
		a.await("ann", chat.LockoutFailures)
		if first[counters.HashOf("ann")] == nil {
			t.Errorf("%d others were written before", len(first))
		}
	})
}

func TestAProxyCountsForItselfWhatItCannotWrite(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b := start(), start()
		var said strings.Builder
		a.f.Log = slog.New(slog.NewTextHandler(&said, nil))
		b.fail("ann")
		a.want("ann", 1)
		a.table.broken = chat.Errorf(chat.Unavailable, "the server is read-only")
		for n := range 4 {
			counts, err := a.f.Add(t.Context(), []string{"ann"}, a.now)
			if err != nil || counts[0] != n+2 {
				t.Errorf("%v, %v; want %d", counts, err, n+2)
			}
		}
		a.clear("bob")
		if text := said.String(); !strings.Contains(text, "the server is read-only") ||
			!strings.Contains(text, "could not be stored") ||
			!strings.Contains(text, "could not be deleted") {
			t.Errorf("the log says %s", text)
		}
		b.fail("ann")
		b.want("ann", 2)
		a.want("ann", 6)
		b.clear("ann") // of what a has it knows nothing
		a.want("ann", 4)
		a.table.broken = nil
		a.await("ann", 4)
		wantAll(t, "ann", 4, a, b, start())
	})
}

func TestAFailureWhoseWriteHadNoAnswerCountsOnce(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a, b := start(), start()
		a.f.Log = slog.New(slog.DiscardHandler)
		a.table.unanswered = chat.Errorf(chat.UnknownOutcome, "the connection broke")
		a.fail("ann")
		wantAll(t, "ann", 1, a, b)
		a.table.unanswered = nil
		a.end()
		a.fail("ann")
		wantAll(t, "ann", 2, a, b)
	})
}

func TestWithoutTheTableNobodyIsCounted(tt *testing.T) {
	several(tt, func(t *testing.T, start func() proxy) {
		a := start()
		a.fail("ann")
		a.table.unread = chat.Errorf(chat.Unavailable, "the server is away")
		if n, err := a.count("ann"); chat.KindOf(err) != chat.Unavailable {
			t.Errorf("%d, %v", n, err)
		}
	})
}
