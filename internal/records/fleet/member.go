package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

const (
	lookEvery     = 100 * time.Millisecond // how often a proxy looks who else is there
	aloneFor      = 300 * time.Millisecond // how long a look counts, from its beginning
	joinFor       = 400 * time.Millisecond // how long a new proxy waits: longer than aloneFor
	announceEvery = 2 * time.Second        // how often a proxy says that it is there
	markEvery     = 400 * time.Millisecond // how often it looks where all are to count
	// absentFor is how long it may not have said so until others may have forgotten it.
	absentFor = aliveFor - 2*announceEvery
	// patience is how long one statement about this proxy itself may take.
	patience = 3 * time.Second
)

// Member is this process among those that use a database. It is safe for concurrent use. On the
// embedded store, which no other proxy serves, its methods do nothing.
type Member struct {
	db     *sqldb.DB
	id     string // of the process: 32 characters
	counts Counting
	log    *slog.Logger

	address string       // where it serves, for people; empty: it does not serve. Set by Join
	said    atomic.Int64 // when it began to say last that it is there: nanoseconds since started
	batches atomic.Uint32

	mu     sync.Mutex // guards all that follows
	others string     // the other proxies and their numbers, as they were seen last
	epoch  uint32     // 0: never asked
	alone  time.Time  // until when nobody else can store anything
}

// New makes the Member for a process that counts somewhere.
func New(db *sqldb.DB, counts Counting, log *slog.Logger) *Member {
	return &Member{db: db, id: chat.NewCommitID().String(), counts: counts, log: log}
}

// started is the beginning of a clock that only goes on.
var started = time.Now()

// Counts is where this process counts.
func (m *Member) Counts() Counting { return m.counts }

// Fits returns an error if the proxies of the database count elsewhere than this process does. All
// that stores anything there asks before. The kind of the error is NotAllowed, if that is so.
func (m *Member) Fits(ctx context.Context) error {
	if !m.db.ManyWriters() {
		return nil
	}
	ctx, cancel := m.db.Bounded(ctx)
	defer cancel()
	is, err := Read(ctx, m.db)
	if err != nil || is == m.counts {
		return m.db.Fail("reading where proxies count", err)
	}
	text, mend := m.counts.Misfit()
	return chat.Errorf(chat.NotAllowed, "%s: %s", text, m.db.Advise(mend))
}

// Join says that a proxy is about to serve the database, listening at an address. Where others are
// alive it waits until none of them counts on being alone any more. Call it once, before anything
// stores messages, and then Serve.
func (m *Member) Join(ctx context.Context, address string) error {
	if !m.db.ManyWriters() {
		return nil
	}
	m.address = fmt.Sprintf("%.64s", address)
	if err := m.withdraw(ctx); err != nil { // which forgets old ones
		return err
	}
	return m.join(ctx)
}

// join is Join, and the same again when others may have forgotten this proxy.
func (m *Member) join(ctx context.Context) error {
	if err := m.announce(ctx); err != nil {
		return err
	}
	_, alive, err := m.ask(ctx)
	if err != nil || alive == 0 || m.counts == InRedis { // where each counter tells by itself
		return err
	}
	select {
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "waiting until other proxies have seen this one: %w",
			ctx.Err())
	case <-time.After(joinFor):
		return nil
	}
}

// Present returns when others know that this proxy is there, so that it may store messages. A
// process that does not serve may at once.
func (m *Member) Present(ctx context.Context) error {
	if m.address == "" || m.counts == InRedis ||
		time.Since(started)-time.Duration(m.said.Load()) < absentFor {
		return nil
	}
	return m.join(ctx)
}

// announce says that this proxy is there.
func (m *Member) announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Since(started)
	err := m.db.Retry(ctx, func() error {
		_, err := sqldb.Exec(ctx, m.db.Writes(),
			"INSERT INTO IMProxyServer (id,counting,address,seen) VALUES (?,?,?,UNIX_TIMESTAMP())"+
				m.db.Upsert([]string{"id"}, []string{"counting", "address", "seen"}),
			m.id, uint32(m.counts), m.address)
		return err
	})
	if err == nil {
		m.said.Store(int64(begun))
	}
	return m.db.Fail("saying that this proxy serves", err)
}

// withdraw says that this proxy has ended, and forgets those that were not seen for an hour.
func (m *Member) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := sqldb.Exec(ctx, m.db.Writes(),
		"DELETE FROM IMProxyServer WHERE id=? OR seen<UNIX_TIMESTAMP()-3600", m.id)
	return m.db.Fail("saying that this proxy has ended", err)
}

// Serve says in the database, until ctx ends, that this proxy is at work, after Join has said so
// first. It also looks who else is there, and where all are to count. When that is elsewhere, it
// has all that is to be stored fail from then on: see Unfit. It always returns nil.
func (m *Member) Serve(ctx context.Context) error {
	if !m.db.ManyWriters() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var tried, marked time.Time
	for failed := false; ; {
		if time.Since(tried) >= announceEvery {
			tried = time.Now()
			err := m.announce(ctx)
			if err != nil && !failed && ctx.Err() == nil {
				m.log.Warn("cannot say in MySQL that this proxy is there; going on", "err", err)
			}
			failed = err != nil
		}
		if time.Since(marked) >= markEvery {
			marked = time.Now()
			m.lookFit(ctx)
		}
		if m.counts == InMySQL {
			m.look(ctx)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPatience)
			defer cancel()
			if err := m.withdraw(last); err != nil {
				m.log.Warn("MySQL will have this proxy for alive for some seconds", "err", err)
			}
			return nil
		case <-tick.C:
		}
	}
}

// lastPatience is how long the last statement may take.
const lastPatience = time.Second

// lookFit looks where the proxies of the database are to count, and says so in the log when that
// has changed.
func (m *Member) lookFit(ctx context.Context) {
	err := m.Fits(ctx)
	was := m.db.Refusal()
	switch {
	case err != nil && chat.KindOf(err) != chat.NotAllowed: // that MySQL fails is told elsewhere
	case err == nil && was != nil:
		m.db.Refuse(nil)
		m.log.Info("storing again: the proxies of this database count where this one does",
			"counting", m.counts.String())
	case err != nil && was == nil:
		m.db.Refuse(&chat.Error{Kind: chat.Unavailable, Err: err})
		m.log.Error("this proxy stores nothing any more; stop it, and start it with the right "+
			"configuration", "err", err)
	}
}

// Unfit is why nothing is stored any more, as Serve has found it; nil: all is stored.
func (m *Member) Unfit() error {
	if why := m.db.Refusal(); why != nil {
		return why
	}
	return nil
}

// CountBatch tells others, within a transaction that stores messages, that it does.
func (m *Member) CountBatch(ctx context.Context, s sqldb.Session) error {
	if m.counts == InRedis || !m.db.ManyWriters() {
		return nil
	}
	return sqldb.Insert(ctx, s, "IMProxyServer", "id,counting,batches",
		[]any{m.id, uint32(m.counts), m.batches.Add(1)},
		s.Upsert([]string{"id"}, []string{"batches"}))
}

// Known is the epoch in which what is read from now on counts: it was found before now.
func (m *Member) Known() uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch
}

// Epoch is the epoch now: it is another one when any other proxy has stored messages in between.
func (m *Member) Epoch(ctx context.Context) (uint32, error) {
	m.mu.Lock()
	if time.Now().Before(m.alone) {
		defer m.mu.Unlock()
		return m.epoch, nil
	}
	m.mu.Unlock()
	epoch, _, err := m.ask(ctx)
	return epoch, err
}

// look finds out whether this proxy is alone. Where that fails it is not.
func (m *Member) look(ctx context.Context) {
	begun := time.Now()
	_, alive, err := m.ask(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.alone = begun; err == nil && alive == 0 {
		m.alone = begun.Add(aloneFor)
	}
}

// ask asks what others have stored, and returns the epoch, and how many of the others are alive.
func (m *Member) ask(ctx context.Context) (epoch uint32, alive int, err error) {
	var others []byte
	const query = "SELECT id,batches,seen>UNIX_TIMESTAMP()-? FROM IMProxyServer WHERE id<>?" +
		" ORDER BY id"
	err = m.db.Query(ctx, "what other proxies have stored", query,
		[]any{int(aliveFor / time.Second), m.id}, func(scan sqldb.Scanner) error {
			var id string
			var batches, lives uint32
			err := scan(&id, &batches, &lives)
			others = fmt.Appendf(others, "%s %d,", id, batches)
			alive += int(lives)
			return err
		})
	if err != nil {
		return 0, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == 0 || string(others) != m.others {
		m.epoch++
		m.others = string(others)
	}
	return m.epoch, alive, nil
}
