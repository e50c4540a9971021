package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// storingQuiet is how long no message may have failed until messages count as stored again: where one table of several
// is missing some fail and others do not.
const storingQuiet = 10 * time.Second

// Failing tells of messages and read acks that the storage did not store, after all tries.
type Failing struct {
	Since, Last time.Time // the first and the last of them
	Count       int       // of them; those of which nobody knows whether they were stored included
	Err         error     // of the last; its text says how to mend it, as far as that is known
}

// Failing returns what failed, and false while messages are stored. It does not depend on how many are sent: it is true
// from the first that fails until one is stored and none has failed for 10 seconds.
func (s *Service) Failing() (Failing, bool) { return s.committer.storing.failing() }

// storing knows whether messages are stored, and logs when that changes.
type storing struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	what   Failing   // Count is 0 while messages are stored
	stored time.Time // the first one after the last that failed; zero: none yet
}

// told notes what a job is told. What the rules or the row itself forbid, and what was given up before anybody tried to
// store it, says nothing of the storage.
func (s *storing) told(o outcome) {
	switch {
	case o.err == nil && o.stored.Err == nil:
		s.succeeded()
	case o.err != nil && !Refused(o.err) && !errors.Is(o.err, ErrDropped) && !errors.Is(o.err, context.Canceled):
		s.failed(o.err)
	}
}

func (s *storing) succeeded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.what.Count > 0 && s.stored.IsZero() {
		s.stored = s.now()
	}
	s.look()
}

func (s *storing) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	now := s.now()
	if s.what.Count == 0 {
		s.what.Since = now
		s.log.Warn("messages are not stored; who sends them is told so", "err", err)
	}
	s.what.Count++
	s.what.Last, s.what.Err, s.stored = now, err, time.Time{}
}

func (s *storing) failing() (Failing, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	return s.what, s.what.Count > 0
}

// look ends what has ended. Called with mu held.
func (s *storing) look() {
	if s.stored.IsZero() || s.now().Sub(s.what.Last) < storingQuiet {
		return
	}
	after := s.stored.Sub(s.what.Since).Round(time.Millisecond)
	s.log.Info("messages are stored again", "after", after, "failed", s.what.Count)
	s.what, s.stored = Failing{}, time.Time{}
}
