package counters_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestAGoodLoginAsksRedisOnce has a person log in through two proxies. A login that finds no failures
// asks Redis for them, and that is all; one that finds some, whoever has counted them, clears them.
func TestAGoodLoginAsksRedisOnce(t *testing.T) {
	t.Parallel()
	path, r := filepath.Join(t.TempDir(), "db"), servers.StartRedis(t)
	var asked atomic.Int64 // commands
	opt := all(at(r))
	opt.Observe = func(_ string, commands int, _ time.Duration, _ error) { asked.Add(int64(commands)) }
	p, q := newProxy(t, path, opt), newProxy(t, path, all(at(r)))
	_, err := p.store.AddUser(t.Context(), chat.User{Name: "ann", Nick: "ann", Password: chat.HashPassword("secret", "")})
	p.must(err)
	service := func(p *proxy) *chat.Service {
		s, err := chat.New(chat.Store{Directory: p.store, Failures: p.Failures()},
			chat.Options{VoiceKey: chat.DefaultVoiceKey})
		p.must(err)
		return s
	}
	here, there := service(p), service(q)
	login := func(s *chat.Service, password string, want error) {
		t.Helper()
		if _, err := s.Login(t.Context(), "ann", password); err != want {
			t.Errorf("a login with %s: %v, want %v", password, err, want)
		}
	}
	for range 3 {
		before := asked.Load()
		login(here, "secret", nil)
		if n := asked.Load() - before; n != 1 {
			t.Errorf("a good login asks Redis for %d things, want 1", n)
		}
	}
	for range 3 { // eleven failures lock a name out
		for range chat.LockoutFailures - 1 {
			login(there, "guess", chat.ErrWrongLogin)
		}
		login(here, "secret", nil)
	}
	login(here, "guess", chat.ErrWrongLogin)
	login(there, "secret", nil)
	if n, err := p.Failures().Count(t.Context(), "ann", time.Now()); n != 0 || err != nil {
		t.Errorf("%d failures are left, %v", n, err)
	}
}
