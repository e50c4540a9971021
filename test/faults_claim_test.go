//go:build !race

package test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/faults"
)

// TestClaimCut cuts the connection at each COMMIT of the first message of a pair: that of the row by which the pair is
// claimed, and that of the message. The message is stored once, and answered.
func TestClaimCut(t *testing.T) {
	t.Parallel()
	f, _ := newRedisFleet(t)
	between := faults.New(t, fmt.Sprintf("%s:%d", f.conf.MySQL.Host, f.conf.MySQL.Port))
	f.conf.MySQL.Port = portOf(t, between)
	c := dial(t, f.start(t))
	sent := newLedger()
	sent.gaps = true // what had ids was not stored, and had others later
	peer := uint32(100)
	for name, cut := range map[string]func(func(string) bool, faults.When) *faults.Shot{
		"before it ran": between.BeforeMySQL, "after it ran": between.AfterMySQL,
	} {
		for n := range 4 {
			shot := cut(isCommit, faults.Nth(n+1))
			peer++
			answer := call[*impb.IMMsgData](t, c, pairText(1, peer, fmt.Sprint("COMMIT ", n+1, " cut ", name)))
			if answer.GetMsgId() == 0 {
				t.Errorf("COMMIT %d cut %s: the message was refused", n+1, name)
			} else {
				sent.answered(pairTalk(1, peer), answer)
			}
			shot.Disarm()
		}
	}
	sent.audit(t, readRows(t, f.db.Admin))
}
