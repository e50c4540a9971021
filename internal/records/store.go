// Package records keeps users, talks, messages, sessions and groups in SQL: one set of queries behind one narrow
// dialect seam, on the original server's tables and a few of our own. Store implements the interfaces that chat
// declares.
package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Options of a Store.
type Options struct {
	Now func() time.Time // the clock; nil means time.Now
	Log *slog.Logger     // nil means slog.Default()
	// Follower is told of everything that is copied elsewhere, but for what Append returns in its receipt. Nil: there is no copy.
	Follower Follower
	// MessageTypes and GroupTypes are told to peers as they are, beside the protocol's own. Rows of
	// all other types are counted, and left out of answers.
	MessageTypes, GroupTypes []uint8
}

// Store is the records. It is safe for concurrent use. Errors have the kinds that the interfaces of chat promise.
type Store struct {
	write, read *sql.DB     // the same pool where both may write; read is never late
	batches     *sql.DB     // what Append writes through; on the embedded store it is write
	reader      reader      // of read
	replica     *replica    // nil: none
	watch       *watch      // over the master; nil: none
	role        *serverRole // the master's; nil on the embedded store
	dialect     dialect
	now         func() time.Time
	log         *slog.Logger
	follower    Follower
	statement   time.Duration // how long a read may take
	catchUps    batcher[nothing, nothing]

	messageTypes, groupTypes *passing // never changed

	// changes is held by whoever writes, but for Append. So an Append waits for few other transactions at most, however many
	// there are: for one where only one connection can write.
	changes *semaphore.Weighted

	mu      sync.Mutex
	applied []chat.CommitID // records to delete with the next commit
}

const (
	readTimeout  = 3 * time.Second // of one read, unless something else is configured
	closeTimeout = time.Second     // of the last tidying up

	sharedWriters = 8 // how many changes run side by side where the engine can do that
)

func newStore(write, read *sql.DB, d dialect, opt Options) *Store {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	writers := int64(1)
	if d.shared() {
		writers = sharedWriters
	}
	s := &Store{
		write: write, read: read, batches: write, dialect: d, now: opt.Now, log: opt.Log, follower: opt.Follower,
		changes: semaphore.NewWeighted(writers), statement: readTimeout,
		messageTypes: passingMessages(opt), groupTypes: passingGroups(opt),
	}
	s.reader = newReader(s, read)
	s.catchUps = batcher[nothing, nothing]{find: s.awaitCluster, most: 1}
	return s
}

// Close deletes the commit records that are done with and closes the connections. Nothing may be under way.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if done := s.takeApplied(); len(done) > 0 {
		if err := s.change(ctx, func(tx *sql.Tx) error { return deleteCommits(ctx, tx, done) }); err != nil {
			s.log.Warn("records of applied commits stay until the next start", "commits", len(done), "err", err)
		}
	}
	s.reader.wait()
	s.catchUps.wait()
	err := errors.Join(s.read.Close(), s.write.Close(), s.batches.Close())
	if s.replica != nil {
		s.replica.reader.wait()
		err = errors.Join(err, s.replica.db.Close())
	}
	return err
}

// txTries is how often a transaction is run that the engine undid (a lock not had, a connection
// that broke), raceTries where it did so in favour of another one: on a cluster whose nodes are all
// written to, that may happen many times in a row, and is known at once. Between such tries there
// is a pause, at random up to racePause longer each time, so that two that meet do not meet again.
const (
	txTries   = 3
	raceTries = 20
	racePause = 2 * time.Millisecond
)

// change is tx for everything but Append.
func (s *Store) change(ctx context.Context, work func(tx *sql.Tx) error) error {
	if err := s.changes.Acquire(ctx, 1); err != nil {
		return s.failed("waiting to write", err)
	}
	defer s.changes.Release(1)
	return s.tx(ctx, work)
}

// tx runs work in a write transaction. On an error of work nothing of it is kept; an error of the commit itself has the
// kind UnknownOutcome unless the engine says that it undid it.
func (s *Store) tx(ctx context.Context, work func(tx *sql.Tx) error) error {
	return s.again(ctx, func() error { return s.txOnce(ctx, s.write, work) })
}

// batchTx is tx for Append, in the dialect of a connection that is there for it.
func (s *Store) batchTx(ctx context.Context, work func(q batched, d dialect) error) error {
	return s.again(ctx, func() error {
		conn, err := s.batches.Conn(ctx)
		if err != nil {
			return s.failed("connecting", err)
		}
		defer conn.Close() // back to the pool
		d, err := s.dialect.on(conn)
		if err != nil {
			return s.failed("connecting", err)
		}
		return s.txOnce(ctx, conn, func(tx *sql.Tx) error { return work(d.together(tx), d) })
	})
}

// again runs a transaction again while the engine undoes it, and once more when it may have lacked
// what was committed elsewhere.
func (s *Store) again(ctx context.Context, once func() error) error {
	caughtUp := false
	for try := 1; ; try++ {
		err := once()
		if s.mayLack(err) && !caughtUp {
			if err := s.catchUp(ctx); err != nil {
				return err
			}
			caughtUp = true
			continue
		}
		if err == nil || !s.dialect.retry(err) || ctx.Err() != nil {
			return err
		}
		raced := s.dialect.raced(err)
		if try >= raceTries || !raced && try >= txTries {
			return err
		}
		if !raced {
			s.log.Warn("the database undid a transaction; running it again", "try", try, "err", err)
			continue
		}
		s.log.Debug("another transaction came first; running this one again", "try", try, "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(time.Duration(try) * racePause)):
		}
	}
}

// beginner is what transactions begin on: a pool, or one connection.
type beginner interface {
	BeginTx(ctx context.Context, opt *sql.TxOptions) (*sql.Tx, error)
}

func (s *Store) txOnce(ctx context.Context, on beginner, work func(tx *sql.Tx) error) error {
	tx, err := on.BeginTx(ctx, nil)
	if err != nil {
		return s.failed("beginning a transaction", err)
	}
	if err = work(tx); err == nil {
		err = ctx.Err() // nothing is known of a COMMIT that is interrupted
	}
	if err != nil {
		undo := tx.Rollback()
		if undo != nil && !errors.Is(undo, sql.ErrTxDone) && undo.Error() != err.Error() {
			err = errors.Join(err, undo)
		}
		return s.failed("", err)
	}
	switch err = tx.Commit(); {
	case err == nil:
		return nil
	case errors.As(err, new(notCommitted)):
		return s.failed("", err)
	case s.dialect.undone(err), errors.Is(err, sql.ErrTxDone): // ErrTxDone: rolled back before, as ctx ended
		return chat.Errorf(chat.Unavailable, "committing: %w", s.dialect.explain(err))
	default:
		return chat.Errorf(chat.UnknownOutcome, "committing: %w", s.dialect.explain(err))
	}
}

// failed gives an error of the driver its kind; errors that have one keep it.
func (s *Store) failed(doing string, err error) error {
	var known *chat.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	kind, rejected := s.dialect.classify(err), s.dialect.rejects(err)
	err = s.dialect.explain(err)
	switch {
	case kind != chat.Unavailable: // it is well
	case rejected:
		err = fmt.Errorf("%w: %w", chat.ErrRejected, err)
	default:
		s.watch.suspect()
	}
	if doing != "" {
		err = fmt.Errorf("%s: %w", doing, err)
	}
	return &chat.Error{Kind: kind, Err: err}
}

// errEnough ends a query early, without an error.
var errEnough = errors.New("enough rows")

// each runs a query and calls row for every row of the result.
func each(ctx context.Context, q querier, query string, args []any, row func(scanner) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	scan := scanRows(rows)
	for rows.Next() {
		if err := row(scan); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}

// query reads what must not be late; see read for what may come from a replica.
func (s *Store) query(ctx context.Context, what, query string, args []any, row func(scanner) error) error {
	return s.master().query(ctx, what, query, args, row)
}

func exec(ctx context.Context, q querier, query string, args ...any) (affected int64, err error) {
	res, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (s *Store) unix() uint32 { return uint32(s.now().Unix()) }
