package test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// checkAll has a proxy do what it needs Redis for: logins, messages of pairs and groups, what is unread of them, and
// push tokens. user is a number of which there is no user; with those that follow it is used up.
func checkAll(t *testing.T, c *client.Client, user uint32) {
	t.Helper()
	m := mixed{original{t: t}, c}
	login := call[*impb.IMValidateRsp](t, c, &impb.IMValidateReq{UserName: proto.String("bob"),
		Password: proto.String(client.WirePassword("bob-secret"))})
	wantEqual(t, "login", login.GetResultCode(), 0)

	a, b := user, user+1
	for i := range uint32(3) {
		wantEqual(t, "id", m.say(pairText(a, b, fmt.Sprintf("%d of %d", i, user))), i+1)
	}
	m.wantUnread(b, a, pair, 3)
	m.post(readAck(b, pair, a))
	m.wantUnread(b, a, pair, 0)
	wantEqual(t, "id", m.say(pairText(b, a, fmt.Sprint("back from ", b))), 4)
	m.wantUnread(a, b, pair, 1)

	g := call[*impb.IMGroupCreateRsp](t, c, newGroup(a, a, b)).GetGroupId()
	for i := range uint32(3) {
		wantEqual(t, "id", m.say(groupText(a, g, fmt.Sprintf("%d of %d in group", i, user))), i+1)
	}
	m.wantUnread(b, g, group, 3)
	m.post(readAck(b, group, g))
	m.wantUnread(b, g, group, 0)
	wantList(t, "members", m.groupInfo(g).GetGroupMemberList(), a, b)
	call[*impb.IMGroupShieldRsp](t, c, &impb.IMGroupShieldReq{UserId: &b, GroupId: &g, ShieldStatus: proto.Uint32(1)})
	mutes := call[*impb.IMGroupGetShieldRsp](t, c, &impb.IMGroupGetShieldReq{GroupId: &g, UserId: []uint32{a, b}})
	list := mutes.GetShieldStatusList()
	if len(list) != 2 || list[0].GetShieldStatus() != 0 || list[1].GetShieldStatus() != 1 {
		t.Errorf("mutes: %v", list)
	}

	for _, token := range []string{"first", "second"} {
		call[*impb.IMDeviceTokenRsp](t, c, &impb.IMDeviceTokenReq{UserId: &a,
			DeviceToken: proto.String(fmt.Sprint(token, user)), ClientType: impb.ClientType_CLIENT_TYPE_ANDROID.Enum()})
	}
	tokens := call[*impb.IMGetDeviceTokenRsp](t, c, &impb.IMGetDeviceTokenReq{UserId: []uint32{a, b}}).GetUserTokenInfo()
	if len(tokens) != 1 || tokens[0].GetToken() != fmt.Sprint("second", user) || tokens[0].GetPushCount() != 1 {
		t.Errorf("tokens: %v", tokens)
	}
}

// TestRedisCluster has two proxies work on a Redis Cluster of three masters.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	f, cluster := newFleet(t), servers.RedisCluster(t)
	f.conf.Redis = map[string]string{"cluster": strings.Join(cluster.Addrs(), ";")}
	for i := range uint32(2) {
		checkAll(t, dial(t, f.start(t)), 1000+10*i)
	}
	keys := 0
	for _, node := range cluster.Nodes {
		n := len(readKeys(t, dialRedis(t, node, 0)))
		if n == 0 {
			t.Errorf("node %s has no keys", node.Addr())
		}
		keys += n
	}
	if keys < 20 {
		t.Errorf("the cluster has %d keys", keys)
	}
}

// TestRedisClusterForgets restarts the masters of a Redis Cluster, one after the other, without what they had. Where
// nothing else tells that a part of the keys is gone, the keys themselves must.
func TestRedisClusterForgets(t *testing.T) {
	t.Parallel()
	const users = 30
	f, cluster := newFleet(t), servers.RedisCluster(t)
	f.conf.Redis = map[string]string{"cluster": strings.Join(cluster.Addrs(), ";")}
	m := mixed{original{f, t}, dial(t, f.start(t))}
	g := call[*impb.IMGroupCreateRsp](t, m.Client, newGroup(1, 1, 2)).GetGroupId()
	for round := range 1 + len(cluster.Nodes) {
		if round > 0 {
			node := cluster.Nodes[round-1]
			node.Restart(t)
			await(t, "the node", func() bool {
				info := node.Do(t, "CLUSTER", "INFO")
				text, err := info.ToString()
				return err == nil && strings.Contains(text, "cluster_state:ok")
			})
		}
		for i := range uint32(users) {
			m.wantUnread(1000+i, 1, pair, round)
		}
		m.wantUnread(2, g, group, round)
		for i := range uint32(users) {
			wantEqual(t, "id", m.say(pairText(1, 1000+i, fmt.Sprint("to ", i, " in round ", round))), uint32(round+1))
			m.wantUnread(1000+i, 1, pair, round+1)
		}
		wantEqual(t, "id", m.say(groupText(1, g, fmt.Sprint("to all in round ", round))), uint32(round+1))
	}
}

// TestRedisFailover kills the master of a Redis under Sentinel while two proxies work on it. What was acknowledged is
// there once, nothing is refused, and what is unread is right before, during and after.
func TestRedisFailover(t *testing.T) {
	t.Parallel()
	const inFlight = 8
	f, sentinel := newFleet(t), servers.Sentinel(t)
	f.conf.Redis = map[string]string{
		"sentinels": strings.Join(sentinel.Addrs(), ";"), "sentinel_master": servers.MasterName,
	}
	clients := []*client.Client{dial(t, f.start(t)), dial(t, f.start(t))}
	m := mixed{original{f, t}, clients[0]}
	checkAll(t, clients[0], 1000)
	g := call[*impb.IMGroupCreateRsp](t, clients[1], newGroup(1, 1, 2, 3)).GetGroupId()

	sent := newLedger()
	ctx, stop := context.WithCancel(within(t))
	var proxies sync.WaitGroup
	var serial atomic.Uint32
	for _, c := range clients {
		for k, req := range map[talk]func(string) *impb.IMMsgData{
			pairTalk(1, 2): func(text string) *impb.IMMsgData { return pairText(1, 2, text) },
			groupTalk(g):   func(text string) *impb.IMMsgData { return groupText(2, g, text) },
		} {
			proxies.Go(func() {
				keepSending(ctx, t, c, inFlight, sent, k, func() *impb.IMMsgData {
					return req(fmt.Sprint("load ", serial.Add(1)))
				})
			})
		}
	}
	proxies.Go(func() { keepCounting(ctx, t, clients, sent) })
	acknowledged := func(more int) {
		t.Helper()
		begun := sent.acknowledged()
		await(t, "more acknowledged messages", func() bool { return sent.acknowledged() >= begun+more })
	}
	acknowledged(200)
	old := sentinel.Master(t)
	old.Kill(t)
	acknowledged(200)
	checkAll(t, dial(t, f.start(t)), 2000) // a proxy that comes when there is no master yet
	await(t, "another master", func() bool { return sentinel.Master(t) != old })
	acknowledged(200)
	stop()
	proxies.Wait()

	check := func() {
		t.Helper()
		rows := readRows(t, f.db.Admin)
		for i, c := range clients {
			t.Log("proxy", i)
			m := mixed{m.original, c}
			m.wantUnread(2, 1, pair, len(rows[pairTalk(1, 2)]))
			m.wantUnread(3, g, group, len(rows[groupTalk(g)]))
			m.wantUnread(2, g, group, 0)
		}
		sent.audit(t, rows)
	}
	check()
	checkAll(t, clients[1], 3000)
	old.Restart(t)
	m.say(pairText(1, 2, "once more"))
	check()
}

// keepCounting sends messages of a pair one by one, by each client in turn, until ctx ends. What the other client then
// says is unread must be all of them.
func keepCounting(ctx context.Context, t *testing.T, clients []*client.Client, sent *ledger) {
	for n := 1; ctx.Err() == nil; n++ {
		answer, err := client.Call[*impb.IMMsgData](within(t), clients[n%2], pairText(7, 8, fmt.Sprint("counted ", n)))
		if err != nil {
			t.Error(err)
			return
		}
		sent.answered(pairTalk(7, 8), answer)
		counted, err := client.Call[*impb.IMUnreadMsgCntRsp](within(t), clients[1-n%2], unread(8))
		if err != nil {
			t.Error(err)
			return
		}
		if got := unreadIn(counted, 7, pair); got != n {
			t.Errorf("%d of %d messages are unread", got, n)
		}
	}
}
