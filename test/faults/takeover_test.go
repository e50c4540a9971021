//go:build !race

package faults

import (
	"strconv"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// TestTakeOverLate has Redis not answer in time when a talk of an original server is taken over,
// and do what it was asked for afterwards: what the original counted stays counted.
func TestTakeOverLate(t *testing.T) {
	t.Parallel()
	f, redis := rig.NewRedisFleet(t)
	line := faultproxy.New(t, redis.Addr())
	host, port := hostPort(t, line.Addr())
	f.Conf.Redis = map[string]string{"host": host, "port": strconv.Itoa(port)}
	m := original.Beside(t, f, rig.Dial(t, f.Start(t)))
	m.Say(rig.PairText(3, 4, "has Redis know the script"))
	relation, g := m.Relate(1, 2), m.CreateGroup(1, 1, 2)
	for range 3 {
		m.Send(relation, 1, 2, "of an original")
		m.SendGroup(g, 1, "of an original")
	}
	shot := line.HoldRedis(isScriptOn("unread_", strconv.Itoa(int(g))+"_im_group_msg"),
		faultproxy.Nth(1))
	ids := make(chan uint32, 2)
	go func() { ids <- m.Say(rig.PairText(1, 2, "of the proxy")) }()
	original.WantEqual(t, "id in the group", m.Say(rig.GroupText(1, g, "of the proxy")), 4)
	original.WantEqual(t, "id", <-ids, 4)
	shot.Release()
	rig.Await(t, "all that is unread", func() bool {
		pairs, groups := m.Number("HGET", "unread_2", "1"),
			m.Number("HGET", strconv.Itoa(int(g))+"_im_group_msg", "count")
		return pairs == 4 && groups == 4
	})
}
