package records

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// tombstoneAge is how long the record of a commit that never was keeps it from ever being; by then no statement of it
// can still be on its way. sweptAge is how long that of one which another process applied is kept, so that whoever stored
// it and was not told so can still ask: until the longest deadline of a request, and what clocks may differ by.
const (
	tombstoneAge = 3600 // seconds
	sweptAge     = 600
)

// swept are the changes of a commit when they have been applied: none.
const swept = "{}"

// Outcome implements chat.Ledger: it writes the commit's record again, without changes. Where that could be done, the
// commit was not stored, and as its id is taken now, never can be. Where a record is there already, it says which: with
// changes it is the commit's own; without, it is that of an earlier Outcome whose answer was lost.
func (s *Store) Outcome(ctx context.Context, id chat.CommitID) (stored bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		stored = false
		_, err := exec(ctx, tx, "INSERT INTO IMProxyCommit (id,created,changes) VALUES (?,?,NULL)", id.String(), s.unix())
		if err == nil || !s.dialect.duplicate(err) {
			return err
		}
		return each(ctx, tx, "SELECT 1 FROM IMProxyCommit WHERE id=? AND changes IS NOT NULL", []any{id.String()}, func(scan scanner) error {
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
	now := s.unix()
	before := now - uint32(olderThan/time.Second)
	err = s.query(ctx, "commit records",
		"SELECT id,COALESCE(changes,'{}') FROM IMProxyCommit WHERE created<=? AND (changes<>'{}' OR created<?) ORDER BY created LIMIT ?",
		[]any{before, now - tombstoneAge, max + len(applied)}, func(scan scanner) error {
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
				return errEnough
			}
			switch err := decodeCommit(changes, &c); {
			case errors.Is(err, errLaterVersion):
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
	err := s.change(ctx, func(tx *sql.Tx) error { return deleteCommits(ctx, tx, done) })
	if err != nil {
		s.putApplied(done)
	}
	return err
}

// Swept implements chat.Ledger.
func (s *Store) Swept(ctx context.Context, ids []chat.CommitID) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		old := s.unix() - sweptAge
		return chunked(ids, func(ids []chat.CommitID) error {
			in := " IN (" + marks(len(ids)) + ")"
			if _, err := exec(ctx, tx, "DELETE FROM IMProxyCommit WHERE created<? AND id"+in, append([]any{old}, commitArgs(ids)...)...); err != nil {
				return err
			}
			_, err := exec(ctx, tx, "UPDATE IMProxyCommit SET changes=? WHERE changes IS NOT NULL AND id"+in, append([]any{swept}, commitArgs(ids)...)...)
			return err
		})
	})
}

// fewApplied is how many records are left for the next Append to delete.
const fewApplied = 32

// record writes the record of a commit.
func record(ctx context.Context, q querier, c chat.Commit, now uint32) error {
	changes, err := encodeCommit(c)
	if err != nil {
		return err
	}
	_, err = exec(ctx, q, "INSERT INTO IMProxyCommit (id,created,changes) VALUES (?,?,?)", c.ID.String(), now, changes)
	return err
}

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

func deleteCommits(ctx context.Context, q querier, ids []chat.CommitID) error {
	return chunked(ids, func(ids []chat.CommitID) error {
		_, err := exec(ctx, q, "DELETE FROM IMProxyCommit WHERE id IN ("+marks(len(ids))+")", commitArgs(ids)...)
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
