package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Pools returns the connection pools by name, for those who want to know how they do. Of the
// embedded store "write" is the one that changes go through, "read" the one that requests read from;
// else there are "master", "batches", which stores messages there, and, where there is one,
// "replica". They belong to the store: nobody else sends anything through them or closes them.
func (s *Store) Pools() map[string]*sql.DB {
	pools := s.pools()
	if s.replica != nil {
		pools["replica"] = s.replica.db
	}
	return pools
}

// pools are those that must work.
func (s *Store) pools() map[string]*sql.DB {
	if s.read == s.write {
		return map[string]*sql.DB{"master": s.write, "batches": s.batches}
	}
	return map[string]*sql.DB{"write": s.write, "read": s.read}
}

// Reachable reads a little through each pool but the replica's, and so fails when the database does not answer, when its
// tables are not there, when no connection becomes free before ctx ends, and when a MySQL master takes no writes. The
// error has kind Unavailable, and says of a MySQL master since when it cannot be used, if that is known: see WatchMaster.
func (s *Store) Reachable(ctx context.Context) error {
	err := s.reach(ctx)
	if err == nil {
		return nil
	}
	s.watch.suspect()
	if known := s.MasterTrouble(); known != "" {
		return chat.Errorf(chat.Unavailable, "%s", known)
	}
	if ctx.Err() != nil {
		return chat.Errorf(chat.Unavailable, "no answer in time, or no connection that was free: %w", err)
	}
	return err
}

func (s *Store) reach(ctx context.Context) error {
	for name, db := range s.pools() {
		var n int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM IMProxyMark").Scan(&n); err != nil {
			return chat.Errorf(chat.Unavailable, "%s: %w", name, s.dialect.explain(err))
		}
	}
	if !s.dialect.shared() {
		return nil
	}
	var readOnly string
	switch err := s.write.QueryRowContext(ctx, "SELECT @@read_only").Scan(&readOnly); {
	case err != nil:
		return chat.Errorf(chat.Unavailable, "master: %w", s.dialect.explain(err))
	case readOnly != "0" && readOnly != "OFF":
		return chat.Errorf(chat.Unavailable, "master: it is read-only (SET GLOBAL read_only=0 where it should be the master)")
	}
	return nil
}
