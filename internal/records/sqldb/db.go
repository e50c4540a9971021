package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Options of a database.
type Options struct {
	Log *slog.Logger // nil means slog.Default()
	// ReadsLittle is a query that reads a few rows of one table, to find out whether the database
	// answers. WritesNothing is a statement that changes nothing, and which a server that takes no
	// writes refuses nevertheless.
	ReadsLittle, WritesNothing string
	// FromCaller reports whether the texts of a column come from callers, so that it is the
	// caller's error when the column cannot hold one. table is empty where the server does not name
	// it. Nil means that none do.
	FromCaller func(table, column string) bool
	// Note is called with every text before it goes to the database. It is for tests alone, as it
	// hears passwords and messages; nil elsewhere.
	Note Note
}

// Note is called with a text, and the values that go with it. Many goroutines may call it at once.
type Note func(query string, args []any)

func (n Note) hear(query string, args []driver.NamedValue) {
	if n == nil {
		return
	}
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = arg.Value
	}
	n(query, values)
}

// complete fills in what has a default.
func (opt Options) complete() Options {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.FromCaller == nil {
		opt.FromCaller = func(string, string) bool { return false }
	}
	return opt
}

// DB is a database that is read and written. It is safe for concurrent use.
type DB struct {
	*Pool          // for reads; never behind
	write  *sql.DB // for writes; the same as the pool's where both may write
	batch  *sql.DB // for Batch; on the embedded store it is write
	opt    Options
	watch  *watch                   // over the master; nil on the embedded store
	role   *serverRole              // the master's; nil on the embedded store
	waits  Shared[nothing, nothing] // of CatchUp
	writes *semaphore.Weighted      // one slot for each Change at work

	refusal atomic.Pointer[chat.Error] // why no transaction begins any more; nil: they do
}

// Refuse has every transaction that begins from now on fail with an error, until it is called with
// nil. The error must have a kind.
func (db *DB) Refuse(why *chat.Error) { db.refusal.Store(why) }

// Refusal is why no transaction begins; nil when they do.
func (db *DB) Refusal() *chat.Error { return db.refusal.Load() }

const (
	readTimeout = 3 * time.Second // of one read, unless something else is configured

	sharedWriters = 8 // how many changes run side by side where the engine can do that
)

func newDB(write, read *sql.DB, e engine, opt Options) *DB {
	writers := int64(1)
	if e.ManyWriters() {
		writers = sharedWriters
	}
	db := &DB{write: write, batch: write, opt: opt, writes: semaphore.NewWeighted(writers)}
	db.Pool = newPool(read, e, opt)
	db.Pool.suspect = func() { db.watch.suspect() }
	db.waits = Shared[nothing, nothing]{Find: db.awaitCluster, Most: 1}
	return db
}

func newPool(db *sql.DB, e engine, opt Options) *Pool {
	return &Pool{Session: Session{db, e}, db: db, engine: e, timeout: readTimeout,
		suspect: func() {}, caller: opt.FromCaller}
}

// Close closes all connections. No statement may be at work.
func (db *DB) Close() error {
	db.waits.Wait()
	return errors.Join(db.db.Close(), db.write.Close(), db.batch.Close())
}

// Writes is for single statements that write, each of which is a transaction of its own.
func (db *DB) Writes() Session { return Session{db.write, db.engine} }

// How often a transaction runs that the engine undoes: txTries where it had to wait too long for a
// lock, or its connection broke; raceTries where another transaction was preferred. The latter may
// happen many times in a row on a cluster whose nodes are all written to, as to whoever changes a
// group in which much is sent at another node: of 20 tries all may be lost. Each time is over at
// once. Between such tries there is a pause at random, at most racePause longer each time for the
// first longerTries, so that two transactions that met do not meet again.
const (
	txTries     = 3
	raceTries   = 60
	longerTries = 20
	racePause   = 2 * time.Millisecond
)

// Change is Tx for everything but batches. Only a few changes run at once (a single one where only
// one connection can write), so that a batch waits for few other transactions.
func (db *DB) Change(ctx context.Context, work func(tx Tx) error) error {
	if err := db.writes.Acquire(ctx, 1); err != nil {
		return db.Fail("waiting to write", err)
	}
	defer db.writes.Release(1)
	return db.Tx(ctx, work)
}

// Tx runs work in a transaction that writes. work runs again when the database undid the
// transaction, and once more when a node of a cluster may have lacked what was committed elsewhere.
// When work returns an error, nothing of it is kept. An error of the COMMIT has the kind
// UnknownOutcome, unless the engine says that it undid the transaction.
func (db *DB) Tx(ctx context.Context, work func(tx Tx) error) error {
	return db.Retry(ctx, func() error {
		if why := db.Refusal(); why != nil {
			return why
		}
		return db.txOnce(ctx, db.write, work)
	})
}

// beginner is what transactions begin on: a pool, or one connection.
type beginner interface {
	BeginTx(ctx context.Context, opt *sql.TxOptions) (*sql.Tx, error)
}

func (db *DB) txOnce(ctx context.Context, on beginner, work func(tx Tx) error) error {
	tx, err := on.BeginTx(ctx, nil)
	if err != nil {
		return db.Fail("beginning a transaction", err)
	}
	at := eachAtOnce{tx}
	err = work(Tx{Session{at, db.engine}, at})
	return db.end(ctx, err, tx.Commit, tx.Rollback)
}

// Batch is Tx through connections of its own. Where the server can do that, what is executed there
// is kept back until the next query or the COMMIT, so that nothing is known of what it affected:
// see joined.
func (db *DB) Batch(ctx context.Context, work func(tx Tx) error) error {
	return db.Retry(ctx, func() error {
		if why := db.Refusal(); why != nil {
			return why
		}
		conn, err := db.batch.Conn(ctx)
		if err != nil {
			return db.Fail("connecting", err)
		}
		defer conn.Close() // back to the pool
		j, dialect, err := db.engine.join(conn)
		if err != nil {
			return db.Fail("connecting", err)
		}
		if j == nil {
			return db.txOnce(ctx, conn, work)
		}
		ended := false
		defer func() {
			if !ended { // work panicked: the transaction must not be committed by the next one
				_ = j.drop()
			}
		}()
		err = work(Tx{Session{j, dialect}, j})
		ended = true
		return db.end(ctx, err,
			func() error { return j.Commit(ctx) }, func() error { return j.Rollback(ctx) })
	})
}

// end commits a transaction whose work had no error, and undoes it otherwise.
func (db *DB) end(ctx context.Context, err error, commit, rollBack func() error) error {
	if err == nil {
		err = ctx.Err() // nothing is known of a COMMIT that is interrupted
	}
	if err != nil {
		undo := rollBack()
		if undo != nil && !errors.Is(undo, sql.ErrTxDone) && undo.Error() != err.Error() {
			err = errors.Join(err, undo)
		}
		return db.Fail("", err)
	}
	switch err = commit(); {
	case err == nil:
		return nil
	case errors.As(err, new(notCommitted)):
		return db.Fail("", err)
	case db.engine.undone(err), errors.Is(err, sql.ErrTxDone): // rolled back before, as ctx ended
		return chat.Errorf(chat.Unavailable, "committing: %w", db.engine.explain(err))
	default:
		return chat.Errorf(chat.UnknownOutcome, "committing: %w", db.engine.explain(err))
	}
}

// Retry runs a transaction, once, again while the engine undoes it, and once more when it may have
// lacked what was committed elsewhere.
func (db *DB) Retry(ctx context.Context, once func() error) error {
	caughtUp := false
	for try := 1; ; try++ {
		err := once()
		if db.MayLack(err) && !caughtUp {
			if err := db.CatchUp(ctx); err != nil {
				return err
			}
			caughtUp = true
			continue
		}
		if err == nil || !db.engine.retry(err) || ctx.Err() != nil {
			return err
		}
		raced := db.engine.raced(err)
		if try >= raceTries || !raced && try >= txTries {
			return err
		}
		if !raced {
			db.opt.Log.Warn("the database undid a transaction; running it again",
				"try", try, "err", err)
			continue
		}
		db.opt.Log.Debug("another transaction came first; running this one again",
			"try", try, "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(time.Duration(min(try, longerTries)) * racePause)):
		}
	}
}
