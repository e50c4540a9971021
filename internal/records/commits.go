package records

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// An empty record (see Outcome) keeps a commit from ever being stored. tombstoneAge is how long it
// does; by then no statement of that commit can still be on its way. sweptAge is how long the
// record of a commit is kept that another process has applied, so that whoever stored it and was
// not told so can still ask. It is longer than the longest deadline of a request and what clocks
// may differ by.
const (
	tombstoneAge = 3600 // seconds
	sweptAge     = 600
)

// Outcome implements chat.Ledger. It writes the commit's record again, an empty one. Where that can
// be done, the commit was not stored, and never can be, as its id is taken now. Where a record is
// there already, it says which: with changes it is the commit's own; without, it is that of an
// earlier Outcome whose answer was lost.
func (s *Store) Outcome(ctx context.Context, id chat.CommitID) (stored bool, err error) {
	err = s.db.Tx(ctx, func(tx sqldb.Tx) error {
		stored = false
		_, err := sqldb.Exec(ctx, tx,
			"INSERT INTO IMProxyCommit (id,created,changes) VALUES (?,?,NULL)",
			id.String(), s.Unix())
		if err == nil || !s.db.Duplicate(err) {
			return err
		}
		const query = "SELECT 1 FROM IMProxyCommit WHERE id=? AND changes IS NOT NULL"
		return sqldb.Each(ctx, tx, query, []any{id.String()}, func(scan sqldb.Scanner) error {
			stored = true
			return nil
		})
	})
	if stored { // perhaps only just now, and nobody knows any more what it was
		s.newest.Clear()
		s.AwaitKnown()
		err = s.wroteAnything(err)
	}
	return stored, err
}

// Unapplied implements chat.Ledger.
func (s *Store) Unapplied(
	ctx context.Context, olderThan time.Duration, max int,
) (commits []chat.Commit, err error) {
	s.mu.Lock()
	applied := slices.Clone(s.applied) // their records are there until the next Append
	s.mu.Unlock()
	now := s.Unix()
	before := now - uint32(olderThan/time.Second)
	const query = "SELECT id,COALESCE(changes,'{}') FROM IMProxyCommit" +
		" WHERE created<=? AND (changes<>'{}' OR created<?) AND " + talk.Readable +
		" ORDER BY created LIMIT ?"
	err = s.db.Query(ctx, "commit records", query,
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
			if err := talk.DecodeCommit(changes, &c); err != nil {
				return fmt.Errorf("IMProxyCommit row %s: %w", id, err)
			}
			commits = append(commits, c)
			return nil
		})
	return commits, err
}

// Applied implements chat.Ledger. A few records are deleted with the next Append, many at once.
// Those that a crash leaves are found by Unapplied.
func (s *Store) Applied(ctx context.Context, ids []chat.CommitID) error {
	if 0 < len(ids) && len(ids) <= fewApplied {
		s.putApplied(ids)
		return nil
	}
	done := append(s.takeApplied(), ids...)
	if len(done) == 0 {
		return nil
	}
	err := s.db.Change(ctx, func(tx sqldb.Tx) error { return deleteCommits(ctx, tx.Session, done) })
	if err != nil {
		s.putApplied(done)
	}
	return err
}

// Swept implements chat.Ledger.
func (s *Store) Swept(ctx context.Context, ids []chat.CommitID) error {
	return s.db.Change(ctx, func(tx sqldb.Tx) error {
		names := commitNames(ids)
		err := sqldb.ExecIn(ctx, tx.Session,
			"DELETE FROM IMProxyCommit WHERE created<? AND id IN (%s)", names, s.Unix()-sweptAge)
		if err != nil {
			return err
		}
		return sqldb.ExecIn(ctx, tx.Session,
			"UPDATE IMProxyCommit SET changes=? WHERE changes IS NOT NULL AND id IN (%s)",
			names, talk.Swept)
	})
}

// fewApplied is how many records Applied leaves for the next Append to delete, at most.
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

func deleteCommits(ctx context.Context, s sqldb.Session, ids []chat.CommitID) error {
	return sqldb.ExecIn(ctx, s, "DELETE FROM IMProxyCommit WHERE id IN (%s)", commitNames(ids))
}

// commitNames are ids as the table has them.
func commitNames(ids []chat.CommitID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = id.String()
	}
	return names
}
