package redis

import (
	"crypto/rand"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// tryWrites does what our scripts do, on keys that expire: what it leaves lasts a second.
var tryWrites = link.NewScript("", `
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

// keysOf are keys of each role, of user or group 0, which are never there.
var keysOf = map[string][]string{
	"unread": {"msg_id_0", "group_msg_id_0", unreadKey(0), countKey(0), levelKey(0, 0),
		"total_user_update",
		"last_update_group"},
	"group_set":    {mutesKey(0)},
	"token":        {deviceKey(0)},
	"group_member": {membersKey(0)},
}

// Needed returns one command for each right that a user needs on an instance with those roles:
// every command that we use, on keys of our own that expire, and every kind of key, from which it
// removes what is not there. The last one writes the one key that is left, for a millisecond.
func Needed(roles []string) []link.Command {
	key := "dbproxy:check:" + rand.Text()
	companion := link.Companion(key)
	commands := []link.Command{
		link.Run(tryWrites, key), link.Plain("SETNX", key, "1"), link.Plain("GET", key),
		link.Plain("MGET", key), link.Plain("HGET", companion, "f"), link.Plain("HMGET", companion, "f"),
		link.Plain("HGETALL", companion),
	}
	for _, role := range roles {
		for _, k := range keysOf[role] {
			commands = append(commands, link.Plain("HDEL", k, "dbproxy:check"),
				link.Plain("HDEL", link.Companion(k), "dbproxy:check"))
		}
	}
	return append(commands, link.Plain("SET", key, "1", "PX", "1"))
}
