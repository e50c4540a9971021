package redis

import (
	"context"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// A Redis that is full and may evict throws away single keys: a counter without its companion, or
// the companion without the counter. No key shows that. But the server counts what it evicts. So
// when it has evicted something, a new epoch begins, as if everything had been lost.

// evictions is what is known of the keys that an instance has evicted. Run owns it.
type evictions struct {
	keys uint64 // how many, when the instance was asked last; 0 before
	told bool   // the log says that it evicts, and it has not stopped since
}

// renewEvicted begins a new epoch for the roles of instances that have evicted keys since it was
// called last. Called first, it counts all that they have evicted since they were started: it may
// have been while no proxy ran.
func (r *Copy) renewEvicted(ctx context.Context) error {
	for _, l := range r.links {
		if _, why := l.Away(); why != nil {
			continue
		}
		keys, ok := l.Evicted(ctx)
		if !ok {
			continue
		}
		before := r.evicted[l]
		more := keys > before.keys
		if more {
			if !before.told {
				r.log.Warn("Redis is full and throws away keys, and counters with them; "+
					"it is filled again as they are needed: set maxmemory-policy noeviction",
					"instance", strings.Join(l.Roles(), ","), "addr", l.String(),
					"evicted", keys-before.keys)
			}
			if err := r.renew(ctx, l); err != nil {
				return err // it is tried again at the next beat
			}
		}
		r.evicted[l] = evictions{keys, more}
	}
	return nil
}

// renew begins a new epoch for all roles of an instance.
func (r *Copy) renew(ctx context.Context, l *link.Link) error {
	for _, ro := range r.roles {
		if ro.Link != l {
			continue
		}
		id := ro.known()
		if id == 0 {
			continue
		}
		if err := ro.comparing.Acquire(ctx, 1); err != nil {
			return err
		}
		err := r.begin(ctx, ro, id, id+1, ro.seen(id))
		ro.comparing.Release(1)
		if err == nil {
			err = r.compare(ctx, ro)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
