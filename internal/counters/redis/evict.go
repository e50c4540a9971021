package redis

import (
	"context"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// A Redis that is full and may evict throws away single keys: a counter without its companion, or the companion without
// the counter. Neither says so. But the server counts them, and so when it has evicted something a new epoch begins, as
// if everything had been lost.

// evictions is how many keys an instance had evicted when it was last looked at. Run owns it.
type evictions struct {
	keys uint64
	told bool // the log says that it evicts, and has not said since that it stopped
}

// renewEvicted begins a new epoch for the roles of instances that have evicted keys since it was called last.
func (r *Copy) renewEvicted(ctx context.Context) error {
	for _, l := range r.links {
		if _, why := l.Away(); why != nil {
			continue
		}
		keys, ok := l.Evicted(ctx)
		if !ok {
			continue
		}
		before, looked := r.evicted[l]
		more := looked && keys > before.keys
		if more {
			if !before.told {
				r.log.Warn("Redis is full and throws away keys, and counters with them; it is filled again as they are needed: "+
					"set maxmemory-policy noeviction", "instance", strings.Join(l.Roles(), ","), "addr", l.String(), "evicted", keys-before.keys)
			}
			if err := r.renew(ctx, l); err != nil {
				return err // and again at the next beat
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
