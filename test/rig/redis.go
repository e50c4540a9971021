package rig

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// HostAndPort is a server as a configuration names it: see harness.Config.
func HostAndPort(redis *servers.Redis) map[string]string {
	return map[string]string{"host": redis.Host(), "port": strconv.Itoa(redis.Port())}
}

// Redis is a client of one Redis database.
type Redis struct{ rueidis.Client }

// DialRedis connects to a database of a server.
func DialRedis(t *testing.T, redis *servers.Redis, db int) Redis {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{redis.Addr()}, SelectDB: db, ForceSingleClient: true,
		DisableCache: true, ClientSetInfo: rueidis.DisableClientSetInfo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Redis{c}
}

// Exec executes a command; its answer may be Redis's nil but no error.
func (c Redis) Exec(t *testing.T, args ...string) *rueidis.RedisMessage {
	t.Helper()
	return c.execute(t, args, c.B().Arbitrary(args...).Build())
}

// Read is Exec for a command that changes nothing. Where Redis was just started anew it is sent
// again, on a new connection.
func (c Redis) Read(t *testing.T, args ...string) *rueidis.RedisMessage {
	t.Helper()
	return c.execute(t, args, c.B().Arbitrary(args...).ReadOnly())
}

func (c Redis) execute(
	t *testing.T, args []string, command rueidis.Completed,
) *rueidis.RedisMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	answer, err := c.Do(ctx, command).ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("redis %v: %v", args, err)
	}
	return &answer
}

// Text is Read for an answer that is text; empty when there is none.
func (c Redis) Text(t *testing.T, args ...string) string {
	t.Helper()
	answer := c.Read(t, args...)
	s, err := answer.ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("redis %v: %v", args, err)
	}
	return s
}

// ReadKeys reads all keys of a Redis database, but for those of the proxies' own.
func ReadKeys(t *testing.T, redis Redis) map[string]any {
	t.Helper()
	names, err := redis.Exec(t, "KEYS", "*").AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]any)
	for _, name := range names {
		if strings.HasPrefix(name, "dbproxy:") {
			continue
		}
		switch kind := redis.Text(t, "TYPE", name); kind {
		case "string":
			keys[name] = redis.Text(t, "GET", name)
		case "hash":
			fields, err := redis.Exec(t, "HGETALL", name).AsStrMap()
			if err != nil {
				t.Fatal(err)
			}
			hash := make(map[string]any, len(fields))
			for field, value := range fields {
				hash[field] = value
			}
			keys[name] = hash
		default:
			t.Errorf("key %s is of the type %s", name, kind)
		}
	}
	return keys
}
