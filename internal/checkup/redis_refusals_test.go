package checkup_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/test/rig/logs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// opened opens an instance, with nothing behind it, and returns what it says.
func opened(t *testing.T, i link.Instance) (*redis.Copy, *logs.Log) {
	t.Helper()
	log := new(logs.Log)
	opt := all(i)
	opt.Log = slog.New(slog.NewTextHandler(log, nil))
	r, err := redis.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, log
}

// TestWhatARedisRefuses looks at what is said of it: by the check, and while a proxy runs.
func TestWhatARedisRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"EVALSHA", "EVAL", "HGETALL", "SET"} {
		t.Run(name+" is gone", func(t *testing.T) {
			t.Parallel()
			r := servers.StartRedis(t, "--rename-command", name, "hidden")
			wantFinding(t, checkOne(t, redisAt(r)), "rights", checkup.Wrong, "does not know", name,
				"rename-command", "unread_host")
		})
	}
	r := servers.StartRedis(t)
	user := redisAt(r)
	user.Username, user.Password = "proxy", "secret"
	allow := func(rules ...string) {
		t.Helper()
		r.Do(t, append([]string{"ACL", "SETUSER", "proxy", "reset", "on", ">secret"}, rules...)...)
	}
	allow("~*", "+@all")
	p, log := opened(t, user)
	for _, fault := range []struct {
		rules []string
		words []string
	}{
		{[]string{"~*", "+@all", "-evalsha"}, []string{"evalsha", "ACL SETUSER proxy"}},
		{[]string{"~*", "+@all", "-hset"}, []string{"can't run this command", "ACL SETUSER proxy"}},
		{[]string{"~msg_id_*", "+@all"}, []string{"key", "ACL SETUSER proxy"}},
	} {
		allow(fault.rules...)
		words := append(fault.words, "level=WARN", "Redis is away", r.Addr(),
			"unread,group_set,token,group_member")
		await(t, fmt.Sprint("the end of ", fault.rules), func() bool {
			_ = p.FailedAt(t.Context(), []string{"x"})
			_ = p.AddFailures(t.Context(), []string{"x"}, time.Now(), 100)
			return len(log.Lines(words...)) > 0
		})
		if said := p.Away(); len(said) == 0 ||
			!strings.Contains(said[0].Mend(), "ACL SETUSER proxy") {
			t.Errorf("away are %v", said)
		}
		end := time.Now().Add(time.Second)
		for ; time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if len(p.Away()) == 0 {
				t.Fatalf("with %v it is back, and refuses as much as before", fault.rules)
			}
		}
		allow("~*", "+@all")
		isBack(t, p)
	}
}

// isBack sees that a Redis that was mended is back within two seconds; it fails at five times that.
func isBack(t *testing.T, p *redis.Copy) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for ; len(p.Away()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not back: %v", p.Away())
		}
	}
}

// TestPasswordsThatChange has a running proxy meet a Redis that wants another password.
func TestPasswordsThatChange(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	p, log := opened(t, redisAt(r))
	isBack(t, p)
	r.Do(t, "CONFIG", "SET", "requirepass", "secret")
	r.Password = "secret"
	r.Do(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	await(t, "the reason", func() bool {
		_ = p.FailedAt(t.Context(), []string{"x"})
		away := p.Away()
		return len(away) > 0 && strings.Contains(away[0].Error(), "NOAUTH") &&
			strings.Contains(away[0].Mend(),
				"unread_password (and that of group_set, token, group_member)")
	})
	if len(log.Lines("level=WARN", "NOAUTH", "unread_password (and that of group_set")) != 1 {
		t.Error("the log does not say once why it stays away")
	}
	r.Do(t, "CONFIG", "SET", "requirepass", "")
	r.Password = ""
	isBack(t, p)
	if len(log.Lines("level=WARN", "Redis is away", r.Addr())) == 0 {
		t.Errorf("nobody says that it is away")
	}

	wrong := redisAt(r)
	wrong.Username, wrong.Password = "nobody", "wrong"
	q, _ := opened(t, wrong)
	if away := q.Away(); len(away) != 1 || !strings.Contains(away[0].Error(), "WRONGPASS") ||
		!strings.Contains(away[0].Mend(), "unread_username") {
		t.Errorf("away are %v", away)
	}
}

// TestARedisThatLoadsItsData looks at what is said of it, until it has.
func TestARedisThatLoadsItsData(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--key-load-delay", "1000",
		"--loading-process-events-interval-bytes", "1024",
		"--enable-debug-command", "yes")
	r.Do(t, "DEBUG", "POPULATE", "5000")
	r.Do(t, "SAVE")
	p, log := opened(t, redisAt(r))
	isBack(t, p)
	reloaded := make(chan struct{})
	go func() { defer close(reloaded); r.Restart(t) }()
	await(t, "LOADING in the check", func() bool {
		for _, f := range checkOne(t, redisAt(r)) {
			if f.Item == "reachable" && f.Grade == checkup.Wrong &&
				strings.Contains(f.Text, "is LOADING its data") &&
				strings.Contains(f.Text, r.Addr()) && strings.Contains(f.Mend, "--wait") {
				return true
			}
		}
		return false
	})
	await(t, "LOADING while it runs", func() bool {
		_ = p.FailedAt(t.Context(), []string{"x"})
		away := p.Away()
		return len(away) > 0 && strings.Contains(away[0].Error(), "LOADING") &&
			strings.Contains(away[0].Mend(), "loaded its data")
	})
	<-reloaded
	isBack(t, p)
	if len(log.Lines("Redis is back")) == 0 {
		t.Errorf("nobody says that it is back: %v", log.Lines())
	}
}
