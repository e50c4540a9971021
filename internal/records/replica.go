package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

const (
	beatEvery      = time.Second            // how often a beat is written on the master
	lookEvery      = 250 * time.Millisecond // how often the replica is asked how far it is
	defaultMaxLag  = 10 * time.Second       // a replica that is further behind is not used
	replicaTimeout = time.Second            // of a read there; then the master is asked
	maxWrote       = 1 << 18                // subjects kept in mind
	maxSent        = 3600                   // beats kept in mind
	beatMark       = "replica_beat"         // the mark that beats: a number that each beat of any proxy raises by one
	raiseMark      = "INSERT INTO IMProxyMark (name,value) VALUES (?,1) ON DUPLICATE KEY UPDATE value=(value+1)&4294967295"
)

// subject is what reads and writes are about.
type subject struct {
	kind subjectKind
	a, b uint32
}

type subjectKind uint8

const (
	aPair subjectKind = iota
	aGroup
	aUser // with all that belongs to the user: profile, sessions, groups, files, device
	aSound
	everyUser // the list of all users
	allDepartments
)

func aboutTalk(t chat.Talk) subject {
	if t.Kind == chat.Group {
		return subject{kind: aGroup, a: t.A}
	}
	return subject{aPair, t.A, t.B}
}

func aboutGroup(id uint32) subject { return subject{kind: aGroup, a: id} }
func aboutUser(id uint32) subject  { return subject{kind: aUser, a: id} }
func aboutSound(id uint32) subject { return subject{kind: aSound, a: id} }

// aboutEach is what a list is about.
func aboutEach[K any](keys []K, about func(K) subject) []subject {
	subjects := make([]subject, len(keys))
	for i, k := range keys {
		subjects[i] = about(k)
	}
	return subjects
}

// replica is a second server to read from, which is behind the master by a while. How far it is is known from beats: a
// row that is raised on the master and read on the replica. What was committed before a beat was begun, the replica has
// when it has the beat. So what this proxy has written is not read there until it has a beat that was begun later.
type replica struct {
	db     *sql.DB
	reader reader
	addr   string
	log    *slog.Logger
	maxLag time.Duration

	mu      sync.RWMutex
	begun   uint64             // the last beat that was begun on the master, counted by this process
	sent    []beat             // beats that the replica did not have when it was last asked, oldest first
	seen    uint64             // the last beat that it had
	value   uint32             // of that
	asOf    time.Time          // when that was begun: it has all that was committed before; zero: not known
	wrote   map[subject]uint64 // the beat that the replica must have before these are read there
	all     uint64             // likewise, for everything
	trouble string             // why it is not used; empty: it is
	since   time.Time          // when trouble began
	rest    time.Time          // after a failure it is not used before
}

// beat is one beat of this process.
type beat struct {
	number uint64
	value  uint32    // of the mark
	at     time.Time // when it was begun; elapsed time is measured by it, no time of day
}

func newReplica(s *Store, db *sql.DB, addr string) *replica {
	return &replica{
		db: db, reader: newReader(s, db), addr: addr, log: s.log, maxLag: defaultMaxLag, wrote: make(map[subject]uint64),
		trouble: "not asked yet", since: time.Now(),
	}
}

// has reports whether the replica may be asked about subjects.
func (r *replica) has(subjects []subject) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.trouble != "" || r.seen < r.all || time.Since(r.asOf) > r.maxLag {
		return false
	}
	for _, s := range subjects {
		if len(r.wrote) == 0 {
			break
		}
		if r.wrote[s] > r.seen {
			return false
		}
	}
	return true
}

// note keeps in mind that subjects were written; it is called after the commit.
func (r *replica) note(subjects []subject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble != "" || len(r.wrote)+len(subjects) > maxWrote {
		r.noteAll()
		return
	}
	for _, s := range subjects {
		r.wrote[s] = r.begun + 1
	}
}

// noteAll keeps in mind that anything may have been written. The caller holds mu.
func (r *replica) noteAll() {
	clear(r.wrote)
	r.all = r.begun + 1
}

// failed takes the replica out of use for a while.
func (r *replica) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setTrouble(err.Error())
	r.rest = time.Now().Add(beatEvery)
}

// setTrouble notes why the replica is not used, or with an empty text that it is. The caller holds mu.
func (r *replica) setTrouble(text string) {
	was := r.trouble
	switch r.trouble = text; {
	case text != "" && was == "":
		r.since = time.Now()
		r.log.Warn("the replica is not used: all is read from the master", "addr", r.addr, "reason", text)
		r.noteAll()
	case text == "" && was != "":
		r.log.Info("the replica is used", "addr", r.addr, "after", time.Since(r.since).Round(time.Millisecond), "was", was)
	}
}

// run keeps the beats going until ctx ends.
func (r *replica) run(ctx context.Context, master *sql.DB) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last time.Time
	for ctx.Err() == nil {
		if time.Since(last) >= beatEvery {
			last = time.Now()
			if err := r.beat(ctx, master); err != nil && ctx.Err() == nil {
				r.log.Debug("no beat could be written for the replica", "err", err)
			}
		}
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.failed(err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// beat writes one beat on the master.
func (r *replica) beat(ctx context.Context, master *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	r.mu.Lock()
	r.begun++
	b := beat{number: r.begun, at: time.Now()}
	r.mu.Unlock()
	tx, err := master.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, once it is committed
	if _, err := exec(ctx, tx, raiseMark, beatMark); err != nil {
		return err
	}
	if b.value, _, err = readMark(ctx, tx, beatMark); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.sent); n > 0 && !reached(b.value, r.sent[n-1].value) {
		r.sent = nil // somebody has set the mark back
		r.noteAll()
	}
	if len(r.sent) == maxSent {
		r.sent = slices.Delete(r.sent, 0, 1)
	}
	r.sent = append(r.sent, b)
	return nil
}

// reached reports whether a mark of some value stands at or after one of another; they go round.
func reached(value, other uint32) bool { return int32(value-other) >= 0 }

// look asks the replica which beats it has.
func (r *replica) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	value, ok, err := readMark(ctx, r.db, beatMark)
	if err != nil {
		return fmt.Errorf("reading its beat: %w", err)
	}
	if !ok {
		return errors.New("it has no beat yet; does it replicate?")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asOf.IsZero() && !reached(value, r.value) {
		r.asOf = time.Time{} // it lost something, or is another one
		r.noteAll()
	}
	had := r.seen
	for len(r.sent) > 0 && reached(value, r.sent[0].value) {
		r.seen, r.value, r.asOf = r.sent[0].number, r.sent[0].value, r.sent[0].at
		r.sent = r.sent[1:]
	}
	if r.seen > had {
		maps.DeleteFunc(r.wrote, func(_ subject, n uint64) bool { return n <= r.seen })
	}
	switch behind := time.Since(r.asOf); {
	case r.asOf.IsZero():
		r.setTrouble("how far it is behind is not known yet")
	case behind > r.maxLag:
		r.setTrouble(fmt.Sprintf("it is %v behind", behind.Round(time.Second)))
	case time.Now().After(r.rest):
		r.setTrouble("")
	}
	return nil
}

// RunReplica measures how far the replica is behind, by a beat every second, until ctx ends. Without it, and where there
// is no replica, all is read from the master.
func (s *Store) RunReplica(ctx context.Context) error {
	if s.replica == nil {
		<-ctx.Done()
		return nil
	}
	return s.replica.run(ctx, s.write)
}

// ReplicaLag returns how far the replica is behind at most: it has all that was committed so long ago. As beats are a
// second apart, up to about a second means not at all. known is false without a replica, and before the first beat has
// arrived there.
func (s *Store) ReplicaLag() (lag time.Duration, known bool) {
	if s.replica == nil {
		return 0, false
	}
	s.replica.mu.RLock()
	defer s.replica.mu.RUnlock()
	if s.replica.asOf.IsZero() {
		return 0, false
	}
	return time.Since(s.replica.asOf), true
}

// ReplicaTrouble says why the replica is not used; empty when it is, and where there is none.
func (s *Store) ReplicaTrouble() string {
	if s.replica == nil {
		return ""
	}
	s.replica.mu.RLock()
	defer s.replica.mu.RUnlock()
	return s.replica.trouble
}

// wrote notes what was committed just now, so that it is not read from a replica that does not have it yet. It returns
// err, and notes nothing when there is one.
func (s *Store) wrote(err error, subjects ...subject) error {
	if err == nil && s.replica != nil {
		s.replica.note(subjects)
	}
	return err
}

// wroteAnything is wrote where it is not known what.
func (s *Store) wroteAnything(err error) error {
	if err == nil && s.replica != nil {
		s.replica.mu.Lock()
		defer s.replica.mu.Unlock()
		s.replica.noteAll()
	}
	return err
}

// reader reads from one server.
type reader struct {
	*Store
	db *sql.DB
	*batches
}

func newReader(s *Store, db *sql.DB) reader {
	most := batchQueries
	if !s.dialect.shared() {
		most = math.MaxInt // a query costs little more than its rows: waiting for others gains nothing
	}
	return reader{s, db, newBatches(reader{s, db, nil}, most)}
}

// master reads what must not be late.
func (s *Store) master() reader { return s.reader }

// read calls f for the replica, if that has what this proxy wrote about subjects, else for the master. What fails on the
// replica is done again on the master: f begins anew whenever it is called.
func read[T any](ctx context.Context, s *Store, f func(context.Context, reader) (T, error), subjects ...subject) (T, error) {
	if s.replica != nil && s.replica.has(subjects) {
		bounded, cancel := context.WithTimeout(ctx, replicaTimeout)
		defer cancel()
		v, err := f(bounded, s.replica.reader)
		if err == nil || chat.KindOf(err) != chat.Unavailable || ctx.Err() != nil {
			return v, err
		}
		s.replica.failed(err)
	}
	return f(ctx, s.master())
}

// query runs a query, bounded in time, with the error classified.
func (r reader) query(ctx context.Context, what, query string, args []any, row func(scanner) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.statement)
	defer cancel()
	return r.failed("reading "+what, each(ctx, r.db, query, args, row))
}
