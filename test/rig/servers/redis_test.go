package servers_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/wait"
)

// get returns a key's value, "" when there is none.
func get(t *testing.T, r *servers.Redis, key string) string {
	t.Helper()
	answer := r.Do(t, "GET", key)
	if answer.IsNil() {
		return ""
	}
	value, err := answer.ToString()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func client(t *testing.T, o rueidis.ClientOption) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// roundTrip sets a key and reads it back.
func roundTrip(t *testing.T, c rueidis.Client, key string) {
	t.Helper()
	if err := c.Do(t.Context(), c.B().Set().Key(key).Value("1").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Do(t.Context(), c.B().Get().Key(key).Build()).ToString(); err != nil ||
		got != "1" {
		t.Fatalf("%s is %q (%v)", key, got, err)
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--requirepass", "x")
	r.Do(t, "SET", "a", "1")
	r.RestartWithData(t)
	if got := get(t, r, "a"); got != "1" {
		t.Errorf("after a restart with its data, a is %q", got)
	}
	r.Do(t, "SET", "b", "1")
	r.Kill(t)
	r.Restart(t)
	if a, b := get(t, r, "a"), get(t, r, "b"); a != "1" || b != "" {
		t.Errorf("after a kill, a is %q and b is %q: not what was saved", a, b)
	}
	c := client(t, rueidis.ClientOption{InitAddress: []string{r.Addr()}, Password: r.Password})
	roundTrip(t, c, "c")
	r.Freeze(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Do(ctx, c.B().Get().Key("c").Build()).Error(); err == nil {
		t.Error("a frozen server answers")
	}
	r.Thaw(t)
	roundTrip(t, c, "d")
	r.Stop(t)
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	cluster := servers.RedisCluster(t)
	c := client(t, rueidis.ClientOption{InitAddress: cluster.Addrs()[:1]})
	if n := len(c.Nodes()); n != 3 {
		t.Errorf("a client sees %d nodes", n)
	}
	for _, key := range []string{"a", "b", "c", "d"} { // on all three
		roundTrip(t, c, key)
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	g := servers.Sentinel(t)
	c := client(t, rueidis.ClientOption{InitAddress: g.Addrs(),
		Sentinel: rueidis.SentinelOption{MasterSet: servers.MasterName}})
	roundTrip(t, c, "a")
	old := g.Master(t)
	if master := g.KillMaster(t); master == old {
		t.Error("the master is the killed one")
	}
	wait.Until(t, "the new master", func() bool {
		return c.Do(t.Context(), c.B().Set().Key("b").Value("1").Build()).Error() == nil
	})
	old.Restart(t)
	if master := g.Failover(t); master != old {
		t.Error("after a failover the master is not the one restarted")
	}
}
