package counters_test

import (
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

// table is a store's table of failed logins, which counts what is written to it, and can be broken.
type table struct {
	*records.Store
	mu     sync.Mutex
	rows   int
	broken error
}

func (s *table) KeepFailures(
	ctx context.Context, names map[string][]time.Time, before time.Time,
) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows += len(names)
	if s.broken != nil {
		return false, s.broken
	}
	return s.Store.KeepFailures(ctx, names, before)
}

func newTable(t *testing.T) *table {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	return &table{Store: testdb.OpenSQLite(t, path, records.Options{})}
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
	table.mu.Lock()
	defer table.mu.Unlock()
	if most := 500 * (2 + int(time.Since(begun)/time.Second)); table.rows > most {
		tt.Errorf("%d failures wrote %d rows; at most %d were expected", flood, table.rows, most)
	}
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
	table := newTable(tt)
	t := table.on(tt)
	for i := range 400 {
		t.fail(fmt.Sprint("old ", i))
	}
	t.end()
	t.now = t.now.Add(chat.LockoutWindow + time.Second)
	t.fail("new")
	t.end()
	var old []string
	for i := range 400 {
		old = append(old, counters.HashOf(fmt.Sprint("old ", i)))
	}
	if at, err := table.FailedAt(tt.Context(), old); len(at) > 0 || err != nil {
		tt.Fatalf("%d old names are stored, %v", len(at), err)
	}
	again := table.on(tt)
	again.now = t.now
	again.want("new", 1)
}
