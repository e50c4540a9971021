package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// The first epoch is special: what was there before it are the counters of original servers, which
// are taken over. Epochs are kept by role, not by address: an instance that was moved elsewhere
// without its keys has lost them, too.
const firstEpoch = 1

// begins is the epoch that the role's instance begins with. On a Cluster only what was filled is
// ever believed: it may lose the keys of one node, and keep that of the epoch, which is on another.
func (ro *role) begins() uint32 {
	if len(ro.Cluster) > 0 {
		return firstEpoch + 1
	}
	return firstEpoch
}

const (
	beatEvery      = time.Second
	compareTimeout = 2 * time.Second
	// restored is how many beats the records may be behind Redis. The beat in Redis is raised to
	// one more than is recorded, and is no clock. So records that are further behind come from a
	// backup.
	restored = 60
	// compareTries is how often a comparison begins anew because another process was faster.
	compareTries = 10
)

func epochKey(role string) string  { return "dbproxy:epoch:" + role }
func epochMark(role string) string { return "epoch:" + role }
func beatMark(role string) string  { return "beat:" + role }

// role is one of the uses of an instance, with its epoch. It is safe for concurrent use.
type role struct {
	*link.Link
	name string

	// comparing is held by who compares the epochs. It is no mutex, as waiting for it ends with a
	// context.
	comparing *semaphore.Weighted

	mu       sync.Mutex // guards all that follows
	epoch    uint32     // the current one as far as we know; 0: it was never compared
	beat     uint32     // the greatest seen of it
	recorded uint32     // the beat in the records when they were last asked
}

// losing is the error of an instance in which epochs do not last.
func (ro *role) losing() error {
	return chat.Errorf(chat.Unavailable, "what Redis %s (%s) has is lost again and again",
		ro.name, ro.Instance)
}

// known returns the epoch; 0 is unknown.
func (ro *role) known() uint32 {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	return ro.epoch
}

// matches reports whether the value in Redis is the epoch that we know, with no older beat than we
// have seen, and whether that epoch was current (at) when the question was put together.
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

// record notes the beat in the records.
func (ro *role) record(beat uint32) {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	ro.recorded = beat
}

// seen is the greatest beat that was seen of an epoch; 0 of one that is not current.
func (ro *role) seen(epoch uint32) uint32 {
	ro.mu.Lock()
	defer ro.mu.Unlock()
	if epoch != ro.epoch {
		return 0
	}
	return ro.beat
}

// learn notes an epoch and a beat that were seen in Redis. Neither goes back.
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
func revision(epoch, rev uint32) string {
	return strconv.FormatUint(uint64(epoch)<<32|uint64(rev), 10)
}

// Run keeps the copy whole until ctx ends: every second it compares the epochs, raises the beats,
// and applies what instances lack that were away. It always returns nil.
func (r *Copy) Run(ctx context.Context) error {
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

// refreshEpochs compares all instances that are there with the records.
func (r *Copy) refreshEpochs(ctx context.Context) error {
	var errs error
	for _, ro := range r.roles {
		if _, why := ro.Away(); why != nil {
			continue
		}
		err := r.compare(ctx, ro)
		// All roles of one server have the same error.
		if err != nil && (errs == nil || !strings.Contains(errs.Error(), err.Error())) {
			errs = errors.Join(errs, err)
		}
	}
	return errs
}

// soundEpoch returns the epoch in which keys are to be filled that a lookup has found incomplete.
func (r *Copy) soundEpoch(ctx context.Context, q *lookup) (uint32, error) {
	if q.got.sound {
		return q.at, nil
	}
	return r.freshEpoch(ctx, q.role)
}

// freshEpoch returns the epoch after a comparison.
func (r *Copy) freshEpoch(ctx context.Context, ro *role) (uint32, error) {
	if err := r.compare(ctx, ro); err != nil {
		return 0, err
	}
	return ro.known(), nil
}

// compare compares the epoch of a role in Redis with that in the records, and begins a new one if
// either has lost something. The records are read first: their beat is ahead of that in Redis only
// when Redis has lost it.
func (r *Copy) compare(ctx context.Context, ro *role) error {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	if err := ro.comparing.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("waiting for another comparison of Redis %s: %w", ro.name, err)
	}
	defer ro.comparing.Release(1)
	for range compareTries {
		marks, err := r.records.Marks(ctx, []string{epochMark(ro.name), beatMark(ro.name)})
		if err != nil {
			return err
		}
		id, beat := marks[epochMark(ro.name)], marks[beatMark(ro.name)]
		seen := ro.seen(id)
		results, err := ro.Do(ctx, link.Plain("GET", epochKey(ro.name)))
		if err != nil {
			return err
		}
		value := text(results[0])
		inRedis, beatInRedis := parseEpoch(value)
		switch {
		case id != 0 && inRedis == id && beatInRedis >= max(beat, seen) &&
			(beat == 0 || beatInRedis <= beat+restored):
			if beat == 0 { // whoever began it did not get so far
				_, err = r.records.SwapMark(ctx, beatMark(ro.name), 0, beatInRedis)
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
			again, err := r.records.Marks(ctx, []string{epochMark(ro.name)})
			if err != nil {
				return err
			}
			if again[epochMark(ro.name)] != id {
				continue // another process has just begun one
			}
			r.log.Warn("Redis and the records disagree, so one was lost or set back; "+
				"Redis is filled again as it is needed", "instance", ro.name, "addr", ro.String(),
				"epoch", value, "recorded", fmt.Sprint(id, " ", beat))
			if err := r.begin(ctx, ro, id, max(id, inRedis)+1, max(beat, beatInRedis)); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
	return ro.losing()
}

// begin begins an epoch, unless another process was faster.
func (r *Copy) begin(ctx context.Context, ro *role, old, id, beat uint32) error {
	swapped, err := r.records.SwapMark(ctx, epochMark(ro.name), old, id)
	if err != nil || !swapped {
		return err
	}
	beat++
	set := link.Run(setEpoch, epochKey(ro.name), decimal(id), decimal(beat))
	if _, err := ro.Do(ctx, set); err != nil {
		return err
	}
	return r.records.RaiseMarks(ctx, map[string]uint32{beatMark(ro.name): beat})
}

// beat compares the epochs, and then raises the beats: in Redis first, so that the records are
// never ahead of it.
func (r *Copy) beat(ctx context.Context) error {
	if err := errors.Join(r.refreshEpochs(ctx), r.renewEvicted(ctx)); err != nil {
		return err
	}
	_ = r.noteStart(ctx) // or at the next beat
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	raised := make(map[string]uint32)
	for _, ro := range r.roles {
		if beat, ok := r.raiseBeat(ctx, ro); ok {
			raised[beatMark(ro.name)] = beat
		}
	}
	if len(raised) > 0 {
		if err := r.records.RaiseMarks(ctx, raised); err != nil {
			return err
		}
	}
	if err := r.replay(ctx); err != nil {
		return err
	}
	return r.catchUp(ctx)
}

// raiseBeat raises the beat in Redis to one more than is recorded, and says whether it did. It does
// not where Redis has lost something since the epochs were compared.
func (r *Copy) raiseBeat(ctx context.Context, ro *role) (beat uint32, ok bool) {
	ro.mu.Lock()
	id, beat, seen := ro.epoch, ro.recorded+1, ro.beat
	ro.mu.Unlock()
	if _, why := ro.Away(); why != nil || id == 0 {
		return 0, false
	}
	raise := link.Run(raiseBeat, epochKey(ro.name), decimal(id), decimal(beat), decimal(seen))
	results, err := ro.Do(ctx, raise)
	if err != nil {
		return 0, false // it is away, and known to be
	}
	nowID, nowBeat := parseEpoch(text(results[0]))
	if nowID != id || nowBeat < max(beat, seen) {
		r.refreshSoon()
		return 0, false
	}
	ro.learn(id, nowBeat)
	return beat, true
}

func (r *Copy) unix() uint32 { return uint32(r.now().Unix()) }
