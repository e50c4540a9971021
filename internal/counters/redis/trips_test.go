package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

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
	if err := p.SetSignature(t.Context(), 99, "x",
		4_100_000_000); chat.KindOf(err) != chat.NotFound {
		t.Errorf("signature of nobody: %v", err)
	}
	mark := func(want uint32, known bool) {
		t.Helper()
		if v, ok, err := p.Mark(t.Context(), "last_update_group"); v != want || ok != known ||
			err != nil {
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
	fresh(t, all(at(r)))
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
	p := fresh(t, opt)
	p.wantIDs(p.send(to(1, 2)), "[1]")
	if away := p.Copy.Away(); len(away) != 1 || away[0].Roles[0] != "token" {
		t.Errorf("away: %v", away)
	}
}

func TestListsOfAnyLengthTakeAFixedNumberOfRoundTrips(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	opt := all(at(r))
	var sent, commands atomic.Int64
	opt.Observe = func(_ string, n int, _ time.Duration, _ error) {
		sent.Add(1)
		commands.Add(int64(n))
	}
	p := fresh(t, opt)
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
		trips("unread of 100 peers and 50 groups "+when, 1+more, func() {
			unread, err := p.Unread(ctx, []uint32{1, 2})
			pairs, groups := parted(unread[1])
			if p.must(err); len(pairs) != 100 || len(groups) != 50 {
				t.Errorf("%d pairs, %d groups", len(pairs), len(groups))
			}
		})
		trips("totals of 100 users "+when, 1+more, func() {
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
	asked := commands.Load()
	_, err := p.Unread(t.Context(), []uint32{1, 2, 500})
	p.must(err)
	// of three users the pairs, of 50 groups the counts, of two users the levels; and the epoch
	if n := commands.Load() - asked; n != 3+50+2*50+1 {
		t.Errorf("%d commands ask for what three users have unread", n)
	}
	r.Do(t, "FLUSHALL")
	check("after a loss", 6)
	check("after that", 0)
}
