package records

import (
	"context"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/marks"
)

const (
	// markEvery is how often a proxy looks where the proxies of its database are to count.
	markEvery = 400 * time.Millisecond
	// announceEvery is how often it says that it is there.
	announceEvery = 2 * time.Second
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

// Serve says in the database, until ctx ends, that a proxy is at work there, which listens at an
// address. It also looks where the proxies of the database are to count. When that is elsewhere, it
// has all that is to be stored fail from then on: see Unfit. It always returns nil. On the embedded
// store there is nothing to do.
func (s *Store) Serve(ctx context.Context, address string) error {
	if !s.db.ManyWriters() {
		<-ctx.Done()
		return nil
	}
	self := marks.Server{ID: s.self, Address: address, Counting: s.Counts()}
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	var announced time.Time
	for failed := false; ; {
		if time.Since(announced) >= announceEvery {
			err := s.Announce(ctx, self)
			if err != nil && !failed && ctx.Err() == nil {
				s.log.Warn("cannot say in MySQL that this proxy is there; going on", "err", err)
			}
			announced, failed = time.Now(), err != nil
		}
		s.lookFit(ctx)
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
