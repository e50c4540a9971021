// Package records keeps users, talks, messages, sessions and groups in SQL: one set of queries for
// all engines, on the original server's tables and a few of our own. Store implements the
// interfaces that chat declares. A method is one whole operation, and transactions never cross it.
//
// Below it are sqldb, which knows engines and no table; tables, which knows what tables there are;
// and talk, the row by which many processes may write to one talk. Beside it are marks, for values
// and leases by name; replica, which knows what a second server to read from already has; newest,
// which keeps the newest messages of talks in memory; and people, for the commands of an
// administrator.
//
// # Writing
//
// Append stores a batch of messages in one transaction; its comment tells the steps. All other
// changes go one by one, few at a time. What is copied elsewhere, to Redis, is told in a commit
// record, a row that is written in the same transaction: so whoever keeps the copy (Follower)
// brings it up to date even after a crash. The same record answers whether a transaction was stored
// whose COMMIT nobody answered: see Outcome.
//
// # Reading
//
// A read is asked for many things at once, by as many requests as are served together, and takes a
// fixed number of statements, however many those are. Only the list of all people is shared by
// requests that each ask for it alone: see reader.
//
// Reads may go to a replica, which is behind the master. It is asked when it is known to have what
// this proxy wrote about the subject of the read, and what fails there is read from the master: see
// read. Of many things it is asked for those that it has, and the master for the others: see
// readEach. Counters, marks, and whatever a write depends on are always read from the master.
//
// The newest messages of talks are kept in memory for a moment, where it can be told that nothing
// newer is stored: see pages.go and package newest.
//
// # Rows of others
//
// Forks, back offices and the years leave rows that no proxy writes. One of them must not keep
// others from being read, nor a peer from reading the answer:
//
//   - Odd values: NULL is 0 or empty, and a number that the protocol's field cannot hold is the
//     nearest one that it can: see sqldb.Scanner.
//   - Types outside the protocol's lists: a peer in C++ cannot parse an answer with one in a
//     required field. passing says which types are told. Pages and last messages are asked for as
//     if all were, and only where others are found, once more for those alone. What is counted
//     counts them all.
//   - Removed relations: a pair whose relation has status 1 has nothing to be read until a message
//     gives it status 0 again: see findPairs.
//   - Characters that a column lacks: MySQL refuses to compare a column of latin1 or utf8mb3 with
//     such a text, and with all others in the same list. sqldb.ByText finds it by halving the list:
//     nobody has it.
package records

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/marks"
	"github.com/teamtalk-go/dbproxy/internal/records/newest"
	"github.com/teamtalk-go/dbproxy/internal/records/people"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Options of a Store.
type Options struct {
	Now func() time.Time // the clock; nil means time.Now
	Log *slog.Logger     // nil means slog.Default()
	// Follower is told of everything that is copied elsewhere, but for what Append returns in its
	// receipt: that its caller tells. Without a copy it is nil. On MySQL that means that proxies
	// count without Redis.
	Follower Follower
	// MessageTypes and GroupTypes are types that are told to peers beside the protocol's own. Rows
	// of all others are counted, and left out of answers.
	MessageTypes, GroupTypes []uint8
	// Note is for tests alone: see sqldb.Options.
	Note sqldb.Note
}

// complete fills in what has a default.
func (opt Options) complete() Options {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	return opt
}

// database are the options of the database below.
func (opt Options) database() sqldb.Options {
	o := tables.Options(opt.Log)
	o.Note = opt.Note
	return o
}

// Store is the records. It is safe for concurrent use. Errors have the kinds that the interfaces of
// chat promise.
type Store struct {
	marks.Keeper
	people.Roster
	*fleet.Member

	db       *sqldb.DB
	reader   reader           // of the master
	late     reader           // of the replica, which may be behind; without one it is not used
	replica  *replica.Replica // nil: none
	now      func() time.Time
	log      *slog.Logger
	follower Follower

	newest  *newest.Cache
	lastIDs lastIDs

	messageTypes, groupTypes *passing // never changed

	mu      sync.Mutex
	applied []chat.CommitID // guarded by mu: whose records the next Append deletes
}

// OpenSQLite opens the embedded store in a file: see sqldb.OpenSQLite. Its tables are made by
// tables.Migrate.
func OpenSQLite(path string, opt Options) (*Store, error) {
	opt = opt.complete()
	db, err := sqldb.OpenSQLite(path, opt.database())
	if err != nil {
		return nil, err
	}
	return newStore(db, nil, opt), nil
}

// OpenMySQL opens the records in a MySQL, MariaDB or compatible database. Where at, the replica, is
// nil or the same database as master, all is read from the master; else see RunReplica. It does not
// connect yet. Tables are made by tables.Migrate.
func OpenMySQL(master sqldb.MySQL, at *sqldb.MySQL, opt Options) (*Store, error) {
	opt = opt.complete()
	db, err := sqldb.OpenMySQL(master, opt.database())
	if err != nil {
		return nil, err
	}
	if at == nil || master.Same(*at) {
		return newStore(db, nil, opt), nil
	}
	pool, err := sqldb.OpenMySQLPool(*at, opt.database())
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := newStore(db, replica.New(pool, at.Addr, opt.Log), opt)
	s.late = newReader(s, pool)
	return s, nil
}

func newStore(db *sqldb.DB, second *replica.Replica, opt Options) *Store {
	s := &Store{
		Keeper: marks.Of(db), db: db, replica: second,
		now: opt.Now, log: opt.Log, follower: opt.Follower,
		messageTypes: passingMessages(opt), groupTypes: passingGroups(opt),
		newest: newest.New(keptBytes),
	}
	counts := fleet.InMySQL
	if opt.Follower != nil {
		counts = fleet.InRedis
	}
	s.Member = fleet.New(db, counts, opt.Log)
	s.Roster = people.Of(db, second, s.Unix)
	s.reader = newReader(s, db.Pool)
	switch {
	case opt.Follower != nil:
		s.lastIDs = opt.Follower
	case !db.ManyWriters():
		s.lastIDs = soleWriter{s.newest}
	default:
		s.lastIDs = othersStored{soleWriter{s.newest}, s.Member, db.Pool, second != nil}
	}
	return s
}

// DB is the database below, for what works on it beside the records. It belongs to the Store, which
// closes it.
func (s *Store) DB() *sqldb.DB { return s.db }

// keptBytes is how much memory the newest messages of talks may take, in bytes: those of some
// thousand talks.
const keptBytes = 32 << 20

const closeTimeout = time.Second // of the last tidying up

// Close deletes the commit records that are done with and closes the connections. No other call may
// be at work.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if done := s.takeApplied(); len(done) > 0 {
		err := s.db.Change(ctx, func(tx sqldb.Tx) error {
			return deleteCommits(ctx, tx.Session, done)
		})
		if err != nil {
			s.log.Warn("records of applied commits stay until the next start",
				"commits", len(done), "err", err)
		}
	}
	s.reader.everybody.Wait()
	err := s.db.Close()
	if s.replica != nil {
		s.late.everybody.Wait()
		err = errors.Join(err, s.late.Close())
	}
	return err
}

// Pools returns the connection pools by name, so that metrics can tell how they do: those of
// sqldb.DB.Pools and, where there is a replica, "replica". They belong to the store: nobody else
// sends anything through them or closes them.
func (s *Store) Pools() map[string]*sql.DB {
	pools := s.db.Pools()
	if s.replica != nil {
		pools["replica"] = s.late.Connections()
	}
	return pools
}

// Talking is the work on talks within a transaction, also for packages beside records that change
// talks.
func (s *Store) Talking(tx sqldb.Tx) talk.Work {
	return talk.Work{Tx: tx, Elsewhere: s.follower}
}

// Unix is the time by the clock of the Store, in Unix seconds.
func (s *Store) Unix() uint32 { return uint32(s.now().Unix()) }

// TypesTold are the types of messages and of groups that peers are told, as lists in a statement:
// "(1,2)".
func (s *Store) TypesTold() (messages, groups string) {
	return s.messageTypes.in(), s.groupTypes.in()
}
