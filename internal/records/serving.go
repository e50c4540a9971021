package records

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/marks"
)

const (
	// lookEvery is how often a proxy looks who else is there, and where all are to count.
	lookEvery = 200 * time.Millisecond
	// aloneFor is how long a proxy counts on being alone after it began to look, and
	// announceEvery how often it says that it is there itself.
	aloneFor      = 500 * time.Millisecond
	announceEvery = 2 * time.Second
	// joinFor is how long a proxy waits, once it has said that it is there, until it stores
	// anything: by then nobody counts on being alone any more. So does one that could not say so
	// for absentFor, as others may have forgotten it.
	joinFor   = time.Second
	absentFor = marks.AliveFor - 2*announceEvery
)

// Counts is where ids and counters are counted on a MySQL database, by those who use this Store: in
// Redis if it has a Follower.
func (s *Store) Counts() marks.Counting {
	if s.follower != nil {
		return marks.InRedis
	}
	return marks.InMySQL
}

// Fits returns an error if the proxies of a MySQL database count elsewhere than this Store does.
// All that stores anything there asks before. The kind of the error is NotAllowed, if that is so.
// Its text has "--config FILE": see sqldb.Pool.Advise.
func (s *Store) Fits(ctx context.Context) error {
	is, err := s.Counting(ctx)
	if err != nil || !s.db.ManyWriters() || is == s.Counts() {
		return err
	}
	text, mend := s.Counts().Misfit()
	return chat.Errorf(chat.NotAllowed, "%s: %s", text, s.db.Advise(mend))
}

// Join says that a proxy is about to serve a MySQL database, listening at an address. Where others
// are alive it waits until none of them counts on being alone any more: see othersStored. Call it
// once, before anything else stores messages, and then Serve.
func (s *Store) Join(ctx context.Context, address string) error {
	s.presence.server = marks.Server{ID: s.self, Address: address, Counting: s.Counts()}
	if err := s.Withdraw(ctx, s.self); err != nil { // which forgets old ones
		return err
	}
	return s.rejoin(ctx)
}

// presence is what this process says of itself to others.
type presence struct {
	server marks.Server // zero: it does not serve
	// said is when it began to say so last, and could: nanoseconds since started.
	said atomic.Int64
}

// rejoin is Join, and the same again when others may have forgotten this proxy.
func (s *Store) rejoin(ctx context.Context) error {
	if err := s.announce(ctx); err != nil {
		return err
	}
	others := s.others
	if others == nil {
		return nil // in Redis each counter tells by itself
	}
	_, alive, err := others.ask(ctx)
	if err != nil || alive == 0 {
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

// announce says that this proxy is there.
func (s *Store) announce(ctx context.Context) error {
	begun := time.Since(started)
	err := s.Announce(ctx, s.presence.server)
	if err == nil {
		s.presence.said.Store(int64(begun))
	}
	return err
}

// started is the beginning of a clock that only goes on.
var started = time.Now()

// present returns when others know that this proxy is there, so that it may store messages. One
// that does not serve may.
func (s *Store) present(ctx context.Context) error {
	if s.others == nil || s.presence.server.ID == "" ||
		time.Since(started)-time.Duration(s.presence.said.Load()) < absentFor {
		return nil
	}
	return s.rejoin(ctx)
}

// Serve says in the database, until ctx ends, that this proxy is at work, after Join has said so
// first. It also looks where the proxies of the database are to count. When that is elsewhere, it
// has all that is to be stored fail from then on: see Unfit. It always returns nil. On the embedded
// store there is nothing to do.
func (s *Store) Serve(ctx context.Context) error {
	if !s.db.ManyWriters() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var tried time.Time
	for failed := false; ; {
		if time.Since(tried) >= announceEvery {
			tried = time.Now()
			err := s.announce(ctx)
			if err != nil && !failed && ctx.Err() == nil {
				s.log.Warn("cannot say in MySQL that this proxy is there; going on", "err", err)
			}
			failed = err != nil
		}
		s.lookFit(ctx)
		if s.others != nil {
			_ = s.others.look(ctx) // where it fails this proxy is not alone
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			if err := s.Withdraw(last, s.self); err != nil {
				s.log.Warn("MySQL will have this proxy for alive for some seconds", "err", err)
			}
			return nil
		case <-tick.C:
		}
	}
}

// lookFit looks where the proxies of the database are to count, and says so in the log when that
// has changed.
func (s *Store) lookFit(ctx context.Context) {
	err := s.Fits(ctx)
	was := s.db.Refusal()
	switch {
	case err != nil && chat.KindOf(err) != chat.NotAllowed: // that MySQL fails is told elsewhere
	case err == nil && was != nil:
		s.db.Refuse(nil)
		s.log.Info("storing again: the proxies of this database count where this one does",
			"counting", s.Counts().String())
	case err != nil && was == nil:
		s.db.Refuse(&chat.Error{Kind: chat.Unavailable, Err: err})
		s.log.Error("this proxy stores nothing any more; stop it, and start it with the right "+
			"configuration", "err", err)
	}
}

// Unfit is why nothing is stored any more, as Serve has found it; nil: all is stored.
func (s *Store) Unfit() error {
	if why := s.db.Refusal(); why != nil {
		return why
	}
	return nil
}
