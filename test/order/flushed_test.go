package order

import (
	"context"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
)

// TestFlushedUnderLoad has Redis lose everything every 0.3 s while three proxies are at work:
// nothing of that shows in ids, their order, unread counters or members, and what was lost comes
// back.
func TestFlushedUnderLoad(t *testing.T) {
	w := rig.ThreeOnMySQL.At(t)
	w.Start(t)
	l := load.New(w, load.Crash())
	stop := audit.Flush(t, w)
	firstMessages(t, w, l.Sent, 20, 10)
	checkFirstMessages(t, w, 20, 10)
	groupSends(t, w, l.Sent, 1)
	groupSends(t, w, l.Sent, 5)
	(&restless{members: []uint32{1, 2, 3}, changing: []uint32{11, 12, 13, 14}}).run(t, w, l.Sent)
	l.Run(t, func(ctx context.Context) { l.Await(ctx, 6000) })
	t.Logf("%d messages were answered while Redis lost everything %d times",
		l.Sent.Acknowledged(), stop())
	l.Audit(t, true)
}
