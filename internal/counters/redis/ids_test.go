package redis_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// next asks for count ids of relation 1.
func (p *proxy) next(count, floor uint32, checked bool) uint32 {
	p.t.Helper()
	return p.Copy.Next(p.t.Context(), []chat.Reserve{{Talk: chat.PairTalk(1, 2), Relation: 1,
		Count: count, Floor: floor, Checked: checked}})[0]
}

func (p *proxy) wantIDs(got []uint32, want string) {
	p.t.Helper()
	if fmt.Sprint(got) != want {
		p.t.Errorf("ids %v, want %s", got, want)
	}
}

// say is the answer of a command as text.
func say(t *testing.T, r *servers.Redis, args ...string) string {
	t.Helper()
	m := r.Do(t, args...)
	s, _ := m.ToString()
	return s
}

func TestIDsGoOnFromTheKey(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	o := originalAt(t, at(r))
	for _, c := range []struct {
		what    string
		key     string // "": gone
		floor   uint32
		count   uint32
		checked bool
		want    uint32
		left    string
	}{
		{"a talk nobody checked", "", 0, 1, false, 0, ""},
		{"a new talk", "", 0, 2, true, 1, "2"},
		{"the next", "2", 2, 1, false, 3, "3"},
		{"an original went on", "7", 3, 2, false, 8, "9"},
		{"an original set it to 0", "0", 9, 1, false, 0, "0"},
		{"checked", "0", 9, 1, true, 10, "10"},
		{"the key is gone", "", 10, 1, false, 0, ""},
		{"checked", "", 10, 3, true, 11, "13"},
		{"checked, with the key ahead", "20", 13, 1, true, 21, "21"},
		{"what the original leaves when Redis fails it", "4294967295", 21, 1, false, 0,
			"4294967295"},
		{"checked", "4294967295", 21, 1, true, 22, "22"},
		{"the last id", "2147483646", 22, 1, false, chat.MaxMsgID, "2147483647"},
		{"beyond the last id", "2147483646", 22, 2, false, 0, "2147483646"},
		{"checked", "2147483646", 22, 2, true, 23, "24"},
		{"no number", "x", 24, 1, false, 0, "x"},
		{"checked", "x", 24, 1, true, 25, "25"},
	} {
		if o.do("DEL", "msg_id_1"); c.key != "" {
			o.do("SET", "msg_id_1", c.key)
		}
		got := p.next(c.count, c.floor, c.checked)
		left, _ := o.do("GET", "msg_id_1").ToString()
		if got != c.want || left != c.left {
			t.Errorf("%s: %s, floor %d: id %d leaves %q, want %d and %q", c.what, c.key, c.floor,
				got, left, c.want, c.left)
		}
	}
}

func TestIDsOfManyTalksAtOnce(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	want := []chat.Reserve{
		{Talk: chat.PairTalk(1, 2), Relation: 1, Count: 2, Floor: 5, Checked: true},
		{Talk: chat.GroupTalk(1), Count: 1, Checked: true},
		{Talk: chat.PairTalk(1, 3), Relation: 2, Count: 1, Floor: 8},
	}
	p.wantIDs(p.Copy.Next(t.Context(), want), "[6 1 0]")
	for i := range want {
		want[i].Checked, want[i].Floor = false, []uint32{7, 1, 8}[i]
	}
	p.wantIDs(p.Copy.Next(t.Context(), want), "[8 2 0]")
}

func TestNoIDIsGivenTwiceOrLeftOutWhateverRedisLoses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	r := servers.StartRedis(t)
	p, q := newProxy(t, path, all(at(r))), newProxy(t, path, all(at(r)))
	g := p.group(1, 2)
	id := uint32(0)
	for i, lose := range []func(){
		func() {},
		func() { r.Do(t, "FLUSHALL") },
		func() { r.Do(t, "SET", "msg_id_1", "0") },
		func() { r.Do(t, "DEL", "msg_id_1", "group_msg_id_1") },
		func() { r.Do(t, "SET", "msg_id_1", "4294967295") },
		func() { r.Restart(t) },
		func() {},
	} {
		lose()
		for _, proxy := range []*proxy{p, q, p} {
			await(t, "Redis", func() bool { return proxy.Copy.Away() == nil })
			if got, want := fmt.Sprint(proxy.send(to(1, 2), to(2, 1), in(1, g), in(2, g))),
				fmt.Sprintf("[%d %d %[1]d %[2]d]", id+1, id+2); got != want {
				t.Errorf("after loss %d: ids %s, want %s", i, got, want)
			}
			id += 2
		}
	}
}

func TestARedisThatCameBackWithOldDataGivesNoOldIDs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	r := servers.StartRedis(t)
	p := newProxy(t, path, all(at(r)))
	o := originalAt(t, at(r))
	p.send(to(1, 2), to(1, 2))
	stop := p.run()
	beat := func() uint32 {
		b, _, err := p.store.Mark(t.Context(), "beat:unread")
		p.must(err)
		return b
	}
	await(t, "a beat", func() bool { return beat() > 1 })
	r.Do(t, "SAVE")
	saved := beat()
	o.do("INCRBY", "msg_id_1", "3")
	foreign(t, path, 1, 3, 4, 5) // an original stored them
	await(t, "two more beats", func() bool { return beat() > saved+1 })
	stop()
	r.Restart(t)
	await(t, "Redis", func() bool { return p.Copy.Away() == nil })
	p.wantIDs(p.send(to(1, 2)), "[6]")
}

// foreign puts messages into the table of a relation as an original server does.
func foreign(t *testing.T, path string, relation uint32, ids ...uint32) {
	t.Helper()
	raw := testdb.RawSQLite(t, path)
	for _, id := range ids {
		raw.Run(fmt.Sprintf("INSERT INTO IMMessage_%d "+
			"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES "+
			"(?,1,2,?,'x',1,0,1000,1000)", relation%8), relation, id)
	}
}

func TestIDsGoOnFromTheMessagesWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	r := servers.StartRedis(t)
	p := newProxy(t, path, all(at(r)))
	p.send(to(1, 2), to(1, 2))
	r.Do(t, "INCRBY", "msg_id_1", "1")
	foreign(t, path, 1, 3)
	r.Kill(t)
	receipt, commit := p.append(to(1, 2), to(1, 3))
	p.wantIDs([]uint32{receipt.Stored[0].ID, receipt.Stored[1].ID}, "[4 1]")
	if err := p.Apply(t.Context(), []chat.Commit{commit}); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("applied without Redis: %v", err)
	}
	if missing := p.Copy.Away(); len(missing) == 0 || missing[0].Addr != r.Addr()+"/0" ||
		missing[0].Err == nil {
		t.Errorf("away: %v", missing)
	}
	r.Restart(t)
	await(t, "Redis", func() bool { return p.Copy.Away() == nil })
	p.wantIDs(p.send(to(1, 2), to(1, 3)), "[5 2]")
	p.apply(commit)
	p.wantUnread(2, "1:4")
	p.wantUnread(3, "1:2")
}

func TestItOpensWithoutRedis(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	r.Kill(t)
	p := fresh(t, all(at(r)))
	p.run()
	if missing := p.Copy.Away(); len(missing) != 2 {
		t.Errorf("away: %v", missing)
	}
	_, commit := p.append(to(1, 2))
	p.wantUnread(2, "1:1")
	r.Restart(t)
	await(t, "Redis", func() bool { return p.Copy.Away() == nil })
	p.apply(commit)
	p.wantIDs(p.send(to(1, 2)), "[2]")
	p.wantUnread(2, "1:2")
	await(t, "the note of the start", func() bool {
		return say(t, r, "GET", "total_user_update") != ""
	})
}

func TestWrongOptionsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	good := link.Instance{Addr: "127.0.0.1:1"}
	one := []string{"h:1"}
	for want, bad := range map[string]link.Instance{
		"it needs either an address, sentinels, or the nodes of a cluster": {},
		"with sentinels it needs the name of their master":                 {Sentinels: one},
		"a Redis Cluster has database 0 only":                              {Cluster: one, DB: 1},
		`"h" is no HOST:PORT: address h: missing port in address`:          {Addr: "h"},
	} {
		opt := all(good)
		opt.Token = bad
		_, err := redis.Open(opt)
		if want = "cache instance token: " + want; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// forget empties the proxy's own tables.
func forget(t *testing.T, path string) {
	t.Helper()
	raw := testdb.RawSQLite(t, path)
	for _, table := range []string{"IMProxyTalk", "IMProxyLevel", "IMProxyMark", "IMProxyMute",
		"IMProxyDevice", "IMProxyToken", "IMProxyCommit"} {
		raw.Run("DELETE FROM " + table)
	}
}

// TestIDsOfWhatIsNotStoredComeBack has a commit refused by the database after its ids were
// reserved.
func TestIDsOfWhatIsNotStoredComeBack(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	p.group(1, 2)
	_, commit := p.append(to(1, 2), in(1, 1))
	again := chat.Batch{ID: commit.ID, Now: p.now,
		Drafts: []chat.Draft{to(1, 2), in(1, 1), to(2, 1), to(3, 4)}}
	if _, err := p.store.Append(t.Context(), again, p.Copy); err == nil {
		t.Error("two commits have the same id")
	}
	p.wantIDs(p.send(to(1, 2), in(1, 1), to(3, 4)), "[2 2 1]")
	if id, group := say(t, r, "GET", "msg_id_1"), say(t, r, "GET", "group_msg_id_1"); id != "2" ||
		group != "2" {
		t.Errorf("the last ids are %s and %s", id, group)
	}
}
