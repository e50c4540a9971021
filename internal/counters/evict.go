package counters

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
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
func (r *Redis) renewEvicted(ctx context.Context) error {
	for _, l := range r.links {
		if _, why := l.away(); why != nil {
			continue
		}
		keys, ok := l.evicted(ctx)
		if !ok {
			continue
		}
		before, looked := r.evicted[l]
		more := looked && keys > before.keys
		if more {
			if !before.told {
				r.log.Warn("Redis is full and throws away keys, and counters with them; it is filled again as they are needed: "+
					"set maxmemory-policy noeviction", "instance", strings.Join(l.roles, ","), "addr", l.String(), "evicted", keys-before.keys)
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
func (r *Redis) renew(ctx context.Context, l *link) error {
	for _, ro := range r.roles {
		if ro.link != l {
			continue
		}
		id := ro.known()
		if id == 0 {
			continue
		}
		if err := ro.looking.Acquire(ctx, 1); err != nil {
			return err
		}
		err := r.begin(ctx, ro, id, id+1, ro.seen(id))
		ro.looking.Release(1)
		if err == nil {
			err = r.compare(ctx, ro)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// evicted is how many keys the instance's servers have evicted since they were started; ok is false when they do not say.
// Policies other than allkeys take no key of ours: those that count have no end.
func (l *link) evicted(ctx context.Context) (keys uint64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, l.CallTimeout)
	defer cancel()
	l.mu.Lock()
	client := l.client
	l.mu.Unlock()
	nodes := map[string]rueidis.Client{"": client}
	if len(l.Cluster) > 0 {
		nodes = client.Nodes()
	}
	for _, node := range nodes {
		said, err := node.Do(ctx, node.B().Info().Build()).ToString()
		if err != nil {
			continue // who may not ask does without
		}
		values := lines(said)
		if !strings.HasPrefix(values["maxmemory_policy"], "allkeys") {
			continue
		}
		if n, err := strconv.ParseUint(values["evicted_keys"], 10, 64); err == nil {
			keys, ok = keys+n, true
		}
	}
	return keys, ok
}
