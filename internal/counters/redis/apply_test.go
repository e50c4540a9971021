package redis_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// membersAt is the database that all puts members into.
func membersAt(t *testing.T, r *servers.Redis) other {
	i := at(r)
	i.DB = 2
	return originalAt(t, i)
}

func TestTalkLeavesTheKeysOfTheOriginal(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	p.wantIDs(p.send(to(1, 2), to(1, 2), to(2, 1)), "[1 2 3]")
	g := p.group(1, 2, 3)
	membersAt(t, r).want("group_member_1 1=NOW\ngroup_member_1 2=NOW\ngroup_member_1 3=NOW")
	p.send(in(1, g), in(1, g))
	p.send(read(2, chat.GroupTalk(g)), read(1, chat.PairTalk(1, 2)))
	p.wantUnread(1, "")
	p.wantUnread(2, "1:2")
	p.wantUnread(3, "group 1:2")
	originalAt(t, at(r)).want(`msg_id_1=3
		unread_2 1=2
		group_msg_id_1=2
		1_im_group_msg count=2
		1_1_im_user_group count=2
		2_1_im_user_group count=2`)
}

func TestGroupsLeaveTheKeysOfTheOriginal(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	ctx := t.Context()
	g := p.group(1, 2)
	o := originalAt(t, at(r))
	o.want("group_msg_id_1=0")
	_, _, err := p.store.AddMembers(ctx, g, []uint32{2, 3}, p.now)
	p.must(err)
	o.want("group_msg_id_1=0") // no levels while there is no count
	p.send(in(1, g))
	_, _, err = p.store.AddMembers(ctx, g, []uint32{4}, p.now)
	p.must(err)
	_, err = p.store.RemoveMembers(ctx, g, []uint32{2, 9}, p.now)
	p.must(err)
	p.must(p.SetMute(ctx, g, 3, 1))
	p.must(p.SetMute(ctx, g, 1, 1))
	p.must(p.SetMute(ctx, g, 1, 0))
	if err := p.SetMute(ctx, g, 2, 1); chat.KindOf(err) != chat.NotAllowed {
		t.Errorf("muted by who has left: %v", err)
	}
	o.want(`group_msg_id_1=1
		1_im_group_msg count=1
		1_1_im_user_group count=1
		2_1_im_user_group count=1
		4_1_im_user_group count=1
		9_1_im_user_group count=1
		group_set_1 1_1=0
		group_set_1 3_1=1`)
	membersAt(t, r).want("group_member_1 1=NOW\ngroup_member_1 3=NOW\ngroup_member_1 4=NOW")
	_, err = p.store.RemoveMembers(ctx, g, []uint32{1, 3, 4}, p.now)
	p.must(err)
	membersAt(t, r).want("")
	if _, err := p.Mutes(ctx, g, []uint32{1}); chat.KindOf(err) != chat.NotFound {
		t.Errorf("mutes of a group without members: %v", err)
	}
}

func TestTokensLeaveTheKeysOfTheOriginal(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	ctx := t.Context()
	set := func(user uint32, device, token string) {
		t.Helper()
		p.must(p.SetToken(ctx, user, device, token))
	}
	set(1, "android:a", "a")
	set(2, "ios:i", "i")
	set(1, "android:b", "b")
	set(3, "w", "w")
	set(3, "v", "v") // a text without a platform leaves the old token alone
	set(4, "ios:x:y", "x:y")
	set(5, "ios:x:y", "x:y") // the former owner keeps its text
	set(2, "", "")
	originalAt(t, at(r)).want(`device_1=android:b
		device_a=
		device_b=1
		device_2=
		device_i=
		device_3=v
		device_w=3
		device_v=3
		device_4=ios:x:y
		device_5=ios:x:y
		device_x:y=5`)
	devices, err := p.Devices(ctx, []uint32{1, 2, 4, 6})
	p.must(err)
	if devices[1] != "android:b" || devices[2] != "" || devices[4] != "ios:x:y" ||
		len(devices) != 3 {
		t.Errorf("devices %v", devices)
	}
}

func TestChangesMayBeAppliedTwiceAndInAnyOrder(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	ctx := t.Context()
	g := p.group(1, 2, 3)
	var commits []chat.Commit
	add := func(drafts ...chat.Draft) {
		_, c := p.append(drafts...)
		commits = append(commits, c)
	}
	add(to(1, 2), in(1, g))
	add(to(1, 2), in(2, g), read(1, chat.PairTalk(1, 2)))
	add(to(2, 1), read(3, chat.GroupTalk(g)))
	add(read(2, chat.PairTalk(1, 2)), in(3, g))
	add(to(1, 2), to(1, 3))
	for _, order := range [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 4, 1, 3}} {
		r.Do(t, "SELECT", "0")
		r.Do(t, "DEL", "unread_1", "unread_2", "unread_3", "1_im_group_msg", "1_1_im_user_group",
			"2_1_im_user_group", "3_1_im_user_group",
			"dbproxy:{unread_1}", "dbproxy:{unread_2}", "dbproxy:{unread_3}",
			"dbproxy:{1_im_group_msg}", "dbproxy:{1_1_im_user_group}",
			"dbproxy:{2_1_im_user_group}", "dbproxy:{3_1_im_user_group}")
		for range 2 {
			for _, i := range order {
				p.must(p.Apply(ctx, commits[i:i+1]))
			}
			p.must(p.Apply(ctx, commits))
		}
		originalAt(t, at(r)).want(`msg_id_1=4
			msg_id_2=1
			group_msg_id_1=3
			unread_1 2=1
			unread_2 1=1
			unread_3 1=1
			1_im_group_msg count=3
			1_1_im_user_group count=1
			2_1_im_user_group count=2
			3_1_im_user_group count=3`)
	}
}

// TestAKeyOfAnotherTypeKeepsNoOtherFromFollowing: the keys of a batch go to Redis in one call of a
// script.
func TestAKeyOfAnotherTypeKeepsNoOtherFromFollowing(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	r.Do(t, "SET", "unread_3", "not a hash")
	r.Do(t, "RPUSH", "msg_id_2", "not a number")
	p.wantIDs(p.send(to(1, 2), to(1, 3), to(1, 4)), "[1 1 1]")
	p.wantIDs(p.send(to(1, 4), to(1, 3), to(1, 2)), "[2 2 2]")
	r.Do(t, "DEL", "unread_3", "msg_id_2")
	originalAt(t, at(r)).want(`msg_id_1=2
		msg_id_3=2
		unread_2 1=2
		unread_4 1=2`)
	if away := p.Copy.Away(); len(away) > 0 {
		t.Errorf("away: %v", away)
	}
}

func TestIncrementsOfOriginalsStay(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	o := originalAt(t, at(r))
	g := p.group(1, 2)
	p.send(to(1, 2), in(1, g))
	// An original stores a message in each.
	o.do("INCR", "msg_id_1")
	o.do("HINCRBY", "unread_2", "1", "1")
	o.do("INCR", "group_msg_id_1")
	o.do("HINCRBY", "1_im_group_msg", "count", "1")
	p.wantUnread(1, "group 1:1")
	p.wantUnread(2, "1:2 group 1:2")
	p.wantIDs(p.send(to(1, 2), in(2, g)), "[3 3]")
	p.wantUnread(1, "group 1:2")
	p.wantUnread(2, "1:3")
	o.do("HDEL", "unread_2", "1") // read, through an original
	p.wantUnread(2, "")
	p.send(to(1, 2))
	p.wantUnread(2, "1:1")
	p.send(read(2, chat.PairTalk(1, 2)), read(1, chat.GroupTalk(g)))
	p.wantUnread(1, "")
	p.wantUnread(2, "")
	p.send(to(1, 2), in(2, g))
	p.wantUnread(1, "group 1:1")
	p.wantUnread(2, "1:1")
}

// beforeProxies is what an original left of a talk of 1 and 2 and of group 1.
func (o other) beforeProxies(group string) {
	o.do("SET", "msg_id_1", "7")
	o.do("HSET", "unread_2", "1", "3", "9", "2")
	o.do("HSET", group+"_im_group_msg", "count", "10")
	o.do("HSET", "1_"+group+"_im_user_group", "count", "10")
	o.do("HSET", "2_"+group+"_im_user_group", "count", "4")
	o.do("HSET", "group_set_"+group, "2_1", "1")
	o.do("SET", "device_1", "ios:a")
	o.do("SET", "device_a", "1")
}

func TestWhatOriginalsCountedIsTakenOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	r := servers.StartRedis(t)
	bare := newProxy(t, path, all(at(servers.StartRedis(t)))) // only to have a group in the tables
	g := bare.group(1, 2, 3)
	forget(t, path)
	o := originalAt(t, at(r))
	o.beforeProxies("1")
	p := newProxy(t, path, all(at(r)))
	check := func() {
		t.Helper()
		p.wantUnread(2, "1:3 9:2 group 1:6")
		p.wantUnread(3, "group 1:10")
		mutes, err := p.Mutes(t.Context(), g, []uint32{1, 2})
		p.must(err)
		if len(mutes) != 1 || mutes[2] != 1 {
			t.Errorf("mutes %v", mutes)
		}
		devices, err := p.Devices(t.Context(), []uint32{1, 2})
		p.must(err)
		if len(devices) != 1 || devices[1] != "ios:a" {
			t.Errorf("devices %v", devices)
		}
	}
	check()
	p.send(to(1, 2), in(1, g)) // the records take both talks over
	p.wantUnread(2, "1:4 9:2 group 1:7")
	p.send(read(2, chat.PairTalk(2, 9))) // which they do not know
	p.wantUnread(2, "1:4 group 1:7")
	p.must(p.SetToken(t.Context(), 1, "ios:b", "b"))
	if a := say(t, r, "GET", "device_a"); a != "" {
		t.Errorf("the old token belongs to %q", a)
	}
	// All of it was also stored in the records.
	r.Do(t, "FLUSHALL")
	p.wantUnread(2, "1:4 group 1:7")
	p.wantUnread(3, "group 1:11")
	mutes, err := p.Mutes(t.Context(), g, []uint32{1, 2})
	p.must(err)
	if mutes[2] != 1 {
		t.Errorf("mutes %v", mutes)
	}
}

// TestFirstChangesMayBeAppliedInAnyOrder has the second change of talks applied before the first,
// while an original counts, too.
func TestFirstChangesMayBeAppliedInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]bool{"new talks": false, "talks of an original": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "db")
			// only to have a group in the tables
			bare := newProxy(t, path, all(at(servers.StartRedis(t))))
			g := bare.group(1, 2)
			forget(t, path)
			r := servers.StartRedis(t)
			o := originalAt(t, at(r))
			pairs, sent := 0, 0
			if before {
				o.beforeProxies("1")
				pairs, sent = 3, 10
			}
			p, q := newProxy(t, path, all(at(r))), newProxy(t, path, all(at(r)))
			_, first := p.append(to(1, 2), to(1, 2), in(1, g), in(1, g))
			o.do("HINCRBY", "unread_2", "1", "1")
			o.do("HINCRBY", "1_im_group_msg", "count", "1")
			_, second := q.append(to(1, 2), in(1, g))
			q.apply(second)
			p.apply(first)
			p.apply(second)
			if got, want := text(o, "unread_2", "1"), strconv.Itoa(pairs+4); got != want {
				t.Errorf("%s unread, want %s", got, want)
			}
			if got, want := text(o, "1_im_group_msg", "count"), strconv.Itoa(sent+4); got != want {
				t.Errorf("%s were sent, want %s", got, want)
			}
			if got, want := text(o, "1_1_im_user_group", "count"),
				strconv.Itoa(sent+4); got != want {
				t.Errorf("%s were seen, want %s", got, want)
			}
		})
	}
}
