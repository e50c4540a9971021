package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

func TestEverythingWorksOnACluster(t *testing.T) {
	t.Parallel()
	c := servers.RedisCluster(t)
	i := patient(link.Instance{Cluster: c.Addrs()})
	p := fresh(t, all(i))
	p.talk()
	p.wantTalk()
	want := `msg_id_1=3
		unread_2 1=2
		group_msg_id_1=2
		1_im_group_msg count=2
		1_1_im_user_group count=1
		2_1_im_user_group count=2
		group_member_1 1=NOW
		group_member_1 2=NOW
		group_member_1 3=NOW
		group_set_1 3_1=1
		device_1=ios:a
		device_a=1
		device_2=android:b
		device_b=2`
	o := originalAt(t, i)
	o.want(want)
	n := p.Copy.AddFailures(t.Context(), []string{"x"}, time.Now(), 100)[0]
	if n.Value != 1 || n.Err != nil {
		t.Errorf("a failed login makes %d, %v", n.Value, n.Err)
	}
	at := p.Copy.FailedAt(t.Context(), []string{"x"})[0]
	if len(at.Value) != 1 || at.Err != nil {
		t.Errorf("failed at %v, %v", at.Value, at.Err)
	}
	for _, node := range c.Nodes {
		node.Do(t, "FLUSHALL")
	}
	p.wantTalk()
	p.wantTalk()
	p.run()
	p.awaitEpoch("group_member", 2)
	p.wantIDs(p.send(to(1, 2), in(2, 1)), "[4 3]")
	p.send(read(2, chat.PairTalk(1, 2)), read(1, chat.GroupTalk(1)))
	p.send(to(1, 2), to(1, 2), in(2, 1))
	want = strings.NewReplacer("msg_id_1=3", "msg_id_1=6", "group_msg_id_1=2", "group_msg_id_1=4",
		"im_group_msg count=2", "im_group_msg count=4",
		"1_1_im_user_group count=1", "1_1_im_user_group count=3", "2_1_im_user_group count=2",
		"2_1_im_user_group count=4").Replace(want)
	o.await(want, func() {
		_, err := p.Devices(t.Context(), []uint32{1, 2})
		p.must(err)
		_, err = p.Mutes(t.Context(), 1, []uint32{1, 2, 3})
		p.must(err)
	})
}

func TestEverythingGoesOnAfterASentinelFailover(t *testing.T) {
	t.Parallel()
	g := servers.Sentinel(t)
	i := patient(link.Instance{Sentinels: g.Addrs(), SentinelMaster: servers.MasterName})
	p := fresh(t, all(i))
	p.run()
	p.talk()
	p.wantTalk()
	master := g.KillMaster(t)
	sent := uint32(0)
	// What is sent meanwhile is counted later.
	_, commit := p.append(to(1, 2))
	p.apply(commit)
	sent++
	await(t, "the new master", func() bool {
		_, commit := p.append(to(1, 2))
		p.apply(commit)
		sent++
		return p.Copy.Away() == nil && say(t, master, "HGET", "unread_2", "1") != "" && sent > 3
	})
	p.must(p.SetToken(t.Context(), 3, "ios:c", "c"))
	p.send(read(2, chat.PairTalk(1, 2)))
	p.wantUnread(2, "")
	p.wantIDs(p.send(to(1, 2)), fmt.Sprint([]uint32{3 + sent + 1}))
	p.wantUnread(2, "1:1")
	await(t, "the token", func() bool {
		left, err := p.store.Unapplied(t.Context(), 0, 100)
		p.must(err)
		return p.Apply(t.Context(), left) == nil && say(t, master, "GET", "device_c") == "3"
	})
}
