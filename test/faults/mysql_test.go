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
	server := servers.StartMariaDB(t)
	w, _ := throughMySQL(t, server)
	through(t, w, "MySQL killed and restarted", func(ctx context.Context) {
		server.Kill(t)
		rig.Pause(ctx, rig.Seconds(2, 10))
		server.Restart(t)
	})
}

// TestMySQLFrozen has the server say nothing for a while, from a certain step of storing messages
// on.
func TestMySQLFrozen(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(query string) bool{
		"at the beginning of a transaction": isLocking,
		"at COMMIT":                         faultproxy.IsCommit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.StartMariaDB(t)
			w, between := throughMySQL(t, server)
			through(t, w, "MySQL frozen "+name, func(ctx context.Context) {
				var once sync.Once
				shot := between.BeforeMySQL(func(q string) bool {
					if at(q) {
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

// TestMySQLCut cuts connections while they are in use, at several points.
func TestMySQLCut(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]func(*faultproxy.Proxy) *faultproxy.Shot{
		"in mid-transaction": func(p *faultproxy.Proxy) *faultproxy.Shot {
			return p.AfterMySQL(isLocking, faultproxy.Every(5))
		},
		"before COMMIT arrived": func(p *faultproxy.Proxy) *faultproxy.Shot {
			return p.BeforeMySQL(faultproxy.IsCommit, faultproxy.Every(5))
		},
		"after COMMIT had run": func(p *faultproxy.Proxy) *faultproxy.Shot {
			return p.AfterMySQL(faultproxy.IsCommit, faultproxy.Every(5))
		},
		"before every statement": func(p *faultproxy.Proxy) *faultproxy.Shot {
			return p.BeforeMySQL(isAny, faultproxy.Chance(0.02, 1))
		},
		"after every statement": func(p *faultproxy.Proxy) *faultproxy.Shot {
			return p.AfterMySQL(isAny, faultproxy.Chance(0.02, 2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, between := throughMySQL(t, servers.MariaDB(t))
			through(t, w, "MySQL connections cut "+name, func(ctx context.Context) {
				shot := arm(between)
				rig.Pause(ctx, rig.Seconds(2, 20))
				shot.Disarm()
				t.Logf("%d of %d were cut", shot.Fired(), shot.Matched())
			})
		})
	}
}

// isLocking matches the beginning of a transaction that stores messages.
func isLocking(query string) bool {
	return strings.HasPrefix(query, "START TRANSACTION") &&
		strings.Contains(query, "IMProxyTalk") && strings.HasSuffix(query, "FOR UPDATE")
}

func isAny(string) bool { return true }
