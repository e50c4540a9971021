package order

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestRedisCluster has two proxies work on a Redis Cluster of three masters.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	f, cluster := rig.NewFleet(t), servers.RedisCluster(t)
	f.Conf.Redis = map[string]string{"cluster": strings.Join(cluster.Addrs(), ";")}
	for i := range uint32(2) {
		original.CheckAll(t, rig.Dial(t, f.Start(t)), 1000+10*i)
	}
	keys := 0
	for _, node := range cluster.Nodes {
		n := len(rig.ReadKeys(t, rig.DialRedis(t, node, 0)))
		if n == 0 {
			t.Errorf("node %s has no keys", node.Addr())
		}
		keys += n
	}
	if keys < 20 {
		t.Errorf("the cluster has %d keys", keys)
	}
}

// TestRedisClusterForgets restarts the masters of a Redis Cluster, one after the other, without
// what they had. Where nothing else tells that a part of the keys is gone, the keys themselves
// must.
func TestRedisClusterForgets(t *testing.T) {
	t.Parallel()
	const users = 30
	f, cluster := rig.NewFleet(t), servers.RedisCluster(t)
	f.Conf.Redis = map[string]string{"cluster": strings.Join(cluster.Addrs(), ";")}
	m := original.Beside(t, f, rig.Dial(t, f.Start(t)))
	g := rig.Call[*impb.IMGroupCreateRsp](t, m.Client, rig.NewGroup(1, 1, 2)).GetGroupId()
	for round := range 1 + len(cluster.Nodes) {
		if round > 0 {
			node := cluster.Nodes[round-1]
			node.Restart(t)
			rig.Await(t, "the node", func() bool {
				info := node.Do(t, "CLUSTER", "INFO")
				text, err := info.ToString()
				return err == nil && strings.Contains(text, "cluster_state:ok")
			})
		}
		for i := range uint32(users) {
			m.WantUnread(1000+i, 1, rig.Pair, round)
		}
		m.WantUnread(2, g, rig.Group, round)
		for i := range uint32(users) {
			original.WantEqual(t, "id", m.Say(rig.PairText(1, 1000+i,
				fmt.Sprint("to ", i, " in round ", round))), uint32(round+1))
			m.WantUnread(1000+i, 1, rig.Pair, round+1)
		}
		original.WantEqual(t, "id", m.Say(rig.GroupText(1, g,
			fmt.Sprint("to all in round ", round))), uint32(round+1))
	}
}

// TestRedisFailover kills the master of a Redis under Sentinel while two proxies work on it. What
// was acknowledged is there once, nothing is refused, and what is unread is right before, during
// and after.
func TestRedisFailover(t *testing.T) {
	t.Parallel()
	const volley = 8
	f, sentinel := rig.NewFleet(t), servers.Sentinel(t)
	f.Conf.Redis = map[string]string{
		"sentinels": strings.Join(sentinel.Addrs(), ";"), "sentinel_master": servers.MasterName,
	}
	first, second := f.Start(t), f.Start(t)
	clients := []*client.Client{rig.Dial(t, first), rig.Dial(t, second)}
	m := original.Beside(t, f, clients[0])
	original.CheckAll(t, clients[0], 1000)
	g := rig.Call[*impb.IMGroupCreateRsp](t, clients[1], rig.NewGroup(1, 1, 2, 3)).GetGroupId()

	sent := audit.NewLedger()
	ctx, stop := context.WithCancel(rig.Within(t))
	var counting sync.WaitGroup
	atRest := atWork(t, sent, volley, []string{first.Addr, second.Addr},
		map[lines.Talk]uint32{lines.PairTalk(1, 2): 1, lines.GroupTalk(g): 2})
	counting.Go(func() { keepCounting(ctx, t, clients, sent) })
	acknowledged := func(more int) {
		t.Helper()
		begun := sent.Acknowledged()
		rig.Await(t, "more acknowledged messages", func() bool {
			return sent.Acknowledged() >= begun+more
		})
	}
	acknowledged(200)
	old := sentinel.Master(t)
	old.Kill(t)
	acknowledged(200)
	// a proxy that comes when there is no master yet
	original.CheckAll(t, rig.Dial(t, f.Start(t)), 2000)
	rig.Await(t, "another master", func() bool { return sentinel.Master(t) != old })
	acknowledged(200)
	stop()
	counting.Wait()
	atRest()

	check := func() {
		t.Helper()
		rows := audit.ReadRows(t, f.DB.Admin)
		for i, c := range clients {
			t.Log("proxy", i)
			m := original.Beside(t, m.Fleet, c)
			m.WantUnread(2, 1, rig.Pair, len(rows[lines.PairTalk(1, 2)]))
			m.WantUnread(3, g, rig.Group, len(rows[lines.GroupTalk(g)]))
			m.WantUnread(2, g, rig.Group, 0)
		}
		sent.Check(t, rows)
	}
	check()
	original.CheckAll(t, clients[1], 3000)
	old.Restart(t)
	m.Say(rig.PairText(1, 2, "once more"))
	check()
}

// keepCounting sends messages of a pair one by one, by each client in turn, until ctx ends. What
// the other client then says is unread must be all of them.
func keepCounting(ctx context.Context, t *testing.T, clients []*client.Client, sent *audit.Ledger) {
	for n := 1; ctx.Err() == nil; n++ {
		answer, err := client.Call[*impb.IMMsgData](rig.Within(t), clients[n%2],
			rig.PairText(7, 8, fmt.Sprint("counted ", n)))
		if err != nil {
			t.Error(err)
			return
		}
		sent.Answered(lines.PairTalk(7, 8), answer)
		counted, err := client.Call[*impb.IMUnreadMsgCntRsp](rig.Within(t), clients[1-n%2],
			rig.Unread(8))
		if err != nil {
			t.Error(err)
			return
		}
		if got := audit.UnreadIn(counted, 7, rig.Pair); got != n {
			t.Errorf("%d of %d messages are unread", got, n)
		}
	}
}
