//go:build !race

package test

import (
	"context"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestLeaseHolderKilled kills that of three proxies which shows talk in groups to all members: another one takes over.
func TestLeaseHolderKilled(t *testing.T) {
	t.Parallel()
	f, _ := newRedisFleet(t)
	observed(f)
	w := openFleet(t, f)
	w.proxies = make([]*harness.Proxy, 1)
	w.start(t) // alone, so that it has the lease
	await(t, "the lease", func() bool {
		return count(t, w.db, "SELECT count(*) FROM IMProxyLease WHERE name='groupsync' AND expires>UNIX_TIMESTAMP()") == 1
	})
	w.proxies = append(w.proxies, nil, nil)
	w.start(t)

	l := newFaultLoad(t, w)
	l.reconnect, l.rest = true, 50*time.Millisecond
	shown := func(g uint32) bool {
		return count(t, w.db, "SELECT count(*) FROM IMRecentSession WHERE userId=? AND peerId=? AND type=2", silentMember, g) == 1
	}
	l.around(t, func(context.Context) {
		w.proxy(0).Kill()
		c := w.dial(t, 1)
		g := call[*impb.IMGroupCreateRsp](t, c, newGroup(crashMembers[0], crashMembers[0], silentMember)).GetGroupId()
		l.sent.answered(groupTalk(g), call[*impb.IMMsgData](t, c, groupText(crashMembers[0], g, "the first in a new group")))
		await(t, "the group in a member's sessions", func() bool { return shown(g) })
		w.start(t)
		l.findProxies()
	})
	l.guarantee(t, "the lease's holder killed, until its work was done by another")
	l.audit(t)
	w.auditResources(t)
}
