package counters

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// note has a name be written to the table. An urgent name is written before others, and is never
// left out. Of the others as many are noted as may be written in this second and in the next. The
// caller holds mu.
func (f *Failures) note(key nameKey, urgent bool) {
	if f.changed == nil {
		f.changed, f.urgent = make(map[nameKey]struct{}), make(map[nameKey]struct{})
	}
	if urgent {
		f.urgent[key] = struct{}{}
		delete(f.changed, key)
	} else if len(f.changed) < 2*rowsPerSecond {
		f.changed[key] = struct{}{}
	}
}

// Run writes to the table what has changed, every second, and once more when ctx ends. It also has
// the table forget what is too old. It always returns nil.
func (f *Failures) Run(ctx context.Context) error {
	now := f.Now
	if now == nil {
		now = time.Now
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepEvery)
			defer cancel()
			f.pass(last, now())
			return nil
		case <-tick.C:
			f.pass(ctx, now())
		}
	}
}

// pass writes what is noted, and prunes the table if something was written since that was done.
func (f *Failures) pass(ctx context.Context, now time.Time) {
	f.keep(ctx)
	f.mu.Lock()
	more := f.more
	f.mu.Unlock()
	if !more {
		return
	}
	more, err := f.Table.PruneFailures(ctx, now.Add(-chat.LockoutWindow))
	if err != nil {
		f.log().Warn("failed logins that are too old to count could not be deleted; "+
			"this will be tried again", "err", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.more = more
}

// keep writes what is noted, as far as the budget goes. It returns when that is written, be it by
// another caller. What could not be written is tried again a second later; the process counts on
// meanwhile.
func (f *Failures) keep(ctx context.Context) {
	if f.hold(ctx) != nil {
		return // it stays noted
	}
	defer f.writing.Release(1)
	names := f.take()
	if len(names) == 0 {
		return
	}
	rows := make(map[string][]int64, len(names))
	for key, own := range names {
		rows[key.String()] = own
	}
	stored, err := f.Table.KeepFailures(ctx, rows)
	f.kept(names, stored, err)
	if err != nil {
		f.log().Warn("failed logins are counted, but could not be stored: until they are, other "+
			"processes do not know of them, nor can unlock these names, and a restart does",
			"names", len(names), "err", err)
	}
}

func (f *Failures) log() *slog.Logger { return cmp.Or(f.Log, slog.Default()) }

// hold waits until nobody else writes to the table; f.writing is held then.
func (f *Failures) hold(ctx context.Context) error {
	f.once.Do(func() { f.writing = semaphore.NewWeighted(1) })
	if err := f.writing.Acquire(ctx, 1); err != nil {
		return chat.Errorf(chat.Unavailable, "waiting to write failed logins: %w", err)
	}
	return nil
}

// budget is how many rows may yet be written in this second. The caller holds mu.
func (f *Failures) budget() int {
	if time.Since(f.second) >= keepEvery*9/10 { // a tick may come a little early
		f.second, f.allowed = time.Now(), rowsPerSecond
	}
	return f.allowed
}

// take returns what is to be written now, by name.
func (f *Failures) take() map[nameKey][]int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make(map[nameKey][]int64)
	for _, waiting := range []map[nameKey]struct{}{f.urgent, f.changed} {
		for key := range waiting {
			if f.budget() == 0 {
				return names
			}
			delete(waiting, key)
			if own := f.names[key].own; len(own) > 0 { // else it was forgotten, or is written
				f.allowed--
				names[key] = own
			}
		}
	}
	return names
}

// kept notes what became of names that were to be written, and what is stored of them now.
func (f *Failures) kept(names map[nameKey][]int64, stored map[string][]int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.more = f.more || err == nil
	for key, written := range names {
		entry, known := f.names[key]
		switch {
		case !known: // forgotten meanwhile
		case err != nil:
			f.note(key, len(entry.at) == chat.LockoutFailures)
		default:
			var left []int64
			for _, at := range entry.own {
				if !slices.Contains(written, at) {
					left = append(left, at)
				}
			}
			f.names[key] = failed{at: union(stored[key.String()], left), own: left}
		}
	}
}
