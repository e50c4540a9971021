package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// MayLack reports whether a refusal may come of what a node of Galera has not applied yet though it
// was acknowledged at another: a group that was just made there, a member, a session.
func (db *DB) MayLack(err error) bool {
	if err == nil || db.role == nil || !db.role.node.Load() {
		return false
	}
	kind := chat.KindOf(err)
	return kind == chat.NotFound || kind == chat.NotAllowed
}

// CatchUp waits until the node has applied all that was committed anywhere before now. With an
// error it has not come so far, and nobody knows what it lacks. All who ask while one such wait is
// at work share the next one, so that many requests for what does not exist cost few.
func (db *DB) CatchUp(ctx context.Context) error {
	_, err := db.waits.Get(ctx, nil)
	return err
}

// nothing is the key and the value of a Shared whose requests all ask for the same.
type nothing struct{}

func (db *DB) awaitCluster(ctx context.Context, _ []nothing) (map[nothing]nothing, error) {
	ctx, cancel := db.Bounded(ctx)
	defer cancel()
	conn, err := db.write.Conn(ctx)
	if err == nil {
		defer conn.Close() // back to the pool
		err = db.waitOn(ctx, conn)
	}
	return nil, db.Fail("waiting for what other nodes have committed", err)
}

// waitOn makes one read on a connection wait for the node, and restores how long reads wait there.
// A connection of which that is not certain is not used again.
func (db *DB) waitOn(ctx context.Context, conn *sql.Conn) (err error) {
	var before int
	if err := conn.QueryRowContext(ctx, "SELECT @@wsrep_sync_wait").Scan(&before); err != nil {
		return err
	}
	set := func(ctx context.Context, value int) error {
		_, err := Exec(ctx, conn, fmt.Sprint("SET SESSION wsrep_sync_wait=", value))
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
	return Drain(ctx, conn, db.opt.ReadsLittle)
}
