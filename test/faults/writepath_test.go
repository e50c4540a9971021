//go:build !race

package faults

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/load"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// wires are what lies between the proxies and their servers.
type wires struct{ mysql, redis *faultproxy.Proxy }

// writeStep is a step of storing messages: what the proxy says to a server.
type writeStep struct {
	name  string
	query func(query string) bool
	redis func(args []string) bool
	// unknown says that the step follows a COMMIT whose outcome is not known.
	unknown bool
}

// The steps of the write path, in their order: see docs/architecture.md.
var writeSteps = []writeStep{
	{name: "the locking of talks", query: isLocking},
	{name: "the giving out of ids", redis: isScriptOn("msg_id_", "group_msg_id_")},
	{name: "the batch and its COMMIT", query: faultproxy.IsCommit},
	{name: "the question what became of a COMMIT", query: isSettling, unknown: true},
	{name: "the counting", redis: isScriptOn("unread_")},
}

func isSettling(query string) bool {
	return strings.Contains(query, "INSERT INTO IMProxyCommit") &&
		strings.HasSuffix(query, ",NULL)")
}

// isScriptOn matches the scripts that change a key with one of these prefixes.
func isScriptOn(prefixes ...string) func(args []string) bool {
	return func(args []string) bool {
		return strings.HasPrefix(args[0], "EVAL") &&
			slices.ContainsFunc(args, func(arg string) bool {
				return slices.ContainsFunc(prefixes, func(p string) bool {
					return strings.HasPrefix(arg, p)
				})
			})
	}
}

// TestWritePath has every step of storing messages fail under load: the step itself is not done, or
// it is done and nobody says so. The proxy is killed at once or a while after, started again, and
// what is stored is audited.
func TestWritePath(t *testing.T) {
	t.Parallel()
	for i, step := range writeSteps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			w, between := throughBoth(t)
			failStep(t, w, between, step, "", i)
		})
		if step.redis == nil {
			t.Run(step.name+", "+withoutRedis, func(t *testing.T) {
				t.Parallel()
				w, between := throughMySQL(t, servers.MariaDB(t), withoutRedis)
				failStep(t, w, wires{mysql: between}, step, ", "+withoutRedis, i+1)
			})
		}
	}
}

// failStep has a step fail in several ways, of which the short form takes two; odd says which.
func failStep(
	t *testing.T, w *rig.Setup, between wires, step writeStep, how string, odd int,
) {
	t.Helper()
	w.Start(t)
	l := load.New(w, load.Faults())
	l.Reconnect, l.Enough = true, 60
	for k, stored := range []bool{false, true} {
		for _, atOnce := range rig.InFull([]bool{false, true, false, true},
			[]bool{(odd+k)%2 == 1}) {
			l.Around(t, func(ctx context.Context) {
				between.fail(ctx, t, step, stored)
				if !atOnce {
					l.Await(ctx, 60)
				}
				w.Proxy(0).Kill()
				w.Start(t)
				l.Find()
			})
			name := step.name + map[bool]string{false: " cut before it arrived",
				true: " cut after it was done"}[stored]
			l.Guarantee(t, name+map[bool]string{false: ", proxy killed later",
				true: ", proxy killed at once"}[atOnce]+how)
			l.Audit(t, true)
		}
	}
	audit.Resources(t, w)
}

// fail has a step fail once, and waits for that.
func (b wires) fail(ctx context.Context, t *testing.T, step writeStep, stored bool) {
	t.Helper()
	if step.unknown {
		defer b.mysql.AfterMySQL(faultproxy.IsCommit, faultproxy.Every(1)).Disarm()
	}
	var shot *faultproxy.Shot
	switch once := faultproxy.Nth(1); {
	case step.redis != nil && stored:
		shot = b.redis.AfterRedis(step.redis, once)
	case step.redis != nil:
		shot = b.redis.BeforeRedis(step.redis, once)
	case stored:
		shot = b.mysql.AfterMySQL(step.query, once)
	default:
		shot = b.mysql.BeforeMySQL(step.query, once)
	}
	select {
	case <-shot.Done():
	case <-ctx.Done():
		t.Fatalf("%s: it was not met with", step.name)
	}
}

// throughBoth makes a setup whose proxies reach MySQL and Redis through fault proxies.
func throughBoth(t *testing.T) (*rig.Setup, wires) {
	t.Helper()
	f, redis := rig.NewRedisFleet(t)
	observed(f)
	b := wires{faultproxy.New(t, servers.MariaDB(t).Addr()), faultproxy.New(t, redis.Addr())}
	f.Conf.MySQL.Host, f.Conf.MySQL.Port = hostPort(t, b.mysql.Addr())
	host, port, _ := strings.Cut(b.redis.Addr(), ":")
	f.Conf.Redis = map[string]string{"host": host, "port": port}
	w := rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 1)
	return w, b
}
