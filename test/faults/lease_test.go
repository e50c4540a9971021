//go:build !race

package faults

import (
	"context"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestLeaseHolderKilled kills the one of three proxies that shows talk in groups to all members.
// Another one takes over.
func TestLeaseHolderKilled(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	observed(f)
	w := rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 1)
	w.Start(t) // alone, so that it has the lease
	rig.Await(t, "the lease", func() bool {
		return rig.Count(t, w.DB,
			"SELECT count(*) FROM IMProxyLease "+
				"WHERE name='groupsync' AND expires>UNIX_TIMESTAMP()") == 1
	})
	w.Proxies = append(w.Proxies, nil, nil)
	w.Start(t)

	l := load.New(w, load.Faults())
	l.Reconnect, l.Profile.Rest = true, 50*time.Millisecond
	shown := func(g uint32) bool {
		return rig.Count(t, w.DB,
			"SELECT count(*) FROM IMRecentSession WHERE userId=? AND peerId=? AND type=2",
			load.SilentMember, g) == 1
	}
	l.Around(t, func(context.Context) {
		w.Proxy(0).Kill()
		c := w.Dial(t, 1)
		g := rig.Call[*impb.IMGroupCreateRsp](t, c,
			rig.NewGroup(load.Members[0], load.Members[0], load.SilentMember)).GetGroupId()
		l.Sent.Answered(lines.GroupTalk(g), rig.Call[*impb.IMMsgData](t, c,
			rig.GroupText(load.Members[0], g, "the first in a new group")))
		rig.Await(t, "the group in a member's sessions", func() bool { return shown(g) })
		w.Start(t)
		l.Find()
	})
	l.Guarantee(t, "the lease's holder killed, until its work was done by another")
	l.Audit(t, true)
	audit.Resources(t, w)
}
