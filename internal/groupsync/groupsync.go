// Package groupsync shows talk in groups in the recent sessions of all their members. A send touches the sender's
// session only; this loop does the others', within seconds.
//
// Every process runs it. A lease keeps all but one from looking, but nothing depends on that: SyncSessions makes no
// session twice and moves none back, however many syncers there are and however long one is paused.
package groupsync

import (
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
	// Behind returns, in any order, those members of a group for whom SyncSessions has something to do.
	Behind(ctx context.Context, group, at uint32) ([]uint32, error)
	// SyncSessions brings the sessions of users up to at; who has none gets one, in the order given. Sessions that are
	// removed or ahead stay as they are, and those of former members too. It may be called by many at the same time.
	SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error
	// Mark and SetMark keep a value under a name.
	Mark(ctx context.Context, name string) (value uint32, ok bool, err error)
	SetMark(ctx context.Context, name string, value uint32) error
	// HoldLease gives the lease of a name to holder (at most 64 bytes) for whole seconds from now, by one clock for all
	// processes, or renews it; held is false while somebody else has it.
	HoldLease(ctx context.Context, name, holder string, lasts time.Duration) (held bool, err error)
	// ReleaseLease lets others have it at once.
	ReleaseLease(ctx context.Context, name, holder string) error
}

const (
	// Every is how often the loop looks.
	Every = 5 * time.Second
	// Lease is how long others wait for a process that ended without a word.
	Lease = 15 * time.Second
)

const (
	mark  = "last_update_group" // the original server's name for how far the sync has looked
	lease = "groupsync"
	// overlap is how far before the mark each look begins, in seconds. The time of a talk is taken before its commit,
	// which may come up to 15 s later, and by the clock of the process that stores it. What clocks may differ by is the
	// rest. It costs little, see loop.done.
	overlap = 60
	chunk   = 500 // members per transaction
	timeout = 30 * time.Second
	parting = time.Second // for giving up the lease
)

// Syncer is the loop.
type Syncer struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	// Observe is told of every look: how long it took, and why it failed. While another process has the lease there are
	// none. Nil means nobody wants to know.
	Observe func(took time.Duration, err error)
	// Every and Lease replace the constants of these names where they are not 0.
	Every, Lease time.Duration
}

// Run looks at once and then every Every, while it has the lease, until ctx ends. What fails is logged and looked at
// again next time. When ctx ends it gives up the lease.
func (s *Syncer) Run(ctx context.Context) error {
	l := &loop{Syncer: *s, holder: rand.Text(), done: make(map[uint32]chat.GroupNews)}
	if l.Every == 0 {
		l.Every = Every
	}
	if l.Lease == 0 {
		l.Lease = Lease
	}
	defer l.leave(ctx)
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	for {
		l.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round looks if this process has the lease.
func (l *loop) round(ctx context.Context) {
	begun := time.Now()
	looked, err := l.look(ctx)
	if ctx.Err() != nil {
		return
	}
	if l.Observe != nil && (looked || err != nil) {
		l.Observe(time.Since(begun), err)
	}
	if err != nil {
		l.Log.Warn("group sync failed; the next look does it again", "err", err)
	}
}

// leave gives up the lease, so that another process takes over at its next round. ctx has ended.
func (l *loop) leave(ctx context.Context) {
	if !l.holds {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	if err := l.Store.ReleaseLease(ctx, lease, l.holder); err != nil {
		l.Log.Warn("group sync: another process takes over only when the lease expires", "after", l.Lease, "err", err)
	}
}
