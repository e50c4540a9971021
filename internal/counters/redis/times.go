package redis

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Keys of the unread instance that tell original servers times, in Unix seconds.
const (
	usersChanged = "total_user_update"  // the last change to any user
	usersRead    = "total_user_updated" // where original servers read that
	groupsSynced = "last_update_group"  // how far the group sync has got
)

// noteStart writes total_user_update, once, where there is neither that nor total_user_updated.
func (r *Copy) noteStart(ctx context.Context) error {
	if r.noted {
		return nil
	}
	results, err := r.unread.Do(ctx, link.Plain("GET", usersChanged), link.Plain("GET", usersRead))
	if err == nil && text(results[0]) == "" && text(results[1]) == "" {
		_, err = r.unread.Do(ctx, link.Plain("SETNX", usersChanged, decimal(r.unix())))
	}
	r.noted = err == nil
	return err
}

// NoteUserChange notes when a user was changed. When Redis is away, original servers learn of it
// with the next change.
func (r *Copy) NoteUserChange(ctx context.Context, now uint32) {
	if _, err := r.unread.Do(ctx, link.Run(raise, usersChanged, decimal(now))); err != nil {
		r.log.Warn("the time of a user's change is not in Redis", "err", err)
	}
}

// SyncedUntil returns how far the group sync has got, in Unix seconds; 0 when Redis does not say.
func (r *Copy) SyncedUntil(ctx context.Context) uint32 {
	results, err := r.unread.Do(ctx, link.Plain("GET", groupsSynced))
	if err != nil {
		return 0
	}
	return count(text(results[0]))
}

// NoteSynced notes how far the group sync has got.
func (r *Copy) NoteSynced(ctx context.Context, until uint32) {
	if _, err := r.unread.Do(ctx, link.Plain("SET", groupsSynced, decimal(until))); err != nil {
		r.log.Debug("how far the group sync has got is not in Redis", "err", err)
	}
}
