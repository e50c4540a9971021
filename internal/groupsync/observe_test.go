package groupsync_test

import (
	"context"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/groupsync"
)

func TestLooksAreObserved(t *testing.T) {
	rule(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		defer cancel()
		observed, ran := make(chan error, 1), make(chan error, 1)
		s := groupsync.Syncer{Store: w.Store, Marks: w.Store, Now: w.now, Log: w.log,
			Observe: func(took time.Duration, err error) {
				if took < 0 {
					w.Errorf("a look took %v", took)
				}
				observed <- err
			}}
		begin := func() { go func() { ran <- s.Run(ctx) }() }
		begin()
		if err := await(w, observed); err != nil {
			w.Errorf("a look that worked: %v", err)
		}
		cancel()
		if err := await(w, ran); err != nil {
			w.Error(err)
		}
		ctx, cancel = context.WithCancel(w.Context())
		defer cancel()
		g := w.group(1, 2)
		w.talk(g, 1)
		s.Store = &watched{Store: w.Store, before: func(uint32) error { return errFault }}
		begin()
		if err := await(w, observed); err == nil {
			w.Error("a look that failed was observed as one that worked")
		}
		cancel()
		if err := await(w, ran); err != nil {
			w.Error(err)
		}
	})
}
