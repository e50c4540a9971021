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

// note has a name written to the table, if there is one. An urgent name is written before others,
// and is never left out. The caller holds mu.
func (f *Failures) note(key nameKey, urgent bool) {
	if f.Table == nil {
		return
	}
	if f.changed == nil {
		f.changed, f.urgent = make(map[nameKey]struct{}), make(map[nameKey]struct{})
	}
	if urgent {
		f.urgent[key] = struct{}{}
		delete(f.changed, key)
	} else if len(f.changed) < rowsPerSecond {
		f.changed[key] = struct{}{}
	}
}

// Run writes to the table what has changed, every second, and once more when ctx ends. It always
// returns nil.
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
			f.keep(last, now())
			return nil
		case <-tick.C:
			f.keep(ctx, now())
		}
	}
}

// keep writes what is noted, as far as the rate allows. It returns when that is written, be it by
// another caller. What could not be written is tried again a second later; the process counts on
// meanwhile.
func (f *Failures) keep(ctx context.Context, now time.Time) {
	if f.Table == nil {
		return
	}
	f.once.Do(func() { f.writing = semaphore.NewWeighted(1) })
	if f.writing.Acquire(ctx, 1) != nil {
		return // it stays noted
	}
	defer f.writing.Release(1)
	names, more := f.take()
	if len(names) == 0 && !more {
		return
	}
	rows := make(map[string][]time.Time, len(names))
	for key, at := range names {
		rows[key.String()] = nil
		for _, ms := range at {
			rows[key.String()] = append(rows[key.String()], time.UnixMilli(ms))
		}
	}
	more, err := f.Table.KeepFailures(ctx, rows, now.Add(-chat.LockoutWindow))
	f.kept(names, more, err)
	if err != nil {
		log := cmp.Or(f.Log, slog.Default())
		log.Warn("failed logins are counted, but could not be stored: until they are, "+
			"a command cannot unlock a name that is locked out, and a restart does",
			"names", len(names), "err", err)
	}
}

// take returns the failures of the names that are to be written now, and whether the table may have
// more to forget.
func (f *Failures) take() (names map[nameKey][]int64, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.second) >= keepEvery*9/10 { // a tick may come a little early
		f.second, f.allowed = time.Now(), rowsPerSecond
	}
	names = make(map[nameKey][]int64)
	for _, waiting := range []map[nameKey]struct{}{f.urgent, f.changed} {
		for key := range waiting {
			if f.allowed == 0 {
				return names, f.more
			}
			f.allowed--
			delete(waiting, key)
			entry, known := f.names[key]
			if known {
				entry.row = someRow
				f.names[key] = entry
			}
			names[key] = entry.at
		}
	}
	return names, f.more
}

// kept notes what became of names that were to be written.
func (f *Failures) kept(names map[nameKey][]int64, more bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.more = more
	}
	for key, at := range names {
		entry, known := f.names[key]
		switch {
		case err != nil:
			f.note(key, true)
		case !known || !slices.Equal(at, entry.at): // it will be written again
		case len(at) == 0:
			delete(f.names, key) // forgiven, and the table knows
		default:
			entry.row = sameRow
			f.names[key] = entry
		}
	}
}
