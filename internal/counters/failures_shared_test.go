package counters_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// sharing is a proxy's failed logins on a Redis; observe may be nil.
func sharing(t *testing.T, r *servers.Redis, observe link.Observer) *counters.SharedFailures {
	t.Helper()
	// Longer than anything takes on a busy machine.
	const patience = 20 * time.Second
	at := link.Instance{Addr: r.Addr(), ConnectTimeout: patience, CallTimeout: patience}
	c, err := redis.Open(redis.Options{
		Unread: at, GroupSet: at, Token: at, GroupMember: at, Observe: observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &counters.SharedFailures{Copy: c}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fail counts a failed login of a name.
func fail(t *testing.T, f *counters.SharedFailures, name string, now time.Time) {
	t.Helper()
	_, err := f.Add(t.Context(), []string{name}, now)
	must(t, err)
}

// wantCount checks how often logins of a name have failed.
func wantCount(
	t *testing.T, f *counters.SharedFailures, name string, now time.Time, want int,
) {
	t.Helper()
	if n, err := f.Count(t.Context(), []string{name}, now); err != nil || n[0] != want {
		t.Errorf("%q failed %d times, %v; want %d", name, n, err, want)
	}
}

func TestFailedLoginsAreSharedByAllProxies(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	p, q := sharing(t, r, nil), sharing(t, r, nil)
	now := time.Unix(1_700_000_000, 0)
	want := func(f *counters.SharedFailures, name string, n int) {
		t.Helper()
		wantCount(t, f, name, now, n)
	}
	fail := func(f *counters.SharedFailures, name string) {
		t.Helper()
		fail(t, f, name, now)
	}
	for range chat.LockoutFailures {
		want(p, "a lot more than this, a", 0)
		fail(p, "a")
		fail(q, "b")
		fail(q, "b") // more make no difference
		now = now.Add(time.Second)
	}
	want(q, "a", chat.LockoutFailures)
	want(p, "b", chat.LockoutFailures)
	now = now.Add(chat.LockoutWindow - 2*time.Second)
	want(p, "a", 2)
	must(t, q.Clear(t.Context(), []string{"a"}))
	want(p, "a", 0)
	// Without Redis each counts what it saw itself.
	r.Kill(t)
	fail(p, "c")
	want(p, "c", 1)
	want(q, "c", 0)
	want(q, "a", 0)
}

func TestFailuresOfSeveralNamesTakeOneTripToRedis(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	var trips atomic.Int64
	f := sharing(t, r, func(string, int, time.Duration, error) { trips.Add(1) })
	now := time.Unix(1_700_000_000, 0)
	fail(t, f, "bob", now) // so that Redis knows the scripts
	must(t, f.Clear(t.Context(), []string{"nobody"}))
	names := []string{"ann", "bob", "cy"}
	count := func() ([]int, error) { return f.Count(t.Context(), names, now) }
	for _, does := range []struct {
		what string
		do   func() ([]int, error)
		want []int
	}{
		{"count", count, []int{0, 1, 0}},
		{"add", func() ([]int, error) { return f.Add(t.Context(), names, now) }, []int{1, 2, 1}},
		{"clear", func() ([]int, error) { return nil, f.Clear(t.Context(), names[:2]) }, nil},
		{"count", count, []int{0, 0, 1}},
	} {
		before := trips.Load()
		got, err := does.do()
		if n := trips.Load() - before; n != 1 || err != nil || !slices.Equal(got, does.want) {
			t.Errorf("%s: %v, %v in %d trips, want %v", does.what, got, err, n, does.want)
		}
	}
}

func TestFailedLoginsAreForgotten(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	f := sharing(t, r, nil)
	now := time.Unix(1_700_000_000, 0)
	for i := range 30 {
		fail(t, f, fmt.Sprint("old ", i), now)
	}
	now = now.Add(chat.LockoutWindow + time.Second)
	for range 4 {
		fail(t, f, "new", now)
	}
	m := r.Do(t, "HLEN", "dbproxy:failures")
	if n, err := m.AsInt64(); n != 1 || err != nil {
		t.Errorf("%d names are kept, %v", n, err)
	}
}

// TestFailedLoginsBesideAnEarlierVersion does what the script of an earlier version does to the
// keys that it has, whose times are microseconds: to it all of ours would be long over.
func TestFailedLoginsBesideAnEarlierVersion(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	f := sharing(t, r, nil)
	now := time.Unix(1_700_000_000, 0)
	fail(t, f, "ann", now)
	r.Do(t, "ZREMRANGEBYSCORE", "dbproxy:{dbproxy:failed}", "-inf", "1700000000000000")
	r.Do(t, "DEL", "dbproxy:failed")
	wantCount(t, f, "ann", now, 1)
}

func TestAFloodOfNamesInRedisForgetsThoseWithTheFewestFailures(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	f := sharing(t, r, nil)
	const most = 100
	f.LimitNames(most)
	now := time.Unix(1_700_000_000, 0)
	for range chat.LockoutFailures {
		fail(t, f, "locked", now)
	}
	fail(t, f, "once", now)
	fail(t, f, "twice", now)
	fail(t, f, "twice", now)
	for i := range 3 * most {
		now = now.Add(time.Second)
		fail(t, f, fmt.Sprint("made up ", i), now)
	}
	wantCount(t, f, "locked", now, chat.LockoutFailures)
	wantCount(t, f, "twice", now, 2)
	wantCount(t, f, "once", now, 0)
	wantCount(t, f, "made up 299", now, 1)
	for _, key := range []string{"dbproxy:failures", "dbproxy:{dbproxy:failures}"} {
		command := map[bool]string{true: "HLEN", false: "ZCARD"}[key == "dbproxy:failures"]
		m := r.Do(t, command, key)
		if n, err := m.AsInt64(); n != most || err != nil {
			t.Errorf("%s has %d names, %v; want %d", key, n, err, most)
		}
	}
}

func TestAnUnlockedNameIsFreeEverywhere(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	p, q := sharing(t, r, nil), sharing(t, r, nil)
	now := time.Unix(1_700_000_000, 0)
	until := func(want time.Time) {
		t.Helper()
		if got, err := q.LockedUntil(t.Context(), "ann", now); !got.Equal(want) || err != nil {
			t.Errorf("locked out until %v, %v; want %v", got, err, want)
		}
	}
	until(time.Time{})
	first := now
	for range chat.LockoutFailures {
		fail(t, p, "ann", now)
		now = now.Add(time.Second)
	}
	until(first.Add(chat.LockoutWindow))
	must(t, q.Unlock(t.Context(), "ann", now))
	until(time.Time{})
	wantCount(t, p, "ann", now, 0)
	r.Kill(t)
	wantCount(t, p, "ann", now, 0)
	if err := q.Unlock(t.Context(), "ann", now); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("without Redis: %v", err)
	}
	if _, err := q.LockedUntil(t.Context(), "ann", now); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("without Redis: %v", err)
	}
}

// TestFlushForgetsFailedLogins holds docs/guarantees.md to what it says of them: they are nowhere
// but in Redis.
func TestFlushForgetsFailedLogins(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	f := sharing(t, r, nil)
	now := time.Unix(1_700_000_000, 0)
	for range chat.LockoutFailures {
		fail(t, f, "ann", now)
	}
	wantCount(t, f, "ann", now, chat.LockoutFailures)
	r.Do(t, "FLUSHALL")
	wantCount(t, f, "ann", now, 0)
}

// TestAGoodLoginAsksRedisOnce has a person log in through two proxies. A login that finds no
// failures asks Redis for them, and that is all; one that finds some, whoever has counted them,
// clears them.
func TestAGoodLoginAsksRedisOnce(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	var asked atomic.Int64 // commands
	observed := func(_ string, commands int, _ time.Duration, _ error) {
		asked.Add(int64(commands))
	}
	ours, others := sharing(t, r, observed), sharing(t, r, nil)
	store := newTable(t)
	ann := chat.User{Name: "ann", Nick: "ann", Password: chat.HashPassword("secret", "")}
	_, err := store.AddUser(t.Context(), ann)
	must(t, err)
	service := func(f chat.Failures) *chat.Service {
		s, err := chat.New(chat.Store{Directory: store, Failures: f},
			chat.Options{VoiceKey: chat.DefaultVoiceKey})
		must(t, err)
		return s
	}
	here, there := service(ours), service(others)
	login := func(s *chat.Service, password string, want error) {
		t.Helper()
		try := chat.LoginTry{Name: "ann", Password: password}
		if err := s.Logins(t.Context(), []chat.LoginTry{try})[0].Err; err != want {
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
	wantCount(t, ours, "ann", time.Now(), 0)
}
