package redis

import (
	"context"
	"math"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// A Redis that is full and may evict throws away single keys: a counter without its companion, or
// the companion without the counter. No key shows that. But the server counts what it evicts. So
// when it has evicted something, a new epoch begins, as if everything had been lost. The records
// have the number that a proxy saw last, so that what is evicted while none runs is noticed as
// well, and what was noticed once is not noticed again.

// evictions is what is known of the keys that an instance has evicted. Run owns it.
type evictions struct {
	keys uint64 // how many, when the instance was asked last
	told bool   // the log says that it evicts, and it has not stopped since
}

func evictedMark(role string) string { return "evicted:" + role }

// renewEvicted begins a new epoch for the roles of instances that have evicted keys since a proxy
// looked last.
func (r *Copy) renewEvicted(ctx context.Context) error {
	for _, l := range r.links {
		if _, why := l.Away(); why != nil {
			continue
		}
		keys, ok := l.Evicted(ctx)
		if !ok {
			continue
		}
		before, asked := r.evicted[l]
		if asked && before.keys == keys {
			before.told = false
			r.evicted[l] = before
			continue
		}
		more, err := r.renewRoles(ctx, l, keys)
		if err != nil {
			return err // it is tried again at the next beat
		}
		if more > 0 && !before.told {
			r.log.Warn("Redis is full and throws away keys, and counters with them; "+
				"it is filled again as they are needed: set maxmemory-policy noeviction",
				"instance", strings.Join(l.Roles(), ","), "addr", l.String(), "evicted", more)
		}
		r.evicted[l] = evictions{keys, more > 0}
	}
	return nil
}

// renewRoles begins a new epoch for the roles of an instance of which the records have another
// number of evicted keys, and returns how many there are more, at least. A server that was started
// anew counts from 0.
func (r *Copy) renewRoles(ctx context.Context, l *link.Link, keys uint64) (more uint64, err error) {
	now := uint32(keys%math.MaxUint32) + 1 // 0 is nothing, in the records
	for _, ro := range r.roles {
		if ro.Link != l {
			continue
		}
		mark := evictedMark(ro.name)
		marks, err := r.records.Marks(ctx, []string{mark})
		if err != nil {
			return more, err
		}
		seen := marks[mark]
		if seen == now {
			continue
		}
		if seen != 0 && keys > 0 {
			if err := r.renew(ctx, ro); err != nil {
				return more, err
			}
			more = max(more, 1, keys-min(keys, uint64(seen-1)))
		}
		if _, err := r.records.SwapMark(ctx, mark, seen, now); err != nil {
			return more, err
		}
	}
	return more, nil
}

// renew begins a new epoch for a role.
func (r *Copy) renew(ctx context.Context, ro *role) error {
	id, err := r.freshEpoch(ctx, ro)
	if err != nil {
		return err
	}
	if err := ro.comparing.Acquire(ctx, 1); err != nil {
		return err
	}
	err = r.begin(ctx, ro, id, id+1, ro.seen(id))
	ro.comparing.Release(1)
	if err != nil {
		return err
	}
	return r.compare(ctx, ro)
}
