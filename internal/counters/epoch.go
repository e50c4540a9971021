package counters

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// An instance of Redis may lose what it had: it is flushed, comes back empty, or comes back with an old snapshot. So
// each role has an epoch: an id, and a beat that is raised every second, both in Redis and, after that, in the records.
// An instance without them, with another id or an older beat than the records' has lost something; so have the records
// when their beat is far behind. Then a new epoch begins, and every key counts as incomplete until its companion says
// that it was filled from the records in that epoch.
//
// The epochs are kept by role, not by address: an instance that was moved elsewhere without its keys has lost them,
// too. The first epoch is special: what was there before it are the counters of original servers, which are taken over.
const firstEpoch = 1

// begins is the epoch that an instance begins with. A Cluster may lose a node's keys and keep that of the epoch, which
// is on another: there, only what was filled is ever believed. Original servers do not work on a Cluster.
func (i Instance) begins() uint32 {
	if len(i.Cluster) > 0 {
		return firstEpoch + 1
	}
	return firstEpoch
}

const (
	beatEvery   = time.Second
	lookTimeout = 2 * time.Second
	// restored is how far the records' beat is behind that of Redis only when they come from a backup: it is raised to one
	// more than is recorded, so that it is no clock, but is never further ahead than that.
	restored = 60
	// lookTries is how often a look begins again because another process was faster.
	lookTries = 10
)

func epochKey(role string) string  { return "dbproxy:epoch:" + role }
func epochMark(role string) string { return "epoch:" + role }
func beatMark(role string) string  { return "beat:" + role }

// role is what an instance is used for.
type role struct {
	*link
	name string

	looking *semaphore.Weighted // held while epochs are compared; who waits for it does not wait longer than its context

	mu    sync.Mutex
	epoch uint32 // the current one as far as we know; 0: nobody has looked yet
	beat  uint32 // the greatest seen of it

	recorded uint32 // the beat in the records, when they were last looked at
}

// known returns the epoch; 0 is unknown.
func (ro *role) known() uint32 {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	return ro.epoch
}

// matches compares what stands in Redis with what we know, and whether that was at when the question was put together.
func (ro *role) matches(value string, at uint32) bool {
	id, beat := parseEpoch(value)
	ro.mu.Lock()
	defer ro.mu.Unlock()
	if at == 0 || at != ro.epoch || id != at || beat < ro.beat {
		return false
	}
	ro.beat = beat
	return true
}

func (ro *role) record(beat uint32) {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	ro.recorded = beat
}

// seen is the greatest beat that was seen of an epoch.
func (ro *role) seen(epoch uint32) uint32 {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	if epoch != ro.epoch {
		return 0
	}
	return ro.beat
}

func (ro *role) learn(id, beat uint32) {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	switch {
	case id > ro.epoch:
		ro.epoch, ro.beat = id, beat
	case id == ro.epoch:
		ro.beat = max(ro.beat, beat)
	}
}

func parseEpoch(value string) (id, beat uint32) {
	first, second, _ := strings.Cut(value, " ")
	return count(first), count(second)
}

// revision orders the records' revisions of a talk across epochs: see scripts.go.
func revision(epoch, rev uint32) string { return strconv.FormatUint(uint64(epoch)<<32|uint64(rev), 10) }

// Run watches over the epochs until ctx ends.
func (r *Redis) Run(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for failed := false; ; {
		err := r.beat(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			r.log.Warn("cannot compare Redis with the records; going on", "err", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-tick.C:
		}
	}
}

// lookAll compares all instances that are there with the records.
func (r *Redis) lookAll(ctx context.Context) error {
	var errs error
	for _, ro := range r.roles {
		if _, why := ro.away(); why != nil {
			continue
		}
		// Of one server all have the same to say.
		if err := r.compare(ctx, ro); err != nil && (errs == nil || !strings.Contains(errs.Error(), err.Error())) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// settled returns the epoch after a fresh look.
func (r *Redis) settled(ctx context.Context, ro *role) (uint32, error) {
	if err := r.compare(ctx, ro); err != nil {
		return 0, err
	}
	return ro.known(), nil
}

// compare compares an instance with the records, and begins a new epoch if it has lost something. The records are read
// first: their beat is never ahead of Redis' unless Redis has lost it.
func (r *Redis) compare(ctx context.Context, ro *role) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := ro.looking.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting for another look at Redis %s: %w", ro.name, err)
	}
	defer ro.looking.Release(1)
	for range lookTries {
		marks, err := r.books.Marks(ctx, []string{epochMark(ro.name), beatMark(ro.name)})
		if err != nil {
			return err
		}
		id, beat := marks[epochMark(ro.name)], marks[beatMark(ro.name)]
		seen := ro.seen(id)
		results, err := ro.do(ctx, []command{plain("GET", epochKey(ro.name))})
		if err != nil {
			return err
		}
		value := text(results[0])
		inRedis, beatInRedis := parseEpoch(value)
		switch {
		case id != 0 && inRedis == id && beatInRedis >= max(beat, seen) && (beat == 0 || beatInRedis <= beat+restored):
			if beat == 0 { // whoever began it did not get so far
				_, err = r.books.SwapMark(ctx, beatMark(ro.name), 0, beatInRedis)
				beat = beatInRedis
			}
			if err == nil {
				ro.learn(id, beatInRedis)
				ro.record(beat)
			}
			return err
		case value == "" && beat == 0: // nobody ever was here, or did not get far
			err = r.begin(ctx, ro, id, ro.begins(), 0)
		default:
			again, err := r.books.Marks(ctx, []string{epochMark(ro.name)})
			if err != nil {
				return err
			}
			if again[epochMark(ro.name)] != id {
				continue // another process has just begun one
			}
			r.log.Warn("Redis and the records disagree, so one was lost or set back; Redis is filled again as it is needed",
				"instance", ro.name, "addr", ro.String(), "epoch", value, "recorded", fmt.Sprint(id, " ", beat))
			if err := r.begin(ctx, ro, id, max(id, inRedis)+1, max(beat, beatInRedis)); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("Redis %s (%s) loses what it has again and again", ro.name, ro.Instance)
}

// begin begins an epoch, unless another process was faster.
func (r *Redis) begin(ctx context.Context, ro *role, old, id, beat uint32) error {
	swapped, err := r.books.SwapMark(ctx, epochMark(ro.name), old, id)
	if err != nil || !swapped {
		return err
	}
	beat++
	if _, err = ro.do(ctx, []command{run(setEpoch, epochKey(ro.name), decimal(id), decimal(beat))}); err != nil {
		return err
	}
	return r.books.RaiseMarks(ctx, map[string]uint32{beatMark(ro.name): beat})
}

// beat compares and then raises the beats: in Redis first, so that the records are never ahead of it.
func (r *Redis) beat(ctx context.Context) error {
	if err := errors.Join(r.lookAll(ctx), r.renewEvicted(ctx)); err != nil {
		return err
	}
	_ = r.noteStart(ctx) // or at the next beat
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	raised := make(map[string]uint32)
	for _, ro := range r.roles {
		if beat, ok := r.raiseBeat(ctx, ro); ok {
			raised[beatMark(ro.name)] = beat
		}
	}
	if len(raised) > 0 {
		if err := r.books.RaiseMarks(ctx, raised); err != nil {
			return err
		}
	}
	if err := r.replay(ctx); err != nil {
		return err
	}
	return r.catchUp(ctx)
}

// raiseBeat raises the beat in Redis to one more than is recorded, and says whether it did. It does not where Redis has
// lost something since it was compared.
func (r *Redis) raiseBeat(ctx context.Context, ro *role) (beat uint32, ok bool) {
	ro.mu.Lock()
	id, beat, seen := ro.epoch, ro.recorded+1, ro.beat
	ro.mu.Unlock()
	if _, why := ro.away(); why != nil || id == 0 {
		return 0, false
	}
	results, err := ro.do(ctx, []command{run(raiseBeat, epochKey(ro.name), decimal(id), decimal(beat), decimal(seen))})
	if err != nil {
		return 0, false // it is away, and known to be
	}
	nowID, nowBeat := parseEpoch(text(results[0]))
	if nowID != id || nowBeat < max(beat, seen) {
		r.look()
		return 0, false
	}
	ro.learn(id, nowBeat)
	return beat, true
}

func (r *Redis) unix() uint32 { return uint32(r.now().Unix()) }
