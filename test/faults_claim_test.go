//go:build !race

package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/faults"
)

// TestClaimCut cuts the connection while the first message of a pair is stored: where the row is made by which the pair is
// claimed, and at the COMMIT. The message is stored once, and answered.
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
		for step, at := range map[string]func(string) bool{"the claim": isClaim, "COMMIT": isCommit} {
			shot := cut(at, faults.Nth(1))
			peer++
			answer := call[*impb.IMMsgData](t, c, pairText(1, peer, fmt.Sprint(step, " cut ", name)))
			if answer.GetMsgId() == 0 {
				t.Errorf("%s cut %s: the message was refused", step, name)
			} else {
				sent.answered(pairTalk(1, peer), answer)
			}
			if shot.Fired() != 1 {
				t.Errorf("%s was not cut", step)
			}
			shot.Disarm()
		}
	}
	sent.audit(t, readRows(t, f.db.Admin))
}

// isClaim matches where rows of new talks are made.
func isClaim(query string) bool {
	return strings.Contains(query, "INSERT INTO IMProxyTalk") && !isCommit(query)
}
