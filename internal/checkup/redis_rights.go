package checkup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
)

// rights tries all that the user must be allowed.
func (c *redisCheck) rights(ctx context.Context) {
	var lacks, missing []string
	var broke error
	needed := redis.Needed(c.names)
	defer c.forget(ctx, needed[len(needed)-1].Keys[0])
	for _, cmd := range needed {
		err := c.try(ctx, cmd)
		if _, said := rueidis.IsRedisErr(err); err != nil && !said && !rueidis.IsRedisNil(err) {
			c.add(c.unreachable(err))
			return
		}
		switch {
		case err == nil, rueidis.IsRedisNil(err):
		case link.IsDenied(err):
			what := cmd.Name
			if cmd.Script != nil {
				what = "scripts"
			}
			if strings.Contains(err.Error(), " key") {
				what = cmd.Keys[0]
			}
			if !slices.Contains(lacks, what) {
				lacks = append(lacks, what)
			}
		case link.IsMissing(err):
			if what := link.CommandOf(err); !slices.Contains(missing, what) {
				missing = append(missing, what)
			}
		case strings.HasPrefix(err.Error(), "WRONGTYPE"): // a string: allowed
		default:
			broke = err
		}
	}
	switch {
	case len(missing) > 0:
		c.add(Fault("rights", "it does not know: "+list(missing),
			fmt.Sprintf("give it the commands back (rename-command in its configuration), or name "+
				"a Redis in %s and %s",
				c.key("host"), c.key("port"))))
	case len(lacks) > 0:
		c.add(Fault("rights", fmt.Sprintf("user %s is not allowed: %s", c.User(), list(lacks)),
			c.Grant()))
	case broke != nil:
		c.add(Fault("writes", fmt.Sprintf("it takes none: %v", broke),
			link.MendRefusal(c.Instance, c.names, broke)))
	default:
		c.add(Goodf("rights", "all commands and keys are allowed, and written"))
	}
}

// forget waits until the server has forgotten a key of ours, whose time is up: else the next check
// would count it. It reads the key, and so the server removes it.
func (c *redisCheck) forget(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(ctx, goneWithin)
	defer cancel()
	for c.try(ctx, link.Plain("GET", key)) == nil {
		time.Sleep(time.Millisecond)
	}
}

// goneWithin is how long a key that lives for a millisecond is waited for.
const goneWithin = 100 * time.Millisecond

// try executes a command. A script is executed by its hash and by its text, as both must be
// allowed.
func (c *redisCheck) try(ctx context.Context, cmd link.Command) error {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	err := link.Try(ctx, c.client, cmd, false)
	said, ok := rueidis.IsRedisErr(err)
	if cmd.Script != nil && err == nil || ok && said.IsNoScript() {
		err = link.Try(ctx, c.client, cmd, true)
	}
	return err
}

// cluster asks whether all slots are served.
func (c *redisCheck) cluster(ctx context.Context) {
	const item = "cluster"
	text, err := c.do(ctx, c.client, "CLUSTER", "INFO").ToString()
	if err != nil {
		c.add(unseen(item, err))
		return
	}
	values := link.Lines(text)
	if values["cluster_state"] != "ok" {
		text := fmt.Sprintf("its state is %s: %s of 16384 slots are served",
			values["cluster_state"], values["cluster_slots_ok"])
		c.add(Fault(item, text, "see CLUSTER NODES for what is down"))
		return
	}
	c.add(Goodf(item, "%s nodes, %s with slots",
		values["cluster_known_nodes"], values["cluster_size"]))
}

// sentinels asks each Sentinel whether they could agree on a new master.
func (c *redisCheck) sentinels(ctx context.Context) {
	const item = "sentinels"
	var wrong []string
	for _, addr := range c.Sentinels {
		if err := c.sentinel(ctx, addr); err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", addr, err))
		}
	}
	switch {
	case len(wrong) == 0:
		c.add(Goodf(item, "all %d know %s, and can agree on another master",
			len(c.Sentinels), c.SentinelMaster))
	case len(wrong) == len(c.Sentinels):
		c.add(Fault(item, "none can say where the master is and could choose another: "+list(wrong),
			fmt.Sprintf("start them, or mend %s and %s",
				c.key("sentinels"), c.key("sentinel_master"))))
	default:
		c.add(Doubt(item, list(wrong), "start them, or mend "+c.key("sentinels")))
	}
}

func (c *redisCheck) sentinel(ctx context.Context, addr string) error {
	asked := link.Instance{
		Addr: addr, Username: c.SentinelUsername, Password: c.SentinelPassword, TLS: c.TLS,
		ConnectTimeout: c.ConnectTimeout, CallTimeout: c.CallTimeout,
	}
	client, err := asked.Client()
	if err != nil {
		text, _ := c.whyUnreachable(err)
		return errors.New(text)
	}
	defer client.Close()
	return c.do(ctx, client, "SENTINEL", "CKQUORUM", c.SentinelMaster).Error()
}
