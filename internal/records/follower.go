package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Follower keeps a copy of counters, members, mutes and tokens elsewhere, in step with the records:
// in Redis, for the original servers beside us.
type Follower interface {
	talk.Elsewhere
	// Apply brings the copy up to date with commits; applying one twice does no harm.
	Apply(ctx context.Context, commits []chat.Commit) error
	lastIDs
}

// changeFollowed is sqldb.DB.Change for what is copied elsewhere: work adds to the commit how it
// moved things. The commit's record is written in the same transaction, so that the copy follows
// even when this process ends before it has. now is Unix seconds.
func (s *Store) changeFollowed(
	ctx context.Context, now uint32, work func(tx sqldb.Tx, c *chat.Commit) error,
) error {
	var all []chat.Commit
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		c := chat.Commit{ID: chat.NewCommitID()}
		if err := work(tx, &c); err != nil || s.follower == nil {
			return err
		}
		all = pieces(c)
		for _, c := range all {
			if err := s.Talking(tx).Record(ctx, c, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || s.follower == nil {
		return err
	}
	if err := s.follower.Apply(ctx, all); err != nil {
		s.log.Warn("counters will follow later", "commit", all[0].ID.String(), "err", err)
		return nil // the records stay, and whoever sweeps next applies them
	}
	ids := make([]chat.CommitID, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	s.putApplied(ids)
	return nil
}

// recordedUsers is how many users one commit record tells of at most, so that it is shorter than
// sqldb.LeastPacket.
const recordedUsers = 4096

// pieces takes the commit of a change to very many users apart. Each piece may be applied without
// the others, in any order: every user's part has the revision of the whole. A new group is whole
// only with the last piece.
func pieces(c chat.Commit) (all []chat.Commit) {
	for len(c.Changes) == 1 &&
		max(len(c.Changes[0].Users), len(c.Changes[0].Members)) > recordedUsers {
		whole := c.Changes[0]
		first, rest := whole, whole
		first.New = false
		first.Users, rest.Users = cut(whole.Users)
		first.Members, rest.Members = cut(whole.Members)
		all = append(all, chat.Commit{ID: chat.NewCommitID(), Changes: []chat.Change{first}})
		c.Changes = []chat.Change{rest}
	}
	return append(all, c)
}

// cut returns the first recordedUsers of a list, and the rest of it.
func cut[T any](list []T) (first, rest []T) {
	n := min(len(list), recordedUsers)
	return list[:n], list[n:]
}
