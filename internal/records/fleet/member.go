package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

const (
	watchEvery    = 100 * time.Millisecond // how often a proxy asks who else is there
	aloneFor      = 300 * time.Millisecond // how long an answer counts, from its question
	knownAfter    = 400 * time.Millisecond // longer than aloneFor
	announceEvery = 2 * time.Second        // how often a proxy says that it is there
	markEvery     = 400 * time.Millisecond // how often it asks where all are to count
	// absentFor is how long it may not have said so until others may have forgotten it.
	absentFor = aliveFor - 2*announceEvery
	// patience is how long one statement about this proxy itself may take.
	patience = 3 * time.Second
)

// Member is this process among those that use a database. It is safe for concurrent use. On the
// embedded store, which no other proxy serves, its methods do nothing.
type Member struct {
	db      *sqldb.DB
	id      string // of the process: 32 characters
	counts  Counting
	log     *slog.Logger
	address string // where it serves, for people; empty: it does not serve. Set by Join
	batches atomic.Uint32

	mu     sync.Mutex        // guards all that follows
	said   time.Time         // when it began to say last that it is there, and could
	known  time.Time         // from when on all others know that it is there
	others map[string]server // as they were seen last, by id
	epoch  uint32            // 0: never asked
	alone  time.Time         // until when nobody else can store anything unnoticed
}

// server is the row of another proxy.
type server struct {
	seen, batches uint32
	changed       time.Time // when it was first seen to be as it is
}

// New makes the Member for a process that counts somewhere.
func New(db *sqldb.DB, counts Counting, log *slog.Logger) *Member {
	return &Member{db: db, id: chat.NewCommitID().String(), counts: counts, log: log}
}

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

// Join says that a proxy is about to serve the database, listening at an address, and waits until
// all others know. Call it once, before anything stores messages, and then Serve.
func (m *Member) Join(ctx context.Context, address string) error {
	if !m.db.ManyWriters() {
		return nil
	}
	m.address = fmt.Sprintf("%.64s", address)
	if err := m.announce(ctx); err != nil {
		return err
	}
	m.forgetOld(ctx)
	if m.counts == InRedis { // where each counter tells by itself
		return nil
	}
	select {
	case <-ctx.Done():
		return chat.Errorf(chat.Unavailable, "waiting until other proxies know of this one: %w",
			ctx.Err())
	case <-time.After(knownAfter):
		return nil
	}
}

// AwaitKnown returns when all others have noticed what this proxy has stored before, so that it may
// be answered: at once, unless others may not know that this proxy is there.
func (m *Member) AwaitKnown() {
	if m.address == "" || m.counts == InRedis { // or it does not serve
		return
	}
	m.mu.Lock()
	now := time.Now()
	known := now.Sub(m.said) < absentFor && !now.Before(m.known)
	m.mu.Unlock()
	if !known {
		time.Sleep(knownAfter) // by then nobody counts on being alone who has not asked since
	}
}

// announce says that this proxy is there.
func (m *Member) announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Now()
	err := m.db.Retry(ctx, func() error {
		_, err := sqldb.Exec(ctx, m.db.Writes(),
			"INSERT INTO IMProxyServer (id,counting,address,seen) VALUES (?,?,?,UNIX_TIMESTAMP())"+
				m.db.Upsert([]string{"id"}, []string{"counting", "address", "seen"}),
			m.id, uint32(m.counts), m.address)
		return err
	})
	if err != nil {
		return m.db.Fail("saying that this proxy serves", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if begun.Sub(m.said) >= absentFor {
		m.known = time.Now().Add(knownAfter)
	}
	m.said = begun
	return nil
}

// withdraw says that a proxy has ended.
func (m *Member) withdraw(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.db.Retry(ctx, func() error {
		_, err := sqldb.Exec(ctx, m.db.Writes(), "DELETE FROM IMProxyServer WHERE id=?", id)
		return m.db.Fail("saying that a proxy has ended", err)
	})
}

// forgetOld forgets proxies that were not seen for an hour: they were killed.
func (m *Member) forgetOld(ctx context.Context) {
	var old []string
	err := m.db.Query(ctx, "which proxies have gone",
		"SELECT id FROM IMProxyServer WHERE seen<UNIX_TIMESTAMP()-3600", nil,
		func(scan sqldb.Scanner) error {
			old = append(old, "")
			return scan(&old[len(old)-1])
		})
	for _, id := range old {
		err = errors.Join(err, m.withdraw(ctx, id))
	}
	if err != nil {
		m.log.Warn("rows of proxies that have gone stay in IMProxyServer until the next start",
			"err", err)
	}
}

// Serve says in the database, until ctx ends, that this proxy is at work, after Join has said so
// first. It also finds out who else is there, and where all are to count. When that is elsewhere,
// it has all that is to be stored fail from then on: see Unfit. It always returns nil.
func (m *Member) Serve(ctx context.Context) error {
	if !m.db.ManyWriters() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(watchEvery)
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
			m.checkFit(ctx)
		}
		if m.counts == InMySQL {
			m.watch(ctx)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPatience)
			defer cancel()
			if err := m.withdraw(last, m.id); err != nil {
				m.log.Warn("MySQL will have this proxy for alive for some seconds", "err", err)
			}
			return nil
		case <-tick.C:
		}
	}
}

// lastPatience is how long the last statement may take.
const lastPatience = time.Second

// checkFit finds out where the proxies of the database are to count, and says so in the log when
// that has changed.
func (m *Member) checkFit(ctx context.Context) {
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

// watch finds out whether this proxy is alone. It counts on that only if others know of it: else
// they may take themselves for alone, too.
func (m *Member) watch(ctx context.Context) {
	begun := time.Now()
	_, changed, err := m.ask(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alone = time.Time{}
	if err == nil && begun.Sub(m.said) < absentFor && begun.Sub(changed) >= aliveFor {
		m.alone = begun.Add(aloneFor)
	}
}

// ask asks what others have stored, and returns the epoch, and when any of their rows has changed
// last; the zero time: there are no others. It tells that by the clock of this process, as those of
// servers may differ, and of what it has read itself: another answer may be older, and come later.
func (m *Member) ask(ctx context.Context) (epoch uint32, changed time.Time, err error) {
	others := make(map[string]server)
	const query = "SELECT id,batches,seen FROM IMProxyServer WHERE id<>?"
	err = m.db.Query(ctx, "what other proxies have stored", query, []any{m.id},
		func(scan sqldb.Scanner) error {
			var id string
			other := server{changed: time.Now()}
			err := scan(&id, &other.batches, &other.seen)
			others[id] = other
			return err
		})
	if err != nil {
		return 0, changed, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	same := len(others) == len(m.others)
	for id, other := range others {
		was, there := m.others[id]
		same = same && there && was.batches == other.batches
		if there && was.batches == other.batches && was.seen == other.seen {
			other.changed = was.changed
			others[id] = other
		}
		if other.changed.After(changed) {
			changed = other.changed
		}
	}
	if m.epoch == 0 || !same {
		m.epoch++
	}
	m.others = others
	return m.epoch, changed, nil
}
