package counters

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"math/rand/v2"
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
	// made-up names leaves the disk to the messages.
	rowsPerSecond = 100
	// keepEvery is the time between two passes that write what has changed. Names that are locked
	// out are written at once, and where others serve, too, all names.
	keepEvery = time.Second
)

// FailureTable keeps failed logins for other processes, and for the next start. Names are hashed. A
// failure is its time in Unix nanoseconds, of which those below a millisecond are random: so no two
// failures of a name are the same, whoever counts them, and one that is written twice is there
// once.
type FailureTable interface {
	// FailedAt returns the failures of these names, the oldest first; names of which nothing is
	// stored are left out.
	FailedAt(ctx context.Context, names []string) (map[string][]int64, error)
	// KeepFailures adds failures to those that are stored of names, and returns what is stored of
	// these then: the last chat.LockoutFailures, the oldest first. Of what several processes add at
	// once nothing is lost.
	KeepFailures(ctx context.Context, names map[string][]int64) (map[string][]int64, error)
	// ClearFailures forgets all failures of these names.
	ClearFailures(ctx context.Context, names []string) error
	// PruneFailures forgets some of the names whose last failure was before a time, and says
	// whether there may be more of them.
	PruneFailures(ctx context.Context, before time.Time) (more bool, err error)
}

// Failures implements chat.Failures in memory and, if there is one, in a table. There other
// processes see which names are locked out, and unlock them. The zero value, without a table, is
// ready to use. Names that are locked out are written to the table at once, all others within a
// second or two, unless there are very many. What is not written is lost with the process. It is
// safe for concurrent use.
type Failures struct {
	Table FailureTable // nil: there is none
	// Shared says that other processes count in the table, too. Then each failure is written before
	// Add returns, unless there are very many, and Count asks the table for all names. Else this
	// process alone counts, and others only see and unlock names.
	Shared bool
	Now    func() time.Time // the clock; nil means time.Now
	Log    *slog.Logger     // nil means slog.Default()

	mu      sync.Mutex // guards all that follows, up to more
	names   map[nameKey]failed
	most    int                  // how many names; 0 means maxNames
	changed map[nameKey]struct{} // to be written: at most 2 * rowsPerSecond
	urgent  map[nameKey]struct{} // to be written before those: names locked out
	second  time.Time            // when rowsPerSecond was last allowed
	allowed int                  // rows that may yet be written in it
	more    bool                 // the table may have names to forget

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

// failed are the latest failures of one name, each as FailureTable has it: the oldest first, at
// most chat.LockoutFailures. The lists are replaced, never changed.
type failed struct {
	at  []int64 // all that this process knows
	own []int64 // those that it has counted, and the table may lack
}

// same reports whether nothing has happened to a name meanwhile.
func (e failed) same(before failed) bool {
	return slices.Equal(e.at, before.at) && slices.Equal(e.own, before.own)
}

// newFailure is a failure now, which is none of those known.
func newFailure(now time.Time, known []int64) int64 {
	for {
		at := time.UnixMilli(now.UnixMilli()).UnixNano() + rand.Int64N(int64(time.Millisecond))
		if !slices.Contains(known, at) {
			return at
		}
	}
}

// union are the latest failures of two lists, each once. Where one is empty it is the other.
func union(a, b []int64) []int64 {
	switch { // a flood of names takes less memory so
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[max(len(all)-chat.LockoutFailures, 0):]
}

// latest returns those of the failures that still count.
func latest(at []int64, now time.Time) []int64 {
	oldest := now.Add(-chat.LockoutWindow).Truncate(time.Millisecond).UnixNano()
	i, _ := slices.BinarySearch(at, oldest)
	return at[i:]
}

// Count implements chat.Failures.
func (f *Failures) Count(ctx context.Context, names []string, now time.Time) ([]int, error) {
	keys := keysOf(names)
	if err := f.learn(ctx, f.doubtful(keys, now), now); err != nil {
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

// hashes are names as tables and Redis have them.
func hashes(keys []nameKey) []string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = key.String()
	}
	return texts
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
	first := at[len(at)-chat.LockoutFailures]
	return time.Unix(0, first).Truncate(time.Millisecond).Add(chat.LockoutWindow)
}

// doubtful are those of the names of which the table may know more than this process. Where no
// other process counts, these are the ones that it does not know, and those that are locked out:
// somebody may have unlocked them there.
func (f *Failures) doubtful(keys []nameKey, now time.Time) (ask []nameKey) {
	if f.Shared {
		return keys
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		entry, known := f.names[key]
		locked := len(latest(entry.at, now)) >= chat.LockoutFailures
		if !known || locked && len(entry.own) == 0 {
			ask = append(ask, key)
		}
	}
	return ask
}

// learn asks the table for names. What it says takes the place of all that this process knows but
// has not counted itself.
func (f *Failures) learn(ctx context.Context, keys []nameKey, now time.Time) error {
	if f.Table == nil || len(keys) == 0 {
		return nil
	}
	before := make([]failed, len(keys))
	f.mu.Lock()
	for i, key := range keys {
		before[i] = f.names[key]
	}
	f.mu.Unlock()
	names := hashes(keys)
	rows, err := f.Table.FailedAt(ctx, names)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, key := range keys {
		entry := f.names[key]
		if entry.same(before[i]) { // else the answer may lack what was written meanwhile
			entry.at = entry.own
		}
		entry.at = union(latest(rows[names[i]], now), entry.at)
		if len(entry.at) > 0 {
			f.put(key, entry, now)
		} else {
			delete(f.names, key)
		}
	}
	return nil
}

// Add implements chat.Failures. Its error is nil: what cannot be written counts in this process.
func (f *Failures) Add(ctx context.Context, names []string, now time.Time) ([]int, error) {
	keys := keysOf(names)
	f.mu.Lock()
	locked := false
	for _, key := range keys {
		locked = f.add(key, now) || locked
	}
	due := len(f.urgent)
	if !locked {
		due += len(f.changed)
	}
	wait := (locked || f.Shared) && due <= f.budget()
	f.mu.Unlock()
	if wait {
		f.keep(ctx)
	}
	return f.counts(keys, now), nil
}

// add counts one failure of a name, and reports whether it is locked out by that. The caller holds
// mu.
func (f *Failures) add(key nameKey, now time.Time) (locked bool) {
	entry := f.names[key]
	entry.at = latest(entry.at, now)
	one := []int64{newFailure(now, entry.at)}
	entry.at = union(entry.at, one)
	locked = len(entry.at) == chat.LockoutFailures
	if f.Table != nil {
		entry.own = union(latest(entry.own, now), one)
		f.note(key, locked)
	}
	f.put(key, entry, now)
	return locked
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
		if n == 0 {
			delete(f.names, key)
			continue
		}
		last[n] = append(last[n], entry.last())
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
			if drop > 0 && len(latest(entry.at, now)) == n && entry.last() <= until {
				delete(f.names, key)
				drop--
			}
		}
		over -= len(times)
	}
}

// last is the latest failure of a name.
func (e failed) last() int64 { return e.at[len(e.at)-1] }

// Clear implements chat.Failures. It does not fail: what the table does not forget now counts until
// the name's next good login, or ends by itself.
func (f *Failures) Clear(ctx context.Context, names []string) error {
	if err := f.forget(ctx, keysOf(names)); err != nil {
		f.log().Warn("failed logins of names that have logged in since could not be deleted, and "+
			"still count", "names", len(names), "err", err)
	}
	return nil
}

// Unlock forgets the failures of a name at once, for all who use the table.
func (f *Failures) Unlock(ctx context.Context, name string, _ time.Time) error {
	return f.forget(ctx, []nameKey{keyOf(name)})
}

// forget forgets names, first in the table.
func (f *Failures) forget(ctx context.Context, keys []nameKey) error {
	if f.Table != nil {
		if err := f.hold(ctx); err != nil {
			return err
		}
		defer f.writing.Release(1)
		if err := f.Table.ClearFailures(ctx, hashes(keys)); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		delete(f.names, key)
	}
	return nil
}
