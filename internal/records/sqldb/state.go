package sqldb

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Pools returns the connection pools by name, for metrics. On MySQL "batches" stores messages, and
// "master" is for all else. On the embedded store changes go through "write", and requests read
// from "read".
func (db *DB) Pools() map[string]*sql.DB {
	if db.db == db.write {
		return map[string]*sql.DB{"master": db.write, "batches": db.batch}
	}
	return map[string]*sql.DB{"write": db.write, "read": db.db}
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error { return db.Fail("", db.write.PingContext(ctx)) }

// OpenAll opens all connections that the embedded store may have, with the files that each needs,
// and they stay open. SQLite would open them when it first needs them, and the process may have no
// file descriptors left then.
func (db *DB) OpenAll(ctx context.Context) error {
	for _, pool := range db.Pools() {
		for range pool.Stats().MaxOpenConnections {
			conn, err := pool.Conn(ctx)
			if err != nil {
				return db.Fail("", err)
			}
			defer conn.Close() // gives it back to the pool
			var n int
			err = conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&n)
			if err != nil {
				return db.Fail("", err)
			}
		}
	}
	return nil
}

// Reachable reads a little through each pool. So it fails when the database does not answer, when
// its tables are not there, when no connection becomes free before ctx ends, and when a MySQL
// master takes no writes. The error has kind Unavailable, and says since when a MySQL master cannot
// be used, if that is known: see WatchMaster.
func (db *DB) Reachable(ctx context.Context) error {
	err := db.reach(ctx)
	if err == nil {
		return nil
	}
	db.suspect()
	if known := db.MasterTrouble(); known != "" {
		return chat.Errorf(chat.Unavailable, "%s", known)
	}
	if ctx.Err() != nil {
		return chat.Errorf(chat.Unavailable,
			"no answer in time, or no connection that was free: %w", err)
	}
	return err
}

func (db *DB) reach(ctx context.Context) error {
	for name, pool := range db.Pools() {
		if err := Drain(ctx, pool, db.opt.ReadsLittle); err != nil {
			return chat.Errorf(chat.Unavailable, "%s: %w", name, db.engine.explain(err))
		}
	}
	if db.Engine() != EngineMySQL {
		return nil
	}
	var readOnly string
	switch err := db.write.QueryRowContext(ctx, "SELECT @@read_only").Scan(&readOnly); {
	case err != nil:
		return chat.Errorf(chat.Unavailable, "master: %w", db.engine.explain(err))
	case readOnly != "0" && readOnly != "OFF":
		return chat.Errorf(chat.Unavailable, "master: it is read-only "+
			"(SET GLOBAL read_only=0 where it should be the master)")
	}
	return nil
}
