package redis_test

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestWhatWasEvictedComesBack has single keys go while Redis evicts, and the epoch stay.
func TestWhatWasEvictedComesBack(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--maxmemory-samples", "64", "--maxmemory-policy", "allkeys-lru")
	p := fresh(t, all(at(r)))
	p.talk()
	stop := p.run()
	look := originalAt(t, at(r))
	await(t, "the first look", func() bool { return p.mark("evicted:group_member") > 0 })
	for i, key := range []string{"unread_2", "dbproxy:{unread_2}", "1_im_group_msg",
		"3_1_im_user_group", "group_set_1", "msg_id_1"} {
		if i == 0 {
			stop()
		}
		look.do("DEL", key)
		p.evict(look)
		if i == 0 { // what is evicted while no proxy runs comes back, too
			p.run()
		}
		await(t, "what "+key+" had", func() bool {
			mutes, err := p.Mutes(t.Context(), 1, []uint32{3})
			p.must(err)
			unread, err := p.UnreadTotals(t.Context(), []uint32{1, 2, 3})
			p.must(err)
			return mutes[3] == 1 && unread[1] == 1 && unread[2] == 2 && unread[3] == 2
		})
	}
	p.send(to(1, 2), to(2, 1), in(2, 1))
	p.send(read(1, chat.PairTalk(1, 2)), read(2, chat.PairTalk(1, 2)), read(3, chat.GroupTalk(1)))
	p.wantUnread(1, "group 1:2")
	p.wantUnread(2, "")
	p.wantUnread(3, "")
}

// evict has a server evict a key that nobody has used for long.
func (p *proxy) evict(look other) {
	p.t.Helper()
	const key = "of no use"
	look.do("SET", key, strings.Repeat("x", 10_000))
	saved, err := look.do("DUMP", key).ToString()
	p.must(err)
	look.do("RESTORE", key, "0", saved, "REPLACE", "IDLETIME", "100000")
	await(p.t, "an eviction", func() bool {
		limit := strconv.Itoa(look.used() - 500)
		set := func(to string) rueidis.Completed {
			b := look.client.B().ConfigSet()
			return b.ParameterValue().ParameterValue("maxmemory", to).Build()
		}
		for _, r := range look.client.DoMulti(p.t.Context(), set(limit), set("0")) {
			p.must(r.Error())
		}
		n, err := look.do("EXISTS", key).AsInt64()
		return err == nil && n == 0
	})
}

// used is how many bytes of memory a server uses.
func (o other) used() int {
	o.T.Helper()
	info := o.client.B().Info().Section("memory").Build()
	text, err := o.client.Do(o.T.Context(), info).ToString()
	_, after, _ := strings.Cut(text, "used_memory:")
	number, _, _ := strings.Cut(after, "\r")
	n, bad := strconv.Atoi(number)
	if err := errors.Join(err, bad); err != nil {
		o.T.Fatal(err)
	}
	return n
}

// TestAnEvictionIsNoticedOnce: what was filled again stays, whoever is started later.
func TestAnEvictionIsNoticedOnce(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--maxmemory-samples", "64", "--maxmemory-policy", "allkeys-lru")
	path := filepath.Join(t.TempDir(), "db")
	p := newProxy(t, path, all(at(r)))
	p.talk()
	stop := p.run()
	await(t, "the first look", func() bool { return p.mark("evicted:group_member") > 0 })
	before := p.mark("epoch:unread")
	p.evict(originalAt(t, at(r)))
	await(t, "a new epoch", func() bool {
		return p.mark("epoch:unread") > before && p.mark("evicted:group_member") > 1
	})
	stop()
	noticed := p.mark("epoch:unread")
	next := newProxy(t, path, all(at(r)))
	began := next.mark("beat:unread")
	next.run()
	await(t, "a beat of the next proxy", func() bool { return next.mark("beat:unread") > began })
	if now := next.mark("epoch:unread"); now != noticed {
		t.Errorf("a proxy that is started later begins epoch %d after %d", now, noticed)
	}
}

// mark is a mark in the records; 0: it is not there.
func (p *proxy) mark(name string) uint32 {
	p.t.Helper()
	marks, err := p.store.Marks(p.t.Context(), []string{name})
	p.must(err)
	return marks[name]
}
