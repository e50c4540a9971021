// Package replica keeps in mind what a second server to read from already has. It is behind its
// master by a while.
//
// Every second each proxy raises a row on the master, the beat, and asks the replica four times a
// second which beat it has. What was committed before a beat was begun, the replica has when it has
// the beat; no clocks are compared. So:
//
//   - What this proxy has written it notes by Subject, with the number of the next beat. A read
//     about that subject goes to the master until the replica has the beat.
//   - From a replica that is far behind, by more than 10 seconds or by nobody knows how much,
//     nothing is read.
//   - What fails there is read from the master within the same request, and the replica rests for a
//     second.
//
// What another proxy wrote within the replica's delay may be missing in an answer, as it may with
// originals. Counters and marks, and whatever a write depends on, are never read there.
package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/marks"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Timeout bounds a read on a replica; after it the master is asked.
const Timeout = time.Second

const (
	beatEvery  = time.Second            // how often a beat is written on the master
	probeEvery = 250 * time.Millisecond // how often the replica is asked how far it is
	mostLag    = 10 * time.Second       // a replica that is further behind is not used
	maxWrote   = 1 << 18                // subjects kept in mind
	maxSent    = 3600                   // beats kept in mind
	// beatMark is the mark that beats: a number that each beat of any proxy raises by one.
	beatMark = "replica_beat"
)

// Replica is what is known of a replica. It is safe for concurrent use. All methods may be called
// on nil, which stands for none.
type Replica struct {
	pool *sqldb.Pool
	addr string
	log  *slog.Logger

	mu     sync.RWMutex // guards what follows
	maxLag time.Duration
	// the last beat that this process has begun on the master, counted from 1
	begun uint64
	// the beats that the replica did not have when last asked, oldest first
	sent    []beat
	seen    uint64             // the last beat that it had
	value   uint32             // of that beat
	asOf    time.Time          // when that beat was begun; zero: not known
	wrote   map[Subject]uint64 // the beat that it must have before a subject is read there
	all     uint64             // the beat that it must have before anything is read there
	trouble string             // why it is not used; empty: it is
	since   time.Time          // when trouble began
	rest    time.Time          // it is not used before, as something has failed
}

// beat is one beat of this process.
type beat struct {
	number uint64
	value  uint32    // of the mark
	at     time.Time // when it was begun, by this process's monotonic clock
}

// New returns what is known of the server of a pool, at an address: nothing yet. It is not used
// before Run has measured it.
func New(pool *sqldb.Pool, addr string, log *slog.Logger) *Replica {
	return &Replica{
		pool: pool, addr: addr, log: log, maxLag: mostLag,
		wrote: make(map[Subject]uint64), trouble: "not asked yet", since: time.Now(),
	}
}

// SetMaxLag says how far the replica may be behind to be used; at first that is 10 seconds.
func (r *Replica) SetMaxLag(lag time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maxLag = lag
}

// Ahead is how many subjects this proxy has written about that the replica does not have yet.
func (r *Replica) Ahead() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.wrote)
}

// Has reports whether the replica may be asked about subjects.
func (r *Replica) Has(subjects []Subject) bool {
	if r == nil {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.trouble != "" || r.seen < r.all || time.Since(r.asOf) > r.maxLag {
		return false
	}
	return len(r.wrote) == 0 ||
		!slices.ContainsFunc(subjects, func(s Subject) bool { return r.wrote[s] > r.seen })
}

// Wrote keeps in mind that subjects were written. It is called after the commit.
func (r *Replica) Wrote(subjects []Subject) {
	if r == nil {
		return
	}
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
func (r *Replica) noteAll() {
	clear(r.wrote)
	r.all = r.begun + 1
}

// WroteAnything keeps in mind that anything may have been written.
func (r *Replica) WroteAnything() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteAll()
}

// Failed takes the replica out of use for a while, as a read there has failed.
func (r *Replica) Failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setTrouble(err.Error())
	r.rest = time.Now().Add(beatEvery)
}

// setTrouble notes why the replica is not used, or with an empty text that it is. The caller holds
// mu.
func (r *Replica) setTrouble(text string) {
	was := r.trouble
	switch r.trouble = text; {
	case text != "" && was == "":
		r.since = time.Now()
		r.log.Warn("the replica is not used: all is read from the master",
			"addr", r.addr, "reason", text)
		r.noteAll()
	case text == "" && was != "":
		r.log.Info("the replica is used", "addr", r.addr,
			"after", time.Since(r.since).Round(time.Millisecond), "was", was)
	}
}

// Run measures how far the replica is behind, by a beat every second on the master, until ctx ends.
func (r *Replica) Run(ctx context.Context, master *sqldb.DB) error {
	if r == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var last time.Time
	for ctx.Err() == nil {
		if time.Since(last) >= beatEvery {
			last = time.Now()
			if err := r.beat(ctx, master); err != nil && ctx.Err() == nil {
				r.log.Debug("no beat could be written for the replica", "err", err)
			}
		}
		if err := r.probe(ctx); err != nil && ctx.Err() == nil {
			r.Failed(err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// beat writes one beat on the master.
func (r *Replica) beat(ctx context.Context, master *sqldb.DB) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r.mu.Lock()
	r.begun++
	b := beat{number: r.begun, at: time.Now()}
	r.mu.Unlock()
	err := master.Tx(ctx, func(tx sqldb.Tx) (err error) {
		if _, err := sqldb.Exec(ctx, tx, marks.Raise, beatMark); err != nil {
			return err
		}
		b.value, _, err = marks.Read(ctx, tx, beatMark)
		return err
	})
	if err != nil {
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

// probe asks the replica which beats it has.
func (r *Replica) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	value, ok, err := marks.Read(ctx, r.pool, beatMark)
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
		maps.DeleteFunc(r.wrote, func(_ Subject, n uint64) bool { return n <= r.seen })
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

// Lag returns how far the replica is behind at most: it has all that was committed so long ago. As
// beats are a second apart, up to about a second means not at all. known is false without a
// replica, and before the first beat has arrived there.
func (r *Replica) Lag() (lag time.Duration, known bool) {
	if r == nil {
		return 0, false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.asOf.IsZero() {
		return 0, false
	}
	return time.Since(r.asOf), true
}

// Trouble says why the replica is not used; empty when it is, and where there is none.
func (r *Replica) Trouble() string {
	if r == nil {
		return ""
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.trouble
}
