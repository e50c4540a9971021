package counters

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

// tryWrites does what our scripts do, on keys that end by themselves: what it leaves lasts a second.
var tryWrites = newScript(`
redis.call('SET', KEYS[1], '1', 'PX', '1000')
redis.call('GET', KEYS[1])
redis.call('HSET', KEYS[2], 'f', '1')
redis.call('HGET', KEYS[2], 'f')
redis.call('HKEYS', KEYS[2])
redis.call('HDEL', KEYS[2], 'f')
redis.call('ZADD', KEYS[2], '1', 'm')
redis.call('ZCARD', KEYS[2])
redis.call('ZRANGE', KEYS[2], '0', '0')
redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '0')
redis.call('ZREM', KEYS[2], 'm')
return 1
`)

// usersOf are keys of each instance, of user or group 0, which are never there.
var usersOf = map[string][]string{
	"unread":       {"msg_id_0", "group_msg_id_0", unreadKey(0), countKey(0), levelKey(0, 0), "total_user_update", "last_update_group"},
	"group_set":    {mutesKey(0)},
	"token":        {deviceKey(0)},
	"group_member": {membersKey(0)},
}

// needed is every command that we use, on keys of our own that end by themselves, and every kind of key of an instance of
// those names, by removing from it what it does not have.
func needed(names []string) []command {
	key := "dbproxy:check:" + rand.Text()
	commands := []command{
		run(tryWrites, key), plain("SETNX", key, "1"), plain("GET", key),
		plain("HGET", companion(key), "f"), plain("HMGET", companion(key), "f"), plain("HGETALL", companion(key)),
	}
	for _, name := range names {
		for _, k := range usersOf[name] {
			commands = append(commands, plain("HDEL", k, "dbproxy:check"), plain("HDEL", companion(k), "dbproxy:check"))
		}
	}
	return append(commands, plain("SET", key, "1", "PX", "1"))
}

// rights tries what the user needs to be allowed: every command, on keys of our own, and every kind of key, by removing
// from it what it does not have.
func (c *redisCheck) rights(ctx context.Context) {
	var lacks, missing []string
	var broke error
	for _, cmd := range needed(c.names) {
		err := c.try(ctx, cmd)
		if _, said := rueidis.IsRedisErr(err); err != nil && !said && !rueidis.IsRedisNil(err) {
			c.add(c.unreachable(err))
			return
		}
		switch {
		case err == nil, rueidis.IsRedisNil(err):
		case isDenied(err):
			what := cmd.name
			if cmd.script != nil {
				what = "scripts"
			}
			if strings.Contains(err.Error(), " key") {
				what = cmd.keys[0]
			}
			if !slices.Contains(lacks, what) {
				lacks = append(lacks, what)
			}
		case isMissing(err):
			if what := commandOf(err); !slices.Contains(missing, what) {
				missing = append(missing, what)
			}
		case strings.HasPrefix(err.Error(), "WRONGTYPE"): // a string: allowed
		default:
			broke = err
		}
	}
	switch {
	case len(missing) > 0:
		c.add(checkup.Fault("rights", "it does not know: "+checkup.List(missing), fmt.Sprintf("give it the commands back "+
			"(rename-command in its configuration), or name a Redis in %s and %s", c.key("host"), c.key("port"))))
	case len(lacks) > 0:
		c.add(checkup.Fault("rights", fmt.Sprintf("user %s is not allowed: %s", c.user(), checkup.List(lacks)),
			c.allowed()))
	case broke != nil:
		c.add(checkup.Fault("writes", fmt.Sprintf("it takes none: %v", broke), mendOfRefusal(c.Instance, c.names, broke)))
	default:
		c.add(checkup.Goodf("rights", "all commands and keys are allowed, and written"))
	}
}

// try executes a command, a script by its hash and by its text, as the server may not know that
// hash, now or some day. The error is that of the server, without what went before its own words.
func (c *redisCheck) try(ctx context.Context, cmd command) error {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	err := c.client.Do(ctx, cmd.build(c.client.B(), false)).Error()
	if said, ok := rueidis.IsRedisErr(err); cmd.script != nil && err == nil || ok && said.IsNoScript() {
		err = c.client.Do(ctx, cmd.build(c.client.B(), true)).Error()
	}
	return err
}

// cluster asks whether all slots are served.
func (c *redisCheck) cluster(ctx context.Context) {
	const item = "cluster"
	text, err := c.do(ctx, c.client, "CLUSTER", "INFO").ToString()
	if err != nil {
		c.add(checkup.Unseen(item, err))
		return
	}
	values := lines(text)
	if values["cluster_state"] != "ok" {
		c.add(checkup.Fault(item, fmt.Sprintf("its state is %s: %s of 16384 slots are served", values["cluster_state"], values["cluster_slots_ok"]),
			"see CLUSTER NODES for what is down"))
		return
	}
	c.add(checkup.Goodf(item, "%s nodes, %s with slots", values["cluster_known_nodes"], values["cluster_size"]))
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
		c.add(checkup.Goodf(item, "all %d know %s, and can agree on another master", len(c.Sentinels), c.SentinelMaster))
	case len(wrong) == len(c.Sentinels):
		c.add(checkup.Fault(item, "none can say where the master is and could choose another: "+checkup.List(wrong),
			fmt.Sprintf("start them, or mend %s and %s", c.key("sentinels"), c.key("sentinel_master"))))
	default:
		c.add(checkup.Doubt(item, checkup.List(wrong), "start them, or mend "+c.key("sentinels")))
	}
}

func (c *redisCheck) sentinel(ctx context.Context, addr string) error {
	asked := Instance{
		Addr: addr, Username: c.SentinelUsername, Password: c.SentinelPassword, TLS: c.TLS,
		ConnectTimeout: c.ConnectTimeout, CallTimeout: c.CallTimeout,
	}
	opt := asked.options()
	opt.ConnWriteTimeout = c.CallTimeout
	client, err := rueidis.NewClient(opt)
	if err != nil {
		text, _ := c.whyUnreachable(err)
		return errors.New(text)
	}
	defer client.Close()
	return c.do(ctx, client, "SENTINEL", "CKQUORUM", c.SentinelMaster).Error()
}
