package counters_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

func TestFailedLoginsAreSharedByAllProxies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	r := servers.StartRedis(t)
	p, q := newProxy(t, path, all(at(r))).Failures(), newProxy(t, path, all(at(r))).Failures()
	now := time.Unix(1_700_000_000, 0)
	want := func(f *counters.SharedFailures, name string, n int) {
		t.Helper()
		if got, err := f.Count(t.Context(), name, now); got != n || err != nil {
			t.Errorf("%q failed %d times, %v; want %d", name, got, err, n)
		}
	}
	fail := func(f *counters.SharedFailures, name string) {
		t.Helper()
		if err := f.Add(t.Context(), name, now); err != nil {
			t.Fatal(err)
		}
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
	if err := q.Clear(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	want(p, "a", 0)
	// Without Redis each counts what it saw itself.
	r.Kill(t)
	fail(p, "c")
	want(p, "c", 1)
	want(q, "c", 0)
	want(q, "a", 0)
}

func TestFailedLoginsAreForgotten(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	f := p.Failures()
	now := time.Unix(1_700_000_000, 0)
	for i := range 30 {
		p.must(f.Add(t.Context(), fmt.Sprint("old ", i), now))
	}
	now = now.Add(chat.LockoutWindow + time.Second)
	for range 4 {
		p.must(f.Add(t.Context(), "new", now))
	}
	m := r.Do(t, "HLEN", "dbproxy:failures")
	if n, err := m.AsInt64(); n != 1 || err != nil {
		t.Errorf("%d names are kept, %v", n, err)
	}
}

// TestFailedLoginsBesideAnEarlierVersion does what the script of an earlier version does to the keys
// that it has, whose times are microseconds: to it all of ours would be long over.
func TestFailedLoginsBesideAnEarlierVersion(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	f := p.Failures()
	now := time.Unix(1_700_000_000, 0)
	p.must(f.Add(t.Context(), "ann", now))
	r.Do(t, "ZREMRANGEBYSCORE", "dbproxy:{dbproxy:failed}", "-inf", "1700000000000000")
	r.Do(t, "DEL", "dbproxy:failed")
	if n, err := f.Count(t.Context(), "ann", now); n != 1 || err != nil {
		t.Errorf("%d failures, %v; want 1", n, err)
	}
}

func TestAFloodOfNamesInRedisForgetsThoseWithTheFewestFailures(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	f := p.Failures()
	const most = 100
	f.LimitNames(most)
	now := time.Unix(1_700_000_000, 0)
	want := func(name string, n int) {
		t.Helper()
		if got, err := f.Count(t.Context(), name, now); got != n || err != nil {
			t.Errorf("%q failed %d times, %v; want %d", name, got, err, n)
		}
	}
	for range chat.LockoutFailures {
		p.must(f.Add(t.Context(), "locked", now))
	}
	p.must(f.Add(t.Context(), "once", now))
	p.must(f.Add(t.Context(), "twice", now))
	p.must(f.Add(t.Context(), "twice", now))
	for i := range 3 * most {
		now = now.Add(time.Second)
		p.must(f.Add(t.Context(), fmt.Sprint("made up ", i), now))
	}
	want("locked", chat.LockoutFailures)
	want("twice", 2)
	want("once", 0)
	want("made up 299", 1)
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
	path := filepath.Join(t.TempDir(), "db")
	r := servers.StartRedis(t)
	p, q := newProxy(t, path, all(at(r))), newProxy(t, path, all(at(r)))
	now := time.Unix(1_700_000_000, 0)
	until := func(want time.Time) {
		t.Helper()
		if got, err := q.Failures().LockedUntil(t.Context(), "ann", now); !got.Equal(want) || err != nil {
			t.Errorf("locked out until %v, %v; want %v", got, err, want)
		}
	}
	until(time.Time{})
	first := now
	for range chat.LockoutFailures {
		p.must(p.Failures().Add(t.Context(), "ann", now))
		now = now.Add(time.Second)
	}
	until(first.Add(chat.LockoutWindow))
	p.must(q.Failures().Unlock(t.Context(), "ann", now))
	until(time.Time{})
	if n, err := p.Failures().Count(t.Context(), "ann", now); n != 0 || err != nil {
		t.Errorf("%d failures, %v", n, err)
	}
	r.Kill(t)
	if n, err := p.Failures().Count(t.Context(), "ann", now); n != 0 || err != nil {
		t.Errorf("without Redis: %d failures, %v", n, err)
	}
	if err := q.Failures().Unlock(t.Context(), "ann", now); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("without Redis: %v", err)
	}
	if _, err := q.Failures().LockedUntil(t.Context(), "ann", now); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("without Redis: %v", err)
	}
}

// TestFlushForgetsFailedLogins holds docs/guarantees.md to what it says of them: they are nowhere but in Redis.
func TestFlushForgetsFailedLogins(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	f := p.Failures()
	now := time.Unix(1_700_000_000, 0)
	for range chat.LockoutFailures {
		p.must(f.Add(t.Context(), "ann", now))
	}
	if n, err := f.Count(t.Context(), "ann", now); n != chat.LockoutFailures || err != nil {
		t.Errorf("before: %d failures, %v", n, err)
	}
	r.Do(t, "FLUSHALL")
	if n, err := f.Count(t.Context(), "ann", now); n != 0 || err != nil {
		t.Errorf("after FLUSHALL: %d failures, %v", n, err)
	}
}

func TestTimesOfChangesAreInRedis(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	started := say(t, r, "GET", "total_user_update")
	if when(started) != "NOW" {
		t.Errorf("total_user_update is %q at the start", started)
	}
	user, err := p.store.AddUser(t.Context(), chat.User{Name: "ann", Nick: "Ann"})
	p.must(err)
	p.must(p.SetPushShield(t.Context(), user, 1, 4_000_000_000))
	if now := say(t, r, "GET", "total_user_update"); now != started {
		t.Errorf("total_user_update went from %s to %s", started, now)
	}
	p.must(p.SetSignature(t.Context(), user, "x", 4_000_000_001))
	p.must(p.SetAvatar(t.Context(), user, "x", 4_000_000_000))
	if now := say(t, r, "GET", "total_user_update"); now != "4000000001" {
		t.Errorf("total_user_update is %s", now)
	}
	if err := p.SetSignature(t.Context(), 99, "x", 4_100_000_000); chat.KindOf(err) != chat.NotFound {
		t.Errorf("signature of nobody: %v", err)
	}
	mark := func(want uint32, known bool) {
		t.Helper()
		if v, ok, err := p.Mark(t.Context(), "last_update_group"); v != want || ok != known || err != nil {
			t.Errorf("the mark is %d, %t, %v; want %d", v, ok, err, want)
		}
	}
	mark(0, false)
	r.Do(t, "SET", "last_update_group", "1234") // by an original
	mark(1234, true)
	p.must(p.SetMark(t.Context(), "last_update_group", 2345))
	mark(2345, true)
	if v := say(t, r, "GET", "last_update_group"); v != "2345" {
		t.Errorf("last_update_group is %s", v)
	}
}

func TestAStartLeavesTheTimesThatAreThere(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	r.Do(t, "SET", "total_user_updated", "7")
	newProxy(t, filepath.Join(t.TempDir(), "db"), all(at(r)))
	if m := r.Do(t, "EXISTS", "total_user_update"); m.Error() == nil {
		if n, _ := m.AsInt64(); n != 0 {
			t.Error("total_user_update was made")
		}
	}
}

func TestAWrongPasswordIsTold(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--requirepass", "secret")
	right := at(r)
	right.Password = "secret"
	opt := all(right)
	opt.Token.Password = "wrong"
	p := newProxy(t, filepath.Join(t.TempDir(), "db"), opt)
	p.wantIDs(p.send(to(1, 2)), "[1]")
	if away := p.Away(); len(away) != 1 || away[0].Roles[0] != "token" {
		t.Errorf("away: %v", away)
	}
}

func TestListsOfAnyLengthTakeAFixedNumberOfRoundTrips(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	opt := all(at(r))
	var sent atomic.Int64
	opt.Observe = func(string, int, time.Duration, error) { sent.Add(1) }
	p := newProxy(t, filepath.Join(t.TempDir(), "db"), opt)
	var drafts []chat.Draft
	var users []uint32
	members := []uint32{1}
	for u := range uint32(12) {
		members = append(members, u+2)
	}
	for range 50 {
		drafts = append(drafts, in(2, p.group(members...)))
	}
	for u := range uint32(100) {
		drafts = append(drafts, to(u+2, 1))
		users = append(users, u+1)
		p.must(p.SetToken(t.Context(), u+1, fmt.Sprint("ios:", u), fmt.Sprint(u)))
	}
	trips := func(what string, most int64, do func()) {
		t.Helper()
		before := sent.Load()
		do()
		if n := sent.Load() - before; n > most {
			t.Errorf("%s takes %d round trips, more than %d", what, n, most)
		}
	}
	check := func(when string, more int64) {
		t.Helper()
		ctx := t.Context()
		trips("unread of 100 peers "+when, 1+more, func() {
			counts, err := p.UnreadPairs(ctx, 1)
			if p.must(err); len(counts) != 100 {
				t.Errorf("%d pairs", len(counts))
			}
		})
		trips("unread of 50 groups "+when, 1+more, func() {
			counts, err := p.UnreadGroups(ctx, 1)
			if p.must(err); len(counts) != 50 {
				t.Errorf("%d groups", len(counts))
			}
		})
		trips("totals of 100 users "+when, 2+2*more, func() {
			totals, err := p.UnreadTotals(ctx, users)
			if p.must(err); totals[1] != 150 || totals[5] != 151 {
				t.Errorf("totals %v", totals)
			}
		})
		trips("mutes of all members "+when, 1+more, func() {
			_, err := p.Mutes(ctx, 1, members)
			p.must(err)
		})
		trips("tokens of 100 users "+when, 1+more, func() {
			devices, err := p.Devices(ctx, users)
			if p.must(err); len(devices) != 100 {
				t.Errorf("%d devices", len(devices))
			}
		})
	}
	p.send(to(500, 501), in(3, 50)) // so that the server knows the scripts
	trips("a batch in 150 new talks", 2+1+2, func() { p.send(drafts...) })
	trips("a batch in 150 talks", 1+2, func() { p.send(drafts...) })
	for g := range uint32(50) {
		drafts[g] = read(1, chat.GroupTalk(g+1))
	}
	p.send(drafts[:50]...)
	for g := range uint32(50) {
		drafts[g] = in(2, g+1)
	}
	for u := range uint32(100) {
		drafts[50+u] = read(1, chat.PairTalk(1, u+2))
	}
	p.send(drafts...)
	for u := range uint32(100) {
		drafts[50+u] = to(u+2, 1)
	}
	p.send(drafts[50:]...)
	check("", 0)
	r.Do(t, "FLUSHALL")
	check("after a loss", 6)
	check("after that", 0)
}
