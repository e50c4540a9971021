package counters_test

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// table is a store's table of failed logins, which counts what is asked of it, and can be broken.
// What is before mu is set while nobody uses the table.
type table struct {
	*records.Store
	unread     error                          // why nothing can be read
	broken     error                          // why nothing can be written
	unanswered error                          // what is said of failures that were written
	before     func(names map[string][]int64) // called before writes, unless it is nil
	news       chan struct{}                  // has an entry once failures were written

	mu          sync.Mutex
	asked, rows int                       // how often FailedAt was called, how many rows were tried
	written     map[string]map[int64]bool // which failures were written, by the hash of a name
}

func tableOf(store *records.Store) *table {
	return &table{Store: store, news: make(chan struct{}, 1),
		written: make(map[string]map[int64]bool)}
}

func newTable(t *testing.T) *table {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	return tableOf(testdb.OpenSQLite(t, path, records.Options{}))
}

func (s *table) FailedAt(ctx context.Context, names []string) (map[string][]int64, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	if s.unread != nil {
		return nil, s.unread
	}
	return s.Store.FailedAt(ctx, names)
}

func (s *table) KeepFailures(
	ctx context.Context, names map[string][]int64,
) (map[string][]int64, error) {
	s.mu.Lock()
	s.rows += len(names)
	s.mu.Unlock()
	if s.before != nil {
		s.before(names)
	}
	if s.broken != nil {
		return nil, s.broken
	}
	stored, err := s.Store.KeepFailures(ctx, names)
	if err == nil {
		s.note(names)
	}
	return stored, cmp.Or(s.unanswered, err)
}

func (s *table) note(names map[string][]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, at := range names {
		if s.written[name] == nil {
			s.written[name] = make(map[int64]bool)
		}
		for _, t := range at {
			s.written[name][t] = true
		}
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *table) ClearFailures(ctx context.Context, names []string) error {
	if s.broken != nil {
		return s.broken
	}
	return s.Store.ClearFailures(ctx, names)
}

// wroteFew checks that few rows were written, or tried, since a time.
func (s *table) wroteFew(t *testing.T, since time.Time) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := 100 * (2 + int(time.Since(since)/time.Second)); s.rows > most {
		t.Errorf("%d rows were written; at most %d were expected", s.rows, most)
	}
}

// on is a process that counts on a table.
func (s *table) on(t *testing.T) *tries {
	process := begin(t)
	process.f.Table = s
	process.f.Now = func() time.Time { return process.now }
	return process
}

// end is the orderly end of a process.
func (t *tries) end() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := t.f.Run(ctx); err != nil {
		t.Error(err)
	}
}

// locked wants a name to be locked out until then, or not at all.
func (t *tries) locked(name string, until time.Time) {
	t.Helper()
	if got, err := t.f.LockedUntil(t.Context(), name, t.now); !got.Equal(until) || err != nil {
		t.Errorf("%s is locked out until %v, %v; want %v", name, got, err, until)
	}
}

func TestACommandSeesAndUnlocksWhoIsLockedOut(tt *testing.T) {
	table := newTable(tt)
	server, command := table.on(tt), table.on(tt)
	first := server.now
	for range chat.LockoutFailures {
		command.locked("ann", time.Time{})
		server.fail("ann")
		server.fail("bob")
		server.now = server.now.Add(time.Second)
	}
	command.now = server.now
	command.locked("ann", first.Add(chat.LockoutWindow))
	server.locked("ann", first.Add(chat.LockoutWindow))
	if err := command.f.Unlock(tt.Context(), "ann", command.now); err != nil {
		tt.Fatal(err)
	}
	server.want("ann", 0)
	server.want("bob", chat.LockoutFailures)
	command.locked("ann", time.Time{})
	server.fail("ann")
	server.want("ann", 1)
	server.now = first.Add(chat.LockoutWindow + time.Millisecond)
	server.want("bob", chat.LockoutFailures-1)
	server.locked("bob", time.Time{})
}

func TestFailuresOutlastTheProcess(tt *testing.T) {
	table := newTable(tt)
	before := table.on(tt)
	for range 10 {
		before.fail("ann")
		before.fail("bob")
	}
	for range chat.LockoutFailures {
		before.fail("cy")
	}
	if err := before.f.Clear(tt.Context(), []string{"bob"}); err != nil {
		tt.Fatal(err)
	}
	before.want("bob", 0)
	before.end()
	after := table.on(tt)
	after.want("ann", 10)
	after.want("bob", 0)
	after.want("cy", chat.LockoutFailures)
	if err := after.f.Clear(tt.Context(), []string{"ann"}); err != nil {
		tt.Fatal(err)
	}
	after.want("ann", 0)
	after.end()
	table.on(tt).want("ann", 0)
}

func TestAFloodOfNamesWritesFewRows(tt *testing.T) {
	table := newTable(tt)
	t := table.on(tt)
	for range chat.LockoutFailures {
		t.fail("ann")
	}
	begun := time.Now()
	const flood = 30_000
	for i := range flood {
		t.fail(fmt.Sprint("made up ", i))
		if i%1000 == 0 {
			t.end() // as Run does every second, and far more often
		}
	}
	t.want("ann", chat.LockoutFailures)
	t.want("made up 0", 1)
	table.wroteFew(tt, begun)
}

func TestWhatCannotBeStoredIsCountedAllTheSame(tt *testing.T) {
	table := newTable(tt)
	table.broken = chat.Errorf(chat.Unavailable, "the disk is full")
	t := table.on(tt)
	for range chat.LockoutFailures {
		t.fail("ann")
	}
	t.want("ann", chat.LockoutFailures)
	table.on(tt).want("ann", 0)
	table.broken = nil
	t.end()
	table.on(tt).want("ann", chat.LockoutFailures)
}

func TestTheTableForgetsWhatCountsNoMore(tt *testing.T) {
	const names = 50
	table := newTable(tt)
	t := table.on(tt)
	for i := range names {
		t.fail(fmt.Sprint("old ", i))
	}
	t.end()
	t.now = t.now.Add(chat.LockoutWindow + time.Second)
	t.fail("new")
	t.end()
	var old []string
	for i := range names {
		old = append(old, counters.HashOf(fmt.Sprint("old ", i)))
	}
	if at, err := table.FailedAt(tt.Context(), old); len(at) > 0 || err != nil {
		tt.Fatalf("%d old names are stored, %v", len(at), err)
	}
	again := table.on(tt)
	again.now = t.now
	again.want("new", 1)
}
