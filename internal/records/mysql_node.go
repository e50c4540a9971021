package records

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

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

// catchUp waits until the node has applied all that was committed anywhere before now. An error
// says that it has not come so far: then nothing is known of what it lacks. All who ask while one
// such wait is under way share the next one: so many requests for what does not exist cost few.
func (s *Store) catchUp(ctx context.Context) error {
	_, err := s.catchUps.get(ctx, nil)
	return err
}

// nothing is the keys and values of a batcher whose requests all ask for the same.
type nothing struct{}

func (s *Store) awaitCluster(ctx context.Context, _ []nothing) (map[nothing]nothing, error) {
	ctx, cancel := context.WithTimeout(ctx, s.statement)
	defer cancel()
	conn, err := s.write.Conn(ctx)
	if err == nil {
		defer conn.Close() // back to the pool
		err = waitOn(ctx, conn)
	}
	return nil, s.failed("waiting for what other nodes have committed", err)
}

// waitOn has a read wait, and the reads after it no more than those before. A connection of which
// that is not sure is not used again.
func waitOn(ctx context.Context, conn *sql.Conn) (err error) {
	var before int
	if err := conn.QueryRowContext(ctx, "SELECT @@wsrep_sync_wait").Scan(&before); err != nil {
		return err
	}
	set := func(ctx context.Context, value int) error {
		_, err := exec(ctx, conn, fmt.Sprint("SET SESSION wsrep_sync_wait=", value))
		return err
	}
	defer func() {
		if reset := set(context.WithoutCancel(ctx), before); reset != nil {
			err = errors.Join(err, reset, conn.Raw(func(any) error { return driver.ErrBadConn }))
		}
	}()
	if err := set(ctx, before|1); err != nil {
		return err
	}
	return drain(ctx, conn, "SELECT COUNT(*) FROM IMProxyMark")
}

// readSurely is read for what is refused when it is not found: a node that may lack it catches up
// first.
func readSurely[T any](
	ctx context.Context, s *Store, f func(context.Context, reader) (T, error), subjects ...subject,
) (T, error) {
	v, err := read(ctx, s, f, subjects...)
	if !s.mayLack(err) {
		return v, err
	}
	if err := s.catchUp(ctx); err != nil {
		return v, err
	}
	return f(ctx, s.master())
}
