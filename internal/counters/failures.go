package counters

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// maxNames is how many names with failed logins are remembered. Beyond that the names with the
// fewest failures are forgotten, and of these the ones whose last failure is the oldest. So a name
// that is locked out is among the last.
const maxNames = 1_000_000

const (
	// rowsPerSecond is how many names a process writes to the table in a second. So a flood of
	// made-up names leaves the disk to the messages. In a chat.LockoutWindow that makes fewer than
	// maxNames, so the table needs no other limit.
	rowsPerSecond = 500
	// keepEvery is the time between two passes that write what has changed. Names that are locked
	// out are written at once.
	keepEvery = time.Second
)

// FailureTable keeps failed logins for other processes, and for the next start. Names are hashed.
type FailureTable interface {
	// FailedAt returns when logins of these names failed, the oldest first; names of which nothing
	// is stored are left out.
	FailedAt(ctx context.Context, names []string) (map[string][]time.Time, error)
	// KeepFailures replaces what is stored of these names by these times, the oldest first; a name
	// without times is removed. It also forgets some of the names whose last failure was before a
	// time, and says whether there may be more of them.
	KeepFailures(ctx context.Context, names map[string][]time.Time, before time.Time) (more bool,
		err error)
}

// Failures implements chat.Failures for one process that serves: in memory and, if there is one, in
// a table. There commands beside it see which names are locked out, and unlock them. The zero
// value, without a table, is ready to use. Names that are locked out are written to the table at
// once, all others within a second or two, unless there are very many. What is not written is lost
// with the process. It is safe for concurrent use.
type Failures struct {
	Table  FailureTable     // nil: there is none
	Shared bool             // several processes that serve write to the table
	Now    func() time.Time // the clock; nil means time.Now
	Log    *slog.Logger     // nil means slog.Default()

	mu      sync.Mutex // guards all that follows, up to more
	names   map[nameKey]failed
	most    int                  // how many names; 0 means maxNames
	changed map[nameKey]struct{} // to be written: at most rowsPerSecond
	urgent  map[nameKey]struct{} // to be written before those: names locked out, or forgiven
	second  time.Time            // when rowsPerSecond was last allowed
	allowed int                  // rows that may yet be written in it
	more    bool                 // the table may have more names to forget

	once    sync.Once           // makes writing
	writing *semaphore.Weighted // held by who writes to the table
}

// nameKey stands for a name, and takes as little memory for a long one as for a short one.
type nameKey [sha256.Size / 2]byte

func keyOf(name string) nameKey {
	sum := sha256.Sum256([]byte(name))
	return nameKey(sum[:])
}

// String is the name in tables and in Redis.
func (k nameKey) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// failed are the latest failures of one name.
type failed struct {
	at  []int64 // Unix milliseconds, the oldest first; at most the last chat.LockoutFailures
	row rowState
}

// rowState is what is known of a name's row in the table.
type rowState uint8

const (
	noRow   rowState = iota
	someRow          // there may be one, with other failures
	sameRow          // there is one with these failures, unless somebody has unlocked the name
)

// latest returns those of the failures that still count.
func latest(at []int64, now time.Time) []int64 {
	oldest := now.Add(-chat.LockoutWindow).UnixMilli()
	i, _ := slices.BinarySearch(at, oldest)
	return at[i:]
}

// Count implements chat.Failures.
func (f *Failures) Count(ctx context.Context, names []string, now time.Time) ([]int, error) {
	keys := keysOf(names)
	if err := f.learn(ctx, keys, now); err != nil {
		return nil, err
	}
	return f.counts(keys, now), nil
}

// keysOf are the keys of names.
func keysOf(names []string) []nameKey {
	keys := make([]nameKey, len(names))
	for i, name := range names {
		keys[i] = keyOf(name)
	}
	return keys
}

// counts returns how many failures of each name count now, as far as this process knows.
func (f *Failures) counts(keys []nameKey, now time.Time) []int {
	counts := make([]int, len(keys))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, key := range keys {
		counts[i] = len(latest(f.names[key].at, now))
	}
	return counts
}

// LockedUntil returns until when a name is locked out; the zero time when it is not.
func (f *Failures) LockedUntil(ctx context.Context, name string, now time.Time) (time.Time, error) {
	key := keyOf(name)
	if err := f.learn(ctx, []nameKey{key}, now); err != nil {
		return time.Time{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return lockedUntil(latest(f.names[key].at, now)), nil
}

// lockedUntil is when so few of the failures will count that the name is free; the zero time when
// it is free.
func lockedUntil(at []int64) time.Time {
	if len(at) < chat.LockoutFailures {
		return time.Time{}
	}
	return time.UnixMilli(at[len(at)-chat.LockoutFailures]).Add(chat.LockoutWindow)
}

// learn asks the table for names that this process does not know, and for those that are locked
// out: somebody may have unlocked them there.
func (f *Failures) learn(ctx context.Context, keys []nameKey, now time.Time) error {
	ask := f.doubtful(keys, now)
	if len(ask) == 0 {
		return nil
	}
	names := make([]string, len(ask))
	for i, key := range ask {
		names[i] = key.String()
	}
	rows, err := f.Table.FailedAt(ctx, names)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, key := range ask {
		var stored []int64
		for _, t := range rows[names[i]] {
			stored = append(stored, t.UnixMilli())
		}
		stored = latest(stored, now)
		switch _, known := f.names[key]; {
		case known && len(stored) == 0:
			delete(f.names, key) // somebody has unlocked it
		case !known && len(stored) > 0:
			f.put(key, failed{stored, sameRow}, now)
		}
	}
	return nil
}

// doubtful are those of the names of which the table may know more than this process.
func (f *Failures) doubtful(keys []nameKey, now time.Time) (ask []nameKey) {
	if f.Table == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		entry, known := f.names[key]
		locked := len(latest(entry.at, now)) >= chat.LockoutFailures
		if !known || locked && entry.row == sameRow {
			ask = append(ask, key)
		}
	}
	return ask
}

// Add implements chat.Failures.
func (f *Failures) Add(ctx context.Context, names []string, now time.Time) ([]int, error) {
	counts := make([]int, len(names))
	locked := false
	f.mu.Lock()
	for i, name := range names {
		counts[i] = f.add(keyOf(name), now)
		locked = locked || counts[i] == chat.LockoutFailures
	}
	f.mu.Unlock()
	if locked {
		f.keep(ctx, now)
	}
	return counts, nil
}

// add counts one failure of a name, and returns how many there are. The caller holds mu.
func (f *Failures) add(key nameKey, now time.Time) int {
	entry := f.names[key]
	at := append(latest(entry.at, now), now.UnixMilli())
	entry.at = at[max(len(at)-chat.LockoutFailures, 0):]
	entry.row = min(entry.row, someRow)
	f.put(key, entry, now)
	f.note(key, len(entry.at) == chat.LockoutFailures)
	return len(entry.at)
}

// put stores an entry, and forgets others where there are too many. The caller holds mu.
func (f *Failures) put(key nameKey, entry failed, now time.Time) {
	if f.names == nil {
		f.names = make(map[nameKey]failed)
	}
	f.names[key] = entry
	most := f.most
	if most == 0 {
		most = maxNames
	}
	if len(f.names) > most {
		f.shrink(most-most/10, now)
	}
}

// shrink forgets what does not count any more, and then names until few enough are left: those with
// the fewest failures first, and of these the ones whose last failure is the oldest. The caller
// holds mu.
func (f *Failures) shrink(to int, now time.Time) {
	var last [chat.LockoutFailures + 1][]int64 // by how many failures there are
	for key, entry := range f.names {
		n := len(latest(entry.at, now))
		if n == 0 && (len(entry.at) > 0 || entry.row == noRow) {
			delete(f.names, key)
			continue
		}
		last[n] = append(last[n], lastOf(entry))
	}
	over := len(f.names) - to
	for n, times := range last {
		if over <= 0 {
			return
		}
		slices.Sort(times)
		drop := min(over, len(times))
		if drop == 0 {
			continue
		}
		until := times[drop-1]
		for key, entry := range f.names {
			if drop > 0 && len(latest(entry.at, now)) == n && lastOf(entry) <= until {
				delete(f.names, key)
				drop--
			}
		}
		over -= len(times)
	}
}

func lastOf(entry failed) int64 {
	if len(entry.at) == 0 {
		return 0
	}
	return entry.at[len(entry.at)-1]
}

// Clear implements chat.Failures. The table follows later. That is soon enough: a name that is
// cleared is not locked out, or nobody could have logged in with it.
func (f *Failures) Clear(_ context.Context, names []string) error {
	keys := keysOf(names)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		entry, known := f.names[key]
		switch {
		case known && entry.row != noRow:
			f.names[key] = failed{row: someRow}
			f.note(key, true)
		case known:
			delete(f.names, key)
		}
	}
	return nil
}

// Unlock forgets the failures of a name at once, for all who use the table.
func (f *Failures) Unlock(ctx context.Context, name string, now time.Time) error {
	key := keyOf(name)
	if f.Table != nil {
		forgiven := map[string][]time.Time{key.String(): nil}
		if _, err := f.Table.KeepFailures(ctx, forgiven, now.Add(-chat.LockoutWindow)); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.names, key)
	return nil
}
