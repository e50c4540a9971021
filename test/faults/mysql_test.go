//go:build !race

package faults

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestMySQLKilled kills the server, and starts it again.
func TestMySQLKilled(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, how string) {
		server := servers.StartMariaDB(t)
		w, _ := throughMySQL(t, server, how)
		through(t, w, "MySQL killed and restarted, "+how, func(ctx context.Context) {
			server.Kill(t)
			rig.Pause(ctx, rig.Seconds(2, 10))
			server.Restart(t)
		})
	})
}

// TestMySQLFrozen has the server say nothing for a while, from a certain step of storing messages
// on.
func TestMySQLFrozen(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name string
		at   func(query string) bool
		how  string
	}{
		{"at the beginning of a transaction", isLocking, withRedis},
		{"at COMMIT", faultproxy.IsCommit, withRedis},
		{"at COMMIT", faultproxy.IsCommit, withoutRedis},
	} {
		t.Run(f.name+", "+f.how, func(t *testing.T) {
			t.Parallel()
			server := servers.StartMariaDB(t)
			w, between := throughMySQL(t, server, f.how)
			through(t, w, "MySQL frozen "+f.name+", "+f.how, func(ctx context.Context) {
				var once sync.Once
				shot := between.BeforeMySQL(func(q string) bool {
					if f.at(q) {
						once.Do(func() { server.Freeze(t) })
					}
					return false
				}, faultproxy.Every(1))
				rig.Pause(ctx, rig.Seconds(7, 10))
				shot.Disarm()
				server.Thaw(t)
			})
		})
	}
}

// cuts are the points at which connections are cut.
var cuts = []struct {
	name string
	arm  func(*faultproxy.Proxy) *faultproxy.Shot
	ways []string // of counting, in the short form; in the full form it is both
}{
	{"in mid-transaction", func(p *faultproxy.Proxy) *faultproxy.Shot {
		return p.AfterMySQL(isLocking, faultproxy.Every(5))
	}, []string{withRedis}},
	{"before COMMIT arrived", func(p *faultproxy.Proxy) *faultproxy.Shot {
		return p.BeforeMySQL(faultproxy.IsCommit, faultproxy.Every(5))
	}, []string{withRedis}},
	{"after COMMIT had run", func(p *faultproxy.Proxy) *faultproxy.Shot {
		return p.AfterMySQL(faultproxy.IsCommit, faultproxy.Every(5))
	}, []string{withRedis, withoutRedis}},
	{"before every statement", func(p *faultproxy.Proxy) *faultproxy.Shot {
		return p.BeforeMySQL(isAny, faultproxy.Chance(0.02, 1))
	}, []string{withRedis, withoutRedis}},
	{"after every statement", func(p *faultproxy.Proxy) *faultproxy.Shot {
		return p.AfterMySQL(isAny, faultproxy.Chance(0.02, 2))
	}, []string{withRedis}},
}

// TestMySQLCut cuts connections while they are in use, at several points.
func TestMySQLCut(t *testing.T) {
	t.Parallel()
	for _, cut := range cuts {
		for _, how := range rig.InFull([]string{withRedis, withoutRedis}, cut.ways) {
			name := cut.name + ", " + how
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w, between := throughMySQL(t, servers.MariaDB(t), how)
				through(t, w, "MySQL connections cut "+name, func(ctx context.Context) {
					shot := cut.arm(between)
					rig.Pause(ctx, rig.Seconds(2, 20))
					shot.Disarm()
					t.Logf("%d of %d were cut", shot.Fired(), shot.Matched())
				})
			})
		}
	}
}

// isLocking matches the beginning of a transaction that stores messages.
func isLocking(query string) bool {
	return strings.HasPrefix(query, "START TRANSACTION") &&
		strings.Contains(query, "IMProxyTalk") && strings.HasSuffix(query, "FOR UPDATE")
}

func isAny(string) bool { return true }
