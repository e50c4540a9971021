package records

import (
	"context"
	"errors"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// mayLack reports whether a refusal may come of what a node of Galera has not applied yet though it
// was acknowledged at another: a group that was just made there, a member, a session.
func (s *Store) mayLack(err error) bool {
	if err == nil || s.role == nil || !s.role.node.Load() {
		return false
	}
	kind := chat.KindOf(err)
	return kind == chat.NotFound || kind == chat.NotAllowed
}

// catchUp waits until the node has applied all that was committed anywhere before now. Where it
// does not come so far in time, what it lacks stays refused.
func (s *Store) catchUp(ctx context.Context) {
	conn, err := s.write.Conn(ctx)
	if err == nil {
		defer conn.Close() // back to the pool
		_, err = exec(ctx, conn, "SET SESSION wsrep_sync_wait=1")
	}
	if err == nil {
		err = each(ctx, conn, "SELECT COUNT(*) FROM IMProxyMark", nil, func(scan scanner) error {
			return scan(new(int))
		})
		_, reset := exec(ctx, conn, "SET SESSION wsrep_sync_wait=DEFAULT")
		err = errors.Join(err, reset)
	}
	if err != nil {
		s.log.Warn("could not wait for what other nodes have committed", "err", s.dialect.explain(err))
	}
}
