package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// storingQuiet is for how long no message may have failed before messages count as stored again:
// where one table of several is missing, some messages fail and others do not.
const storingQuiet = 10 * time.Second

// Failing tells of messages and read acks that the store did not take, after all tries.
type Failing struct {
	Since, Last time.Time // when the first and the last of them failed
	Count       int       // how many failed, those of unknown outcome included
	Err         error     // of the last; its text says what to do, as far as that is known
}

// Failing returns what failed, and false while messages are stored. It is true from the first
// message that fails until one is stored and none has failed for 10 seconds, however few are sent.
func (s *Service) Failing() (Failing, bool) { return s.committer.storing.failing() }

// storing knows whether messages are stored, and logs when that changes.
type storing struct {
	log *slog.Logger
	now func() time.Time

	// mu guards what follows.
	mu     sync.Mutex
	what   Failing   // Count is 0 while messages are stored
	stored time.Time // when the first was stored after the last that failed; zero: none was yet
}

// told is called with what a job is told. A refusal by the rules, or because of the row itself,
// says nothing of the store, nor does a job that was given up before anybody tried to store it.
func (s *storing) told(r result) {
	switch {
	case r.err == nil && r.stored.Err == nil:
		s.succeeded()
	case r.err == nil, Refused(r.err), errors.Is(r.err, ErrDropped),
		errors.Is(r.err, context.Canceled):
	default:
		s.failed(r.err)
	}
}

func (s *storing) succeeded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.what.Count > 0 && s.stored.IsZero() {
		s.stored = s.now()
	}
	s.refresh()
}

func (s *storing) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh()
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
	s.refresh()
	return s.what, s.what.Count > 0
}

// refresh notes when messages have been stored again for long enough. Called with mu held.
func (s *storing) refresh() {
	if s.stored.IsZero() || s.now().Sub(s.what.Last) < storingQuiet {
		return
	}
	after := s.stored.Sub(s.what.Since).Round(time.Millisecond)
	s.log.Info("messages are stored again", "after", after, "failed", s.what.Count)
	s.what, s.stored = Failing{}, time.Time{}
}
