package limits

import (
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestProxiesLockANameOutTogether has logins fail at three proxies without Redis, each time at
// another one: the name is locked out at all of them at once, in a flood of made-up names, too, and
// is free at all of them when somebody unlocks it. The flood writes few rows.
func TestProxiesLockANameOutTogether(t *testing.T) {
	t.Parallel()
	w := rig.ThreeWithoutRedis.At(t)
	w.Start(t)
	everywhere := func(want uint32) {
		t.Helper()
		for i := range w.Proxies {
			c := w.Dial(t, i)
			answer := rig.Call[*impb.IMValidateRsp](t, c, login("alice", "alice-secret"))
			if answer.GetResultCode() != want {
				t.Fatalf("proxy %d answers the right password with %d, want %d", i,
					answer.GetResultCode(), want)
			}
		}
	}
	everywhere(0)
	for i := range chat.LockoutFailures {
		rig.Call[*impb.IMValidateRsp](t, w.Dial(t, i), login("alice", "a guess"))
	}
	everywhere(6)

	begun := time.Now()
	for i := range w.Proxies {
		failLogins(t, w.Dial(t, i), 2000)
	}
	everywhere(6)
	took := time.Since(begun)
	if rows, most := rig.Count(t, w.DB, "SELECT COUNT(*) FROM IMProxyFailure"),
		len(w.Proxies)*100*(2+int(took/time.Second)); rows > most {
		t.Errorf("%d rows after %v; at most %d were expected", rows, took, most)
	}

	said, err := harness.Run(rig.Within(t), rig.Binary, "", "user", "unlock", "alice", "--config",
		rig.WriteConfig(t, w.Fleet.Conf))
	if err != nil || !strings.HasPrefix(said, "user 1 (alice): unlocked") {
		t.Errorf("%q, %v", said, err)
	}
	everywhere(0)
}
