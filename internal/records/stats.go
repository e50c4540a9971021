package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Stats returns what database/sql counts of the connection pools: "write" is the one that changes go through, "read"
// the one that requests read from.
func (s *Store) Stats() map[string]sql.DBStats {
	return map[string]sql.DBStats{"write": s.write.Stats(), "read": s.read.Stats()}
}

// Reachable reads a little through each pool, and so fails when the database does not answer, when its tables are not
// there, and when no connection becomes free before ctx ends. The error has kind Unavailable.
func (s *Store) Reachable(ctx context.Context) error {
	for _, pool := range []struct {
		name string
		db   *sql.DB
	}{{"writing", s.write}, {"reading", s.read}} {
		var n int
		if err := pool.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM IMProxyMark").Scan(&n); err != nil {
			return chat.Errorf(chat.Unavailable, "%s: %w", pool.name, s.dialect.explain(err))
		}
	}
	return nil
}
