//go:build !race

package faults

import (
	"fmt"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// firstSteps are what a proxy says to MySQL when the first message of a pair is stored, a voice
// message, in their order.
var firstSteps = []struct {
	name  string
	query func(query string) bool
}{
	{"the locking", isLocking},
	{"the claim", func(q string) bool {
		return strings.Contains(q, "INSERT INTO IMProxyTalk") && !faultproxy.IsCommit(q)
	}},
	{"the search for a relation", func(q string) bool {
		return strings.HasPrefix(q, "SELECT id,smallId,bigId")
	}},
	{"the making of a relation", func(q string) bool {
		return strings.HasPrefix(q, "INSERT INTO IMRelationShip")
	}},
	{"the search for messages", func(q string) bool {
		return strings.Contains(q, "FROM IMMessage_")
	}},
	{"the row of the sound", func(q string) bool {
		return strings.Contains(q, "INSERT INTO IMAudio")
	}},
	{"COMMIT", func(q string) bool { // not that of a mark, which is written beside it
		return faultproxy.IsCommit(q) && strings.Contains(q, "INSERT INTO IMProxyCommit")
	}},
}

// TestFirstMessageCut cuts the connection at each step of storing the first message of a pair,
// before the server has it or after it was done. The message is stored once, and answered.
func TestFirstMessageCut(t *testing.T) {
	t.Parallel()
	bothWays(t, cutFirstMessages)
}

func cutFirstMessages(t *testing.T, how string) {
	t.Helper()
	f := fleetOn(t, servers.MariaDB(t), how)
	between := faultproxy.New(t, fmt.Sprintf("%s:%d", f.Conf.MySQL.Host, f.Conf.MySQL.Port))
	f.Conf.MySQL.Port = faultproxy.PortOf(t, between)
	c := rig.Dial(t, f.Start(t))
	peer := uint32(100)
	for _, step := range firstSteps {
		for name, cut := range map[string]func(func(string) bool, faultproxy.When) *faultproxy.Shot{
			"before it was done": between.BeforeMySQL, "after it was done": between.AfterMySQL,
		} {
			shot := cut(step.query, faultproxy.Nth(1))
			peer++
			answer := rig.Call[*impb.IMMsgData](t, c,
				rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, 1, peer, "\x00\x00\x00\x01sound"))
			if answer.GetMsgId() == 0 {
				t.Errorf("%s cut %s: the message was refused", step.name, name)
			}
			if shot.Fired() != 1 {
				t.Errorf("%s was not cut", step.name)
			}
			shot.Disarm()
		}
	}
	rows := audit.ReadRows(t, f.DB.Admin)
	for ; peer > 100; peer-- {
		if stored := rows[lines.PairTalk(1, peer)]; len(stored) != 1 {
			t.Errorf("the first message of 1 and %d is stored %d times", peer, len(stored))
		}
		for _, query := range []string{
			"SELECT COUNT(*) FROM IMAudio WHERE fromId=1 AND toId=?",
			"SELECT COUNT(*) FROM IMRelationShip WHERE smallId=1 AND bigId=?",
			"SELECT COUNT(*) FROM IMRecentSession WHERE userId=1 AND peerId=?",
			"SELECT COUNT(*) FROM IMRecentSession WHERE userId=? AND peerId=1",
		} {
			if n := rig.Count(t, f.DB.Admin, query, peer); n != 1 {
				t.Errorf("%s with %d: %d", query, peer, n)
			}
		}
	}
}
