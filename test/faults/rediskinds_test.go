//go:build !race

package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestRedisFailovers has the sentinels make another server the master under load: asked to, and
// because it was killed. What the old master had taken last and not passed on is lost with it.
func TestRedisFailovers(t *testing.T) {
	for name, failover := range map[string]func(t *testing.T, g *servers.SentinelGroup){
		"failed over by Sentinel": func(t *testing.T, g *servers.SentinelGroup) { g.Failover(t) },
		"its master killed under Sentinel": func(t *testing.T, g *servers.SentinelGroup) {
			old := g.Master(t)
			g.KillMaster(t)
			old.Restart(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, group := rig.NewFleet(t), servers.Sentinel(t)
			f.Conf.Redis = map[string]string{"sentinels": strings.Join(group.Addrs(), ";"),
				"sentinel_master": servers.MasterName}
			s := newSiege(t, f)
			s.under(t, redisFault{name: name, gaps: true, loses: true,
				happen: func(t *testing.T, s *siege) {
					failover(t, group)
					s.goOn(rig.InFull(10*time.Second, time.Second))
					s.Fleet.Redis = rig.DialRedis(t, group.Master(t), 1)
				}})
		})
	}
}

// TestRedisSlotsMoved moves the slots of busy keys to another node of a Cluster, and back, under
// load.
func TestRedisSlotsMoved(t *testing.T) {
	t.Parallel()
	f, cluster := rig.NewFleet(t), servers.RedisCluster(t)
	f.Conf.Redis = map[string]string{"cluster": strings.Join(cluster.Addrs(), ";")}
	keys, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs(),
		DisableCache:  true,
		ClientSetInfo: rueidis.DisableClientSetInfo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keys.Close)
	f.Redis = rig.Redis{Client: keys}
	s := newSiege(t, f)
	s.under(t, redisFault{name: "slots of a Cluster moved", gaps: true,
		happen: func(t *testing.T, s *siege) {
			for range rig.InFull(10, 1) {
				for _, key := range []string{"msg_id_1", "unread_6001",
					fmt.Sprint("group_msg_id_", s.load.Groups[0]), "dbproxy:epoch:unread"} {
					s.moveSlot(t, cluster, key)
				}
			}
		}})
}

// moveSlot moves the slot of a key to the next node, as redis-cli does, with some load at each
// step.
func (s *siege) moveSlot(t *testing.T, c *servers.Cluster, key string) {
	t.Helper()
	do := func(r *servers.Redis, args ...string) rueidis.RedisMessage {
		return r.Do(t, append([]string{"CLUSTER"}, args...)...)
	}
	slot := asText(t, do(c.Nodes[0], "KEYSLOT", key))
	ids := make([]string, len(c.Nodes))
	from := slices.IndexFunc(c.Nodes, func(r *servers.Redis) bool { return owns(t, r, slot) })
	for i, r := range c.Nodes {
		ids[i] = asText(t, do(r, "MYID"))
	}
	to := (from + 1) % len(c.Nodes)
	do(c.Nodes[to], "SETSLOT", slot, "IMPORTING", ids[from])
	do(c.Nodes[from], "SETSLOT", slot, "MIGRATING", ids[to])
	s.goOn(200 * time.Millisecond)
	for {
		answer := do(c.Nodes[from], "GETKEYSINSLOT", slot, "1")
		names, err := answer.AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			break
		}
		c.Nodes[from].Do(t, "MIGRATE", c.Nodes[to].Host(), strconv.Itoa(c.Nodes[to].Port()),
			names[0], "0", "5000")
		s.goOn(50 * time.Millisecond)
	}
	for _, i := range []int{to, from, 3 - to - from} {
		do(c.Nodes[i], "SETSLOT", slot, "NODE", ids[to])
	}
}

// owns says whether a node has a slot.
func owns(t *testing.T, r *servers.Redis, slot string) bool {
	t.Helper()
	n, err := strconv.Atoi(slot)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(asText(t, r.Do(t, "CLUSTER", "NODES"))) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.Contains(fields[2], "myself") {
			continue
		}
		for _, span := range fields[8:] {
			first, last, both := strings.Cut(span, "-")
			low, err := strconv.Atoi(first)
			high := low
			if both {
				high, _ = strconv.Atoi(last)
			}
			if err == nil && low <= n && n <= high {
				return true
			}
		}
	}
	return false
}

func asText(t *testing.T, m rueidis.RedisMessage) string {
	t.Helper()
	if n, err := m.AsInt64(); err == nil {
		return strconv.FormatInt(n, 10)
	}
	s, err := m.ToString()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
