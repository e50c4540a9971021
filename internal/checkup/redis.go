package checkup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
)

const (
	leastMajor = 6  // version of Redis
	almostFull = 90 // percent of the memory allowed

	// leastCallTimeout bounds a call of a check. It is longer than those of requests: a server that
	// is slow for once is no reason not to start.
	leastCallTimeout = 2 * time.Second
)

// CheckRedis connects to the instances, side by side, and reports how fit each is. Those that are
// one server and database are one subject. It leaves nothing behind. Connecting is bounded by the
// timeout of the instance; every call by two seconds, or the timeout of the instance if that is
// longer. Of an instance that cannot be reached there is one finding, that it cannot. now is the
// clock; nil means time.Now.
func CheckRedis(ctx context.Context, instances []redis.Use, now func() time.Time) []Subject {
	if now == nil {
		now = time.Now
	}
	var all []*redisCheck
	for _, use := range instances {
		at := use.At.WithDefaults()
		at.CallTimeout = max(at.CallTimeout, leastCallTimeout)
		same := slices.IndexFunc(all, func(c *redisCheck) bool {
			return serverOf(c.Instance) == serverOf(at)
		})
		if same < 0 {
			all = append(all, &redisCheck{Instance: at, names: []string{use.Role}, now: now})
		} else {
			all[same].names = append(all[same].names, use.Role)
		}
	}
	var checks sync.WaitGroup
	for _, c := range all {
		checks.Go(func() { c.run(ctx) })
	}
	checks.Wait()
	subjects := make([]Subject, len(all))
	for i, c := range all {
		c.compare(all)
		name := "Redis " + strings.Join(c.names, ", ")
		subjects[i] = Subject{Name: name, Where: c.String(), Findings: c.found}
	}
	return subjects
}

// serverOf is equal for instances that are the same server and database for the same user.
func serverOf(i link.Instance) string {
	i.ConnectTimeout, i.CallTimeout = 0, 0
	return i.Identity()
}

// redisCheck is the check of one instance.
type redisCheck struct {
	link.Instance
	names []string // what the configuration calls it
	now   func() time.Time

	client rueidis.Client
	runID  string // of the server; empty: unknown, or a Cluster
	found  []Finding
}

func (c *redisCheck) add(f Finding) { c.found = append(c.found, f) }

// key is a key of the configuration, that of the first name.
func (c *redisCheck) key(rest string) string { return c.names[0] + "_" + rest }

func (c *redisCheck) run(ctx context.Context) {
	if len(c.Sentinels) > 0 {
		c.sentinels(ctx)
	}
	begun := c.now()
	client, err := c.Client()
	if err != nil {
		c.add(c.unreachable(err))
		return
	}
	defer client.Close()
	c.client = client
	infos, err := c.infos(ctx)
	if err != nil {
		c.add(c.unreachable(err))
		return
	}
	loads := func(i info) bool { return i.values["loading"] == "1" }
	if i := slices.IndexFunc(infos, loads); i >= 0 {
		c.add(infos[i].loading(c.Instance))
		return
	}
	c.add(Goodf("reachable", "in %d ms", c.now().Sub(begun).Milliseconds()))
	c.nodes(infos)
	c.clock(ctx)
	if len(c.Cluster) > 0 && infos[0].values["cluster_enabled"] == "1" {
		c.cluster(ctx)
	}
	c.rights(ctx)
}

// do asks one server one thing.
func (c *redisCheck) do(
	ctx context.Context, client rueidis.Client, args ...string,
) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	return client.Do(ctx, client.B().Arbitrary(args...).Build())
}

func (c *redisCheck) clock(ctx context.Context) {
	f, err := clock(c.now, func() (time.Time, error) {
		now, err := c.do(ctx, c.client, "TIME").AsIntSlice()
		if err != nil || len(now) != 2 {
			return time.Time{}, fmt.Errorf("TIME is answered with %v, %w", now, err)
		}
		return time.Unix(now[0], now[1]*int64(time.Microsecond)), nil
	})
	if err != nil {
		f = unseen("clock", err)
	}
	c.add(f)
}

// compare finds instances that are the same server under another name.
func (c *redisCheck) compare(all []*redisCheck) {
	if len(c.names) > 1 {
		c.add(Goodf("shared", "by %s, as originals do", strings.Join(c.names, ", ")))
	}
	for _, other := range all {
		if other == c || c.runID == "" || other.runID != c.runID {
			continue
		}
		if other.DB == c.DB {
			c.add(Goodf("shared", "the same database as that of %s, under another address or user",
				strings.Join(other.names, ", ")))
		} else {
			c.add(Goodf("shared", "the same server as that of %s, which has database %d",
				strings.Join(other.names, ", "), other.DB))
		}
	}
}
