package order

import (
	"context"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestFlushedUnderLoad has Redis lose everything every 0.3 s while three proxies are at work: nothing of that shows in ids,
// their order, unread counters or members, and what was lost comes back.
func TestFlushedUnderLoad(t *testing.T) {
	w := rig.ThreeOnMySQL.At(t)
	w.Start(t)
	l := load.NewCrash(t)
	stop := audit.Flush(t, w)
	firstMessages(t, w, l.Sent, 20, 10)
	checkFirstMessages(t, w, 20, 10)
	groupSends(t, w, l.Sent, 1)
	groupSends(t, w, l.Sent, 5)
	(&load.Restless{Members: []uint32{1, 2, 3}, Changing: []uint32{11, 12, 13, 14}}).Run(t, w, l.Sent)
	l.Prepare(t, w.Proxy(0))
	l.Run(t, w, nil, func(ctx context.Context) { l.Await(ctx, 6000) })
	t.Logf("%d messages were answered while Redis lost everything %d times", l.Sent.Acknowledged(), stop())
	audit.Touch(t, w, l.Sent)
	l.AuditUnread(t, w.Proxy(1), audit.Check(t, w, l.Sent))
}
