package redis_test

import (
	"path/filepath"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestNobodyCountsOnARedisThatIsBehind has one proxy store what Redis misses, and another one asked
// as soon as Redis is back with all it had.
func TestNobodyCountsOnARedisThatIsBehind(t *testing.T) {
	t.Parallel()
	r, path := servers.StartRedis(t), filepath.Join(t.TempDir(), "db")
	p, q := newProxy(t, path, all(at(r))), newProxy(t, path, all(at(r)))
	p.talk()
	q.wantTalk()
	r.Do(t, "SAVE")
	r.Kill(t)
	p.append(to(1, 2), in(1, 1)) // nobody applies it
	p.must(p.SetMute(t.Context(), 1, 3, 0))
	p.must(p.SetToken(t.Context(), 1, "ios:c", "c"))
	check := func() {
		t.Helper()
		q.wantUnread(1, "")
		q.wantUnread(2, "1:3 group 1:1")
		mutes, err := q.Mutes(t.Context(), 1, []uint32{3})
		q.must(err)
		devices, err := q.Devices(t.Context(), []uint32{1})
		q.must(err)
		if mutes[3] != 0 || devices[1] != "ios:c" {
			t.Errorf("mutes %v, devices %v", mutes, devices)
		}
	}
	check()
	r.Restart(t)
	await(t, "Redis", func() bool { return q.Copy.Away() == nil })
	check()
	q.run() // and catches up after a while
	o := originalAt(t, at(r))
	await(t, "what was missed", func() bool {
		check()
		return text(o, "unread_2", "1") == "3" && text(o, "group_set_1", "3_1") == "0"
	})
	check()
	o.do("HINCRBY", "unread_2", "1", "1")
	await(t, "belief in Redis", func() bool { return q.unreadOf(2) == "1:4 group 1:1" })
}

// text is a field of a hash.
func text(o other, key, field string) string {
	o.T.Helper()
	s, _ := o.do("HGET", key, field).ToString() // empty when there is none
	return s
}

// TestWhatIsLeftToApplyIsFoundBehindWhatIsNot has more commits that were applied, whose records are
// still there, than are asked for.
func TestWhatIsLeftToApplyIsFoundBehindWhatIsNot(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	_, left := p.append(to(1, 2))
	p.now -= 10
	for range 5 {
		p.group(1, 2)
	}
	found, err := p.store.Unapplied(t.Context(), 0, 3)
	p.must(err)
	if len(found) != 1 || found[0].ID != left.ID {
		t.Errorf("found %v, want %v alone", found, left)
	}
}
