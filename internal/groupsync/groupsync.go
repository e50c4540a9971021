// Package groupsync shows talk in groups in the recent sessions of all their members. A send touches the sender's
// session only; this loop does the others', within seconds.
package groupsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Store is what the loop needs of the records. Times are Unix seconds.
type Store interface {
	// ChangedGroups returns the groups with talk at or after since, and when it was.
	ChangedGroups(ctx context.Context, since uint32) (map[uint32]uint32, error)
	// Members returns the members of a group.
	Members(ctx context.Context, group uint32) ([]uint32, error)
	// SyncSessions brings the sessions of users up to at; those of former members are left alone.
	SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error
	// Mark and SetMark keep a value under a name.
	Mark(ctx context.Context, name string) (value uint32, ok bool, err error)
	SetMark(ctx context.Context, name string, value uint32) error
}

// Every is how often the loop looks.
const Every = 5 * time.Second

const (
	mark = "last_update_group" // the original server's name for how far the sync has looked
	// overlap is how far before the mark each look begins, in seconds: a commit may carry a time a little older than
	// the look that could not see it yet.
	overlap = 10
	chunk   = 500 // members per transaction
	timeout = 30 * time.Second
)

// Syncer is the loop.
type Syncer struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	// Observe is told of every look: how long it took, and why it failed. Nil means nobody wants to know.
	Observe func(took time.Duration, err error)
}

// Run looks at once and then every Every, until ctx ends. What fails is logged and looked at again next time.
func (s *Syncer) Run(ctx context.Context) error {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		begun := time.Now()
		err := s.look(ctx)
		if s.Observe != nil && ctx.Err() == nil {
			s.Observe(time.Since(begun), err)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("group sync failed; the next look does it again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look brings all members' sessions up to date. The mark moves only when all of it worked.
func (s *Syncer) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	now := uint32(s.Now().Unix())
	since, ok, err := s.Store.Mark(ctx, mark)
	if err != nil {
		return err
	}
	if !ok {
		since = now
	}
	groups, err := s.Store.ChangedGroups(ctx, max(since, overlap)-overlap)
	if err != nil {
		return err
	}
	var failed []error
	for group, at := range groups {
		if err := s.sync(ctx, group, at); err != nil {
			failed = append(failed, fmt.Errorf("group %d: %w", group, err)) // the others have their turn
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return s.Store.SetMark(ctx, mark, now)
}

func (s *Syncer) sync(ctx context.Context, group, at uint32) error {
	users, err := s.Store.Members(ctx, group)
	if err != nil {
		return err
	}
	slices.SortFunc(users, chat.CompareAsText)
	for some := range slices.Chunk(users, chunk) {
		if err := s.Store.SyncSessions(ctx, group, some, at); err != nil {
			return err
		}
	}
	return nil
}
