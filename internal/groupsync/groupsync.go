// Package groupsync shows talk in groups in the recent sessions of all their members. Storing a
// message moves the session of its sender only. This loop moves those of the other members, within
// seconds.
//
// Every process runs it. A lease in the records, by the clock of MySQL, has one process make a pass
// while the others wait. The lease saves work and protects nothing. Two holders at once, or one
// that slept past its lease, change nothing that the other has done: SyncSessions makes sessions
// under the lock of the group's talk, makes none twice and moves none back. What a pass need not do
// again, and why, is told at loop.done.
package groupsync

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Store is what the loop needs of the records. Times are Unix seconds.
type Store interface {
	// ChangedGroups returns the groups with talk at or after since, each once.
	ChangedGroups(ctx context.Context, since uint32) ([]chat.GroupNews, error)
	// Behind returns the members of a group for whom SyncSessions has something to do, in any
	// order.
	Behind(ctx context.Context, group, at uint32) ([]uint32, error)
	// SyncSessions moves the sessions of users to the time at. A user without one gets one, in the
	// order given. Sessions that are removed or later stay as they are, and so do those of former
	// members. It is safe for concurrent use, also by several processes.
	SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error
	// HoldLease gives the lease of a name to holder (at most 64 bytes), or renews it. It lasts
	// whole seconds from now, by one clock for all processes. held is false while somebody else has
	// it.
	HoldLease(ctx context.Context, name, holder string, lasts time.Duration) (held bool, err error)
	// ReleaseLease gives the lease back, so that others may have it at once.
	ReleaseLease(ctx context.Context, name, holder string) error
}

// Marks keeps how far the loop has got.
type Marks interface {
	// Mark returns the value of a name; ok is false when there is none. SetMark sets it.
	Mark(ctx context.Context, name string) (value uint32, ok bool, err error)
	SetMark(ctx context.Context, name string, value uint32) error
}

const (
	// Every is the time between two passes.
	Every = 5 * time.Second
	// Lease is how long others wait for a process that ended without releasing it.
	Lease = 15 * time.Second
)

const (
	mark  = "last_update_group" // the original server's name for the time up to which all is synced
	lease = "groupsync"
	// overlap is how many seconds before the mark each pass begins. A talk's time is that of the
	// process that stores it, before its commit, which may come up to 15 s later. The rest is by
	// how much clocks may differ. The overlap costs little: see loop.done.
	overlap = 60
	chunk   = 500              // members per transaction
	timeout = 30 * time.Second // of a pass
	parting = time.Second      // of releasing the lease
)

// Syncer is the loop. Run must run; nothing may change the fields meanwhile.
type Syncer struct {
	Store Store
	Marks Marks // the records, or what has a copy of theirs
	Now   func() time.Time
	Log   *slog.Logger
	// Observe is told of every pass: how long it took, and why it failed (nil: it did not). While
	// another process has the lease there are none. Observe may be nil.
	Observe func(took time.Duration, err error)
	// Every and Lease replace the constants of these names where they are not 0.
	Every, Lease time.Duration
}

// Run makes a pass at once, and then every Every, while it has the lease. What fails is logged, and
// done again in the next pass. When ctx ends, Run releases the lease and returns nil.
func (s *Syncer) Run(ctx context.Context) error {
	l := &loop{Syncer: *s, holder: rand.Text(), done: make(map[uint32]chat.GroupNews)}
	l.Every, l.Lease = cmp.Or(l.Every, Every), cmp.Or(l.Lease, Lease)
	defer l.leave(ctx)
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	for {
		l.observed(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// observed makes a pass, if this process has the lease, and tells of it.
func (l *loop) observed(ctx context.Context) {
	begun := time.Now()
	held, err := l.pass(ctx)
	if ctx.Err() != nil {
		return
	}
	if l.Observe != nil && (held || err != nil) {
		l.Observe(time.Since(begun), err)
	}
	if err != nil {
		l.Log.Warn("group sync failed; the next pass does it again", "err", err)
	}
}

// leave releases the lease, so that another process takes over with its next pass. ctx has ended.
func (l *loop) leave(ctx context.Context) {
	if !l.holds {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	if err := l.Store.ReleaseLease(ctx, lease, l.holder); err != nil {
		l.Log.Warn("group sync: another process takes over only when the lease expires",
			"after", l.Lease, "err", err)
	}
}
