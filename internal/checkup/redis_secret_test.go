package checkup_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestAPasswordThatTheServerEchoes: one that lacks AUTH names its arguments, and nobody gets to see
// them, neither by the check nor in the log nor of what is away.
func TestAPasswordThatTheServerEchoes(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--rename-command", "AUTH", "", "--rename-command", "HELLO", "")
	i := redisAt(r)
	i.Username, i.Password = "ann", "hunteopened"
	found := checkOne(t, i)
	wantFinding(t, found, "reachable", checkup.Wrong, "refuses: unknown command 'AUTH'",
		"unread_host")
	for _, f := range found {
		if strings.Contains(f.Text+f.Mend, "hunteopened") {
			t.Errorf("the check says %q", f.Text)
		}
	}
	var log bytes.Buffer
	opt := all(i)
	opt.Log = slog.New(slog.NewTextHandler(&log, nil))
	copied, err := redis.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	away := copied.Away()
	copied.Close()
	if len(away) == 0 || strings.Contains(away[0].Error(), "hunteopened") ||
		!strings.Contains(away[0].Error(), "AUTH") {
		t.Errorf("away: %v", away)
	}
	if strings.Contains(log.String(), "hunteopened") {
		t.Errorf("the log has it:\n%s", &log)
	}
}
