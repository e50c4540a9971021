package redis_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// talk is something of everything: of group 1, of 1 and 2, and a token.
func (p *proxy) talk() {
	p.t.Helper()
	ctx := p.t.Context()
	g := p.group(1, 2, 3)
	p.send(to(1, 2), to(1, 2), to(2, 1), in(1, g), in(2, g))
	p.send(read(1, chat.PairTalk(1, 2)))
	p.must(p.SetMute(ctx, g, 3, 1))
	p.must(p.SetToken(ctx, 1, "ios:a", "a"))
	p.must(p.SetToken(ctx, 2, "android:b", "b"))
}

// wantTalk asks for what talk did.
func (p *proxy) wantTalk() {
	p.t.Helper()
	ctx := p.t.Context()
	p.wantUnread(1, "group 1:1")
	p.wantUnread(2, "1:2")
	p.wantUnread(3, "group 1:2")
	mutes, err := p.Mutes(ctx, 1, []uint32{1, 2, 3})
	p.must(err)
	devices, err := p.Devices(ctx, []uint32{1, 2, 3})
	p.must(err)
	if got := fmt.Sprint(mutes, devices); got != "map[3:1] map[1:ios:a 2:android:b]" {
		p.t.Errorf("mutes and devices are %s", got)
	}
}

func TestWhatWasLostComesBackFromTheRecords(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *servers.Redis){
		"flushed":   func(t *testing.T, r *servers.Redis) { r.Do(t, "FLUSHALL") },
		"restarted": func(t *testing.T, r *servers.Redis) { r.Restart(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, r := start(t)
			p.talk()
			p.wantTalk()
			lose(t, r)
			p.wantTalk()
			await(t, "Redis", func() bool { return p.Copy.Away() == nil })
			p.wantTalk()
			p.wantTalk()
			p.run()
			p.awaitEpoch("group_member", 2)
			p.send(to(1, 2), to(2, 1), in(2, 1)) // puts the ids and the members back
			p.send(read(1, chat.PairTalk(1, 2)), read(2, chat.PairTalk(1, 2)),
				read(3, chat.GroupTalk(1)))
			p.wantUnread(1, "group 1:2")
			p.wantUnread(2, "")
			p.send(to(1, 2))
			originalAt(t, at(r)).want(`msg_id_1=6
				unread_2 1=1
				group_msg_id_1=3
				1_im_group_msg count=3
				1_1_im_user_group count=1
				2_1_im_user_group count=3
				3_1_im_user_group count=3
				group_set_1 3_1=1
				device_1=ios:a
				device_a=1
				device_2=android:b
				device_b=2`)
			membersAt(t, r).want("group_member_1 1=NOW\ngroup_member_1 2=NOW\ngroup_member_1 3=NOW")
		})
	}
}

// TestALossJustBeforeTheBeatIsRaisedIsNoticed: whoever raises the beat has compared Redis with the
// records, but a moment ago. It is noticed also when nobody asks for anything.
func TestALossJustBeforeTheBeatIsRaisedIsNoticed(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]bool{"asked": true, "not asked": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := servers.StartRedis(t)
			between := faultproxy.New(t, r.Addr())
			p := fresh(t, all(patient(link.Instance{Addr: between.Addr()})))
			p.talk()
			raise := between.HoldRedis(func(args []string) bool {
				return strings.HasPrefix(args[0], "EVAL") &&
					slices.Contains(args, "dbproxy:epoch:unread")
			}, faultproxy.Nth(1))
			p.run()
			<-raise.Done()
			r.Do(t, "FLUSHALL")
			raise.Release()
			if asked {
				p.wantTalk()
				p.awaitEpoch("group_member", 2)
			}
			p.awaitEpoch("unread", 2)
			p.wantTalk()
		})
	}
}

func TestTwoProxiesAgreeOnTheEpoch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	r := servers.StartRedis(t)
	var proxies []*proxy
	for range 3 {
		p := newProxy(t, path, all(at(r)))
		p.run()
		proxies = append(proxies, p)
	}
	proxies[0].talk()
	for i := range 5 {
		r.Do(t, "FLUSHALL")
		var asked sync.WaitGroup
		for _, p := range proxies {
			asked.Go(func() {
				if _, err := p.Unread(t.Context(), []uint32{2}); err != nil {
					t.Error(err)
				}
			})
		}
		proxies[i%3].send(to(3, 4))
		asked.Wait()
		for _, p := range proxies {
			p.wantTalk()
			p.wantUnread(4, fmt.Sprintf("3:%d", i+1))
		}
	}
	// They do not begin epochs for each other.
	settled := ""
	await(t, "peace", func() bool {
		before := settled
		settled = say(t, r, "GET", "dbproxy:epoch:unread")
		mark, _, err := proxies[0].store.Mark(t.Context(), "epoch:unread")
		proxies[0].must(err)
		var id, beat uint32
		_, _ = fmt.Sscan(settled, &id, &beat)
		return id == mark && before != "" && before != settled && before[:2] == settled[:2]
	})
}

func TestOldDataIsMadeNewFromTheRecords(t *testing.T) {
	t.Parallel()
	r, path := servers.StartRedis(t), filepath.Join(t.TempDir(), "db")
	p := newProxy(t, path, all(at(r)))
	stop := p.run()
	p.talk()
	beat := func() uint32 {
		b, _, err := p.store.Mark(t.Context(), "beat:unread")
		p.must(err)
		return b
	}
	saved := beat()
	r.Do(t, "SAVE")
	p.send(to(1, 2), to(2, 1), in(3, 1))
	_, err := p.store.RemoveMembers(t.Context(), 1, []uint32{2}, p.now)
	p.must(err)
	p.must(p.SetMute(t.Context(), 1, 3, 0))
	p.must(p.SetToken(t.Context(), 1, "ios:c", "c"))
	await(t, "two beats", func() bool { return beat() > saved+1 })
	stop()
	r.Restart(t)                      // with what was saved
	p = newProxy(t, path, all(at(r))) // which knows nothing of what was applied last
	check := func() {
		t.Helper()
		p.wantUnread(1, "2:1 group 1:2")
		p.wantUnread(2, "1:3")
		p.wantUnread(3, "")
		mutes, err := p.Mutes(t.Context(), 1, []uint32{3})
		p.must(err)
		devices, err := p.Devices(t.Context(), []uint32{1})
		p.must(err)
		if mutes[3] != 0 || devices[1] != "ios:c" {
			t.Errorf("mutes %v, devices %v", mutes, devices)
		}
	}
	check()
	check()
	p.run()
	p.awaitEpoch("group_member", 2)
	p.send(in(3, 1))
	membersAt(t, r).want("group_member_1 1=NOW\ngroup_member_1 3=NOW")
	originalAt(t, at(r)).want(`unread_1 2=1
		unread_2 1=3
		msg_id_1=3
		group_msg_id_1=4
		1_im_group_msg count=4
		1_1_im_user_group count=1
		2_1_im_user_group count=2
		3_1_im_user_group count=4
		group_set_1 3_1=0
		device_1=ios:c
		device_a=1
		device_c=1
		device_2=android:b
		device_b=2`)
}

// awaitEpoch waits until what a role lost was noticed.
func (p *proxy) awaitEpoch(role string, want uint32) {
	p.t.Helper()
	await(p.t, "the epoch", func() bool {
		epoch, _, err := p.store.Mark(p.t.Context(), "epoch:"+role)
		return err == nil && epoch >= want
	})
}

func TestRecordsFromABackupAreFollowed(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	path, backup := filepath.Join(t.TempDir(), "db"), filepath.Join(t.TempDir(), "db")
	p := newProxy(t, path, all(at(r)))
	p.talk()
	testdb.RawSQLite(t, path).Run("VACUUM INTO ?", backup)
	r.Do(t, "FLUSHALL")
	p.wantTalk()
	for range 5 {
		p.send(to(1, 2), in(1, 1))
	}
	p.wantUnread(2, "1:7 group 1:5")
	q := newProxy(t, backup, all(at(r)))
	q.wantTalk()
	q.send(to(1, 2), in(1, 1))
	q.wantUnread(2, "1:3 group 1:1")
	q.send(read(2, chat.PairTalk(1, 2)), read(2, chat.GroupTalk(1)))
	q.wantUnread(2, "")
	q.send(to(1, 2), in(1, 1))
	q.wantUnread(2, "1:1 group 1:1")
}

func TestAFrozenRedisCostsOneTimeout(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	opt := all(at(r))
	for _, i := range []*link.Instance{&opt.Unread, &opt.GroupSet, &opt.Token, &opt.GroupMember} {
		i.CallTimeout = 0
	}
	var mu sync.Mutex
	sent := 0
	opt.Observe = func(string, int, time.Duration, error) { mu.Lock(); sent++; mu.Unlock() }
	p := fresh(t, opt)
	p.talk()
	r.Freeze(t)
	p.next(1, 3, false)
	mu.Lock()
	before := sent
	mu.Unlock()
	for range 1000 {
		if id := p.next(1, 3, true); id != 4 {
			t.Fatalf("id %d", id)
		}
	}
	mu.Lock()
	if sent != before {
		t.Errorf("%d pipelines were sent to a frozen server", sent-before)
	}
	mu.Unlock()
	p.wantUnread(2, "1:2")
	_, commit := p.append(to(1, 2))
	r.Thaw(t)
	await(t, "Redis", func() bool { return p.Copy.Away() == nil })
	p.apply(commit)
	p.wantUnread(2, "1:3")
	p.send(to(1, 2))
	p.wantUnread(2, "1:4")
}

func TestAnInstanceAwayDoesNotTakeTheOthersWithIt(t *testing.T) {
	t.Parallel()
	r, tokens := servers.StartRedis(t), servers.StartRedis(t)
	opt := all(at(r))
	opt.Token = at(tokens)
	p := fresh(t, opt)
	tokens.Kill(t)
	p.must(p.SetToken(t.Context(), 1, "ios:a", "a"))
	p.wantIDs(p.send(to(1, 2)), "[1]")
	originalAt(t, at(r)).want("msg_id_1=1\nunread_2 1=1")
	devices, err := p.Devices(t.Context(), []uint32{1})
	p.must(err)
	if devices[1] != "ios:a" || len(p.Copy.Away()) != 1 || p.Copy.Away()[0].Roles[0] != "token" {
		t.Errorf("devices %v, away %v", devices, p.Copy.Away())
	}
	tokens.Restart(t)
	await(t, "Redis", func() bool { return p.Copy.Away() == nil })
	left, err := p.store.Unapplied(t.Context(), 0, 10)
	p.must(err)
	p.apply(left...)
	originalAt(t, at(tokens)).want("device_1=ios:a\ndevice_a=1")
}

func TestACallWithoutTimeIsNoOutage(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	change := chat.Change{Talk: chat.PairTalk(1, 2), Rev: 1,
		Users: []chat.Moved{{User: 2, Unread: 1}}}
	if err := p.Apply(ctx, []chat.Commit{{Changes: []chat.Change{change}}}); err == nil {
		t.Error("applied")
	}
	if away := p.Copy.Away(); away != nil {
		t.Errorf("away: %v", away)
	}
}
