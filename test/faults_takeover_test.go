//go:build !race

package test

import (
	"strconv"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
)

// TestTakeOverLate has Redis not answer in time when a talk of an original server is taken over, and do what it was asked
// for afterwards: what the original counted stays counted.
func TestTakeOverLate(t *testing.T) {
	t.Parallel()
	f, redis := newRedisFleet(t)
	line := faultproxy.New(t, redis.Addr())
	host, port := hostPort(t, line.Addr())
	f.conf.Redis = map[string]string{"host": host, "port": strconv.Itoa(port)}
	m := mixed{original{f, t}, dial(t, f.start(t))}
	m.say(pairText(3, 4, "has Redis know the script"))
	relation, g := m.relate(1, 2), m.createGroup(1, 1, 2)
	for range 3 {
		m.send(relation, 1, 2, "of an original")
		m.sendGroup(g, 1, "of an original")
	}
	shot := line.HoldRedis(isScriptOn("unread_", strconv.Itoa(int(g))+"_im_group_msg"), faultproxy.Nth(1))
	ids := make(chan uint32, 2)
	go func() { ids <- m.say(pairText(1, 2, "of the proxy")) }()
	wantEqual(t, "id in the group", m.say(groupText(1, g, "of the proxy")), 4)
	wantEqual(t, "id", <-ids, 4)
	shot.Release()
	await(t, "all that is unread", func() bool {
		pairs, groups := m.number("HGET", "unread_2", "1"), m.number("HGET", strconv.Itoa(int(g))+"_im_group_msg", "count")
		return pairs == 4 && groups == 4
	})
}
