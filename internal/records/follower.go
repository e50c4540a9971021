package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Follower keeps a copy of counters, members, mutes and tokens elsewhere (Redis, for the original servers beside us) in
// step with the records.
type Follower interface {
	// Apply brings the copy up to date with commits; applying one twice does no harm.
	Apply(ctx context.Context, commits []chat.Commit) error
	// Counted returns what is counted elsewhere of talks that the records do not know yet, in their order. It has no
	// error: where nothing can be had, everything is 0.
	Counted(ctx context.Context, talks []chat.Known) []chat.Counted
}

// changeFollowed is change for what is copied elsewhere: work adds to the commit how it moved things. The commit's record
// is written in the same transaction, so that the copy follows even when this process ends before it does.
func (s *Store) changeFollowed(ctx context.Context, now uint32, work func(tx *sql.Tx, c *chat.Commit) error) error {
	if s.follower == nil {
		return s.change(ctx, func(tx *sql.Tx) error { return work(tx, new(chat.Commit)) })
	}
	var c chat.Commit
	err := s.change(ctx, func(tx *sql.Tx) error {
		c = chat.Commit{ID: chat.NewCommitID()}
		if err := work(tx, &c); err != nil {
			return err
		}
		return record(ctx, tx, c, now)
	})
	if err != nil {
		return err
	}
	if err := s.follower.Apply(ctx, []chat.Commit{c}); err != nil {
		s.log.Warn("counters will follow later", "commit", c.ID.String(), "err", err)
		return nil // the record stays, and whoever sweeps next applies it
	}
	s.putApplied([]chat.CommitID{c.ID})
	return nil
}
