package groupsync_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/wait"
)

// watched is the world's store as one process sees it, with counts of what the loop did.
type watched struct {
	*records.Store
	begun   atomic.Int64 // looks
	looks   atomic.Int64 // looks that were completed
	asked   atomic.Int64 // groups whose members' sessions were asked for
	synced  atomic.Int64 // calls of SyncSessions
	refused atomic.Int64 // leases that others had

	always bool // this process has the lease, whoever has it
	deaf   bool // nobody hears of its end
	// before is called when it is known who is behind, and before their sessions are synced; nil:
	// nothing.
	before func(group uint32) error
}

func (s *watched) ChangedGroups(ctx context.Context, since uint32) ([]news, error) {
	s.begun.Add(1)
	return s.Store.ChangedGroups(ctx, since)
}

func (s *watched) Behind(ctx context.Context, group, at uint32) ([]uint32, error) {
	s.asked.Add(1)
	return s.Store.Behind(ctx, group, at)
}

func (s *watched) SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error {
	s.synced.Add(1)
	if s.before != nil {
		if err := s.before(group); err != nil {
			return err
		}
	}
	return s.Store.SyncSessions(ctx, group, users, at)
}

func (s *watched) SetMark(ctx context.Context, name string, value uint32) error {
	defer s.looks.Add(1)
	return s.Store.SetMark(ctx, name, value)
}

func (s *watched) HoldLease(
	ctx context.Context, name, holder string, lasts time.Duration,
) (bool, error) {
	if s.always {
		return true, nil
	}
	held, err := s.Store.HoldLease(ctx, name, holder, lasts)
	if !held && err == nil {
		s.refused.Add(1)
	}
	return held, err
}

func (s *watched) ReleaseLease(ctx context.Context, name, holder string) error {
	if s.deaf {
		return nil
	}
	return s.Store.ReleaseLease(ctx, name, holder)
}

var errFault = chat.Errorf(chat.Unavailable, "a fault of the test's")

// begin starts a loop that looks all the time; stop ends it and waits for it.
func (w *world) begin(s *watched, lease time.Duration) (stop func()) {
	w.Helper()
	return w.beginEvery(s, 5*time.Millisecond, lease)
}

func (w *world) beginEvery(s *watched, every, lease time.Duration) (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	ran := make(chan error, 1)
	loop := groupsync.Syncer{Store: s, Marks: s, Now: w.now, Log: w.log, Every: every,
		Lease: lease}
	go func() { ran <- loop.Run(ctx) }()
	return func() {
		w.Helper()
		cancel()
		if err := await(w, ran); err != nil {
			w.Errorf("Run: %v", err)
		}
	}
}

// lookOnce has a loop look once, as after a restart.
func (w *world) lookOnce(s *watched) {
	w.Helper()
	before := s.looks.Load()
	stop := w.beginEvery(s, hour, hour)
	eventually(w, "a look", func() bool { return s.looks.Load() > before })
	stop()
}

// looksTwice waits for a look that began after now, and its end.
func (w *world) looksTwice(s *watched) {
	w.Helper()
	until := s.looks.Load() + 2
	eventually(w, "two looks", func() bool { return s.looks.Load() >= until })
}

// eventually waits for something that must come.
var eventually = wait.Until
