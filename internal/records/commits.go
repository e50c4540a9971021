package records

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// tombstoneAge is how long the record of a commit that never was keeps it from ever being; by then no statement of it
// can still be on its way. sweptAge is how long that of one which another process applied is kept, so that whoever stored
// it and was not told so can still ask: until the longest deadline of a request, and what clocks may differ by.
const (
	tombstoneAge = 3600 // seconds
	sweptAge     = 600
)

// Outcome implements chat.Ledger: it writes the commit's record again, without changes. Where that could be done, the
// commit was not stored, and as its id is taken now, never can be. Where a record is there already, it says which: with
// changes it is the commit's own; without, it is that of an earlier Outcome whose answer was lost.
func (s *Store) Outcome(ctx context.Context, id chat.CommitID) (stored bool, err error) {
	err = s.db.Tx(ctx, func(tx sqldb.Tx) error {
		stored = false
		_, err := sqldb.Exec(ctx, tx, "INSERT INTO IMProxyCommit (id,created,changes) VALUES (?,?,NULL)", id.String(), s.Unix())
		if err == nil || !s.db.Duplicate(err) {
			return err
		}
		return sqldb.Each(ctx, tx, "SELECT 1 FROM IMProxyCommit WHERE id=? AND changes IS NOT NULL", []any{id.String()}, func(scan sqldb.Scanner) error {
			stored = true
			return nil
		})
	})
	if stored { // perhaps only just now, and nobody knows any more what it was
		err = s.wroteAnything(err)
	}
	return stored, err
}

// Unapplied implements chat.Ledger.
func (s *Store) Unapplied(ctx context.Context, olderThan time.Duration, max int) (commits []chat.Commit, err error) {
	s.mu.Lock()
	applied := slices.Clone(s.applied) // their records are there until the next Append
	s.mu.Unlock()
	now := s.Unix()
	before := now - uint32(olderThan/time.Second)
	err = s.db.Query(ctx, "commit records",
		"SELECT id,COALESCE(changes,'{}') FROM IMProxyCommit WHERE created<=? AND (changes<>'{}' OR created<?) ORDER BY created LIMIT ?",
		[]any{before, now - tombstoneAge, max + len(applied)}, func(scan sqldb.Scanner) error {
			var id, changes string
			if err := scan(&id, &changes); err != nil {
				return err
			}
			c := chat.Commit{}
			raw, err := hex.DecodeString(id)
			if err != nil || len(raw) != len(c.ID) {
				return fmt.Errorf("IMProxyCommit has a row with id %q, which is none of ours", id)
			}
			if copy(c.ID[:], raw); slices.Contains(applied, c.ID) {
				return nil
			}
			if len(commits) == max {
				return sqldb.ErrEnough
			}
			switch err := talk.DecodeCommit(changes, &c); {
			case errors.Is(err, talk.ErrLaterVersion):
				s.log.Warn("a commit record is left alone", "id", id, "reason", err)
				return nil
			case err != nil:
				return fmt.Errorf("IMProxyCommit row %s: %w", id, err)
			}
			commits = append(commits, c)
			return nil
		})
	return commits, err
}

// Applied implements chat.Ledger: a few records go with the next Append, many at once. Those that a crash leaves are
// found by Unapplied.
func (s *Store) Applied(ctx context.Context, ids []chat.CommitID) error {
	if 0 < len(ids) && len(ids) <= fewApplied {
		s.putApplied(ids)
		return nil
	}
	done := append(s.takeApplied(), ids...)
	if len(done) == 0 {
		return nil
	}
	err := s.db.Change(ctx, func(tx sqldb.Tx) error { return deleteCommits(ctx, tx, done) })
	if err != nil {
		s.putApplied(done)
	}
	return err
}

// Swept implements chat.Ledger.
func (s *Store) Swept(ctx context.Context, ids []chat.CommitID) error {
	return s.db.Change(ctx, func(tx sqldb.Tx) error {
		old := s.Unix() - sweptAge
		return sqldb.Chunked(ids, func(ids []chat.CommitID) error {
			in := " IN (" + sqldb.Params(len(ids)) + ")"
			if _, err := sqldb.Exec(ctx, tx, "DELETE FROM IMProxyCommit WHERE created<? AND id"+in, append([]any{old}, commitArgs(ids)...)...); err != nil {
				return err
			}
			_, err := sqldb.Exec(ctx, tx, "UPDATE IMProxyCommit SET changes=? WHERE changes IS NOT NULL AND id"+in, append([]any{talk.Swept}, commitArgs(ids)...)...)
			return err
		})
	})
}

// fewApplied is how many records are left for the next Append to delete.
const fewApplied = 32

func (s *Store) putApplied(ids []chat.CommitID) {
	s.mu.Lock()
	s.applied = append(s.applied, ids...)
	s.mu.Unlock()
}

func (s *Store) takeApplied() []chat.CommitID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.applied
	s.applied = nil
	return ids
}

func deleteCommits(ctx context.Context, q sqldb.Querier, ids []chat.CommitID) error {
	return sqldb.Chunked(ids, func(ids []chat.CommitID) error {
		_, err := sqldb.Exec(ctx, q, "DELETE FROM IMProxyCommit WHERE id IN ("+sqldb.Params(len(ids))+")", commitArgs(ids)...)
		return err
	})
}

func commitArgs(ids []chat.CommitID) []any {
	names := make([]any, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	return names
}
