package main

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// What needs descriptors besides the connections of peers. Where the limit is low, less of it goes
// on at once.
const (
	mostAdmin    = 16  // connections to the admin address
	mostSounds   = 208 // sounds that are being stored or read
	leastAtOnce  = 4   // of either
	perFile      = 2   // descriptors of a sound in a directory: its own, and the directory's
	perUpload    = 3   // of one on a file server: its connection, and what finds the address
	perScrape    = 4   // what metrics and profiles read of the system
	forMySQL     = 4   // connections beside those of the pools, and what finds addresses
	forSQLite    = 4   // files for what does not fit into memory
	perInstance  = 2   // of a Redis
	perNode      = 6   // of a Cluster, others of which are found
	inReserve    = 6   // connections that are closed as soon as they are accepted, and the like
	atOncePerAll = 16  // one in so many descriptors may be for each of what goes on at once
)

// atOnce returns how much of something may go on at once, of most, under a limit of descriptors.
func atOnce(most, limit int) int { return max(leastAtOnce, min(most, limit/atOncePerAll)) }

// withinLimit returns s with no more connections than there are descriptors for. What is open now,
// and what the stores, sounds and the admin address may open yet, counts against the limit. It
// fails when nothing would be left for connections.
func (s serving) withinLimit(b *backend, at door) (serving, error) {
	limit, err := descriptors.Limit()
	if err != nil {
		return s, err
	}
	open, err := descriptors.Open()
	if descriptors.Mend(err) != "" {
		return s, descriptors.Explain(err)
	} else if err != nil {
		s.log.Warn("cannot tell whether the limit of open files is high enough", "limit", limit,
			"err", err)
		return s, nil
	}
	slots := semaphore.NewWeighted(int64(atOnce(mostSounds, limit)))
	b.rules.Voice = fewSounds{b.rules.Voice, slots}
	s.adminConns = atOnce(mostAdmin, limit)
	wanted, need := s.limits().MaxConns, open+b.need(at, limit)
	enough := open + b.need(at, math.MaxInt)
	mend := fmt.Sprintf("raise the limit to %d or more (%s)", enough+wanted, descriptors.More)
	s.peers = limit - need
	if s.peers < 1 {
		return s, fmt.Errorf("cannot serve: this process may have %d files and connections open, "+
			"and needs %d without those of message servers; %s", limit, need, mend)
	}
	if s.peers < wanted {
		key := s.named("MaxConnections")
		s.log.Warn("the limit of open files is too low: fewer connections are served than "+key+
			" says", "served", s.peers, "MaxConnections", wanted, "limit", limit,
			"mend", mend+", or lower "+key)
	}
	return s, nil
}

// need returns how many more descriptors all but message servers may open under a limit.
func (b *backend) need(at door, limit int) int {
	n := b.descriptors + atOnce(mostSounds, limit)*b.perSound + len(at.public) + inReserve
	for _, db := range b.store.Pools() {
		pool := db.Stats()
		n += max(0, pool.MaxOpenConnections-pool.OpenConnections)
	}
	if at.admin != nil {
		n += atOnce(mostAdmin, limit) + perScrape
	}
	return n
}

// fewSounds is a store of sounds in which only so many are stored or read at once.
type fewSounds struct {
	chat.Voice
	slots *semaphore.Weighted
}

// Save implements chat.Voice.
func (f fewSounds) Save(ctx context.Context, sound []byte) (path string, err error) {
	err = f.inTurn(ctx, func() error { path, err = f.Voice.Save(ctx, sound); return err })
	return path, err
}

// Load implements chat.Voice.
func (f fewSounds) Load(ctx context.Context, path string) (sound []byte, err error) {
	err = f.inTurn(ctx, func() error { sound, err = f.Voice.Load(ctx, path); return err })
	return sound, err
}

// Discard implements chat.Voice.
func (f fewSounds) Discard(ctx context.Context, path string) error {
	return f.inTurn(ctx, func() error { return f.Voice.Discard(ctx, path) })
}

// inTurn does something with a sound when a slot is free.
func (f fewSounds) inTurn(ctx context.Context, do func() error) error {
	if err := f.slots.Acquire(ctx, 1); err != nil {
		return chat.Errorf(chat.Unavailable, "waiting for other sounds to be stored or read: %w",
			err)
	}
	defer f.slots.Release(1)
	return do()
}
