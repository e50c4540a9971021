package doctor_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/doctor"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// openBoth is a store in MySQL with its copy in Redis.
func openBoth(t *testing.T) (*world, *servers.Redis, *redis.Copy) {
	t.Helper()
	server := servers.StartRedis(t)
	i := link.Instance{Addr: server.Addr(), ConnectTimeout: 20 * time.Second,
		CallTimeout: 20 * time.Second}
	copied, err := redis.Open(redis.Options{Unread: i, GroupSet: i, Token: i,
		GroupMember: i, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(copied.Close)
	db := testdb.New(t)
	store := testdb.OpenMySQL(t, testdb.At(db), records.Options{Log: logTo(t), Follower: copied})
	copied.Use(t.Context(), store)
	w := &world{T: t, store: store, raw: testdb.RawMySQL(t, db), seq: copied,
		copy: redis.Comparison{Copy: copied}}
	w.apply = func(commits ...chat.Commit) error { return copied.Apply(t.Context(), commits) }
	return w, server, copied
}

// filled has something of everything in such a store.
func (w *world) filled() (group uint32) {
	w.Helper()
	for i := 1; i <= 4; i++ {
		w.raw.Run("INSERT INTO IMUser "+
			"(id,name,password,salt,nick,domain,phone,email,sign_info,departId,created,updated) "+
			"VALUES (?,?,'','','','','','','',0,1,1)",
			i, fmt.Sprint("user", i))
	}
	w.send(text(1, 2, "a"), text(1, 2, "b"), text(3, 2, "c"), text(2, 3, "d"))
	group, err := w.store.Create(w.Context(),
		chat.NewGroup{Name: "g", Creator: 1, Type: chat.NormalGroup, Members: []uint32{1, 2, 3}},
		900)
	w.must(err)
	w.send(inGroup(1, group, "e"), inGroup(2, group, "f"))
	w.must(w.store.SetMute(w.Context(), group, 3, 1))
	w.must(w.store.SetToken(w.Context(), 2, "ios:tok", "tok"))
	return group
}

// keys is all that original servers see in Redis.
func keys(t *testing.T, r *servers.Redis) (all []string) {
	t.Helper()
	names := r.Do(t, "KEYS", "*")
	list, err := names.AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range list {
		if strings.HasPrefix(key, "dbproxy:") || strings.HasPrefix(key, "total_user_update") {
			continue
		}
		kind := r.Do(t, "TYPE", key)
		if s, _ := kind.ToString(); s == "string" {
			value := r.Do(t, "GET", key)
			s, _ := value.ToString()
			all = append(all, key+"="+s)
			continue
		}
		hash := r.Do(t, "HGETALL", key)
		fields, err := hash.AsStrMap()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range slices.Sorted(maps.Keys(fields)) {
			all = append(all, key+" "+f+"="+fields[f])
		}
	}
	slices.Sort(all)
	return all
}

func original(d *doctor.Doctor) { d.BeforeOriginal = true }

func TestRedisAsRacesLeaveIt(t *testing.T) {
	t.Parallel()
	w, r, _ := openBoth(t)
	g := w.filled()
	w.wantFound(nil, nil, nil)
	before := keys(t, r)
	members, level := fmt.Sprint("group_member_", g), fmt.Sprintf("2_%d_im_user_group", g)
	r.Do(t, "SET", "msg_id_1", "0") // as originals do
	r.Do(t, "SET", "msg_id_2", "4294967295")
	r.Do(t, "DEL", fmt.Sprint("group_msg_id_", g))
	r.Do(t, "HDEL", members, "1", "2")
	r.Do(t, "HSET", members, "9", "5")
	r.Do(t, "HSET", "group_member_77", "1", "5")
	r.Do(t, "HSET", level, "count", "50")
	r.Do(t, "HSET", "unread_1", "4", "2")  // of whom there is no talk
	r.Do(t, "HSET", "unread_99", "4", "2") // who is nobody
	w.wantFound([]string{"id-behind 3", "member-missing 2", "member-extra 2", "level-ahead 1",
		"unread-stray 2", "unread-nobody 1"},
		[]string{"id-behind 3/3", "member-missing 2/2", "member-extra 2/2", "level-ahead 1/1",
			"unread-stray 2/2", "unread-nobody 1"}, nil)
	if after := keys(t, r); !slices.Equal(after, before) {
		t.Errorf("Redis had\n%q\nand has\n%q", before, after)
	}
	ids := w.send(text(1, 2, "x"), text(2, 3, "y"), inGroup(1, g, "z"))
	if !slices.Equal(ids, []uint32{3, 3, 3}) {
		t.Errorf("the next ids are %v", ids)
	}
}

func TestBeforeAnOriginalComesBack(t *testing.T) {
	t.Parallel()
	w, r, redis := openBoth(t)
	w.filled()
	if got := w.examine(original); got != nil {
		t.Errorf("found %q", got)
	}
	before := keys(t, r)
	r.Do(t, "FLUSHALL")
	want := []string{"id-behind 3", "member-missing 3", "unread-behind 3", "count-behind 3",
		"mute-missing 1", "token-missing 1"}
	if got := w.examine(original); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	redis.Use(t.Context(), w.store) // a command begins with it
	got := w.examine(func(d *doctor.Doctor) { d.BeforeOriginal, d.Repair = true, true })
	for i := range want {
		kind, n, _ := strings.Cut(want[i], " ")
		want[i] = kind + " " + n + "/" + n
	}
	if !slices.Equal(got, want) {
		t.Errorf("repaired %q, want %q", got, want)
	}
	if got := w.examine(original); got != nil {
		t.Errorf("found %q", got)
	}
	if after := keys(t, r); !slices.Equal(after, before) {
		t.Errorf("Redis had\n%q\nand has\n%q", before, after)
	}
	w.send(text(1, 2, "x"))
	unread := r.Do(t, "HGET", "unread_2", "1")
	if n, err := unread.ToString(); err != nil || n != "3" {
		t.Errorf("2 has %s unread of 1: %v", n, err)
	}
}

func TestWhatOriginalsCountedStays(t *testing.T) {
	t.Parallel()
	w, r, _ := openBoth(t)
	g := w.filled()
	r.Do(t, "HINCRBY", "unread_2", "1", "5")
	r.Do(t, "HDEL", "unread_2", "3") // read
	r.Do(t, "SET", "device_2", "android:other")
	r.Do(t, "HSET", fmt.Sprint("group_set_", g), "1_1", "1", "3_1", "0")
	r.Do(t, "INCRBY", "msg_id_1", "100")
	before := keys(t, r)
	got := w.examine(func(d *doctor.Doctor) { d.BeforeOriginal, d.Repair = true, true })
	if got != nil {
		t.Errorf("found %q", got)
	}
	if after := keys(t, r); !slices.Equal(after, before) {
		t.Errorf("Redis had\n%q\nand has\n%q", before, after)
	}
}

func TestCommitsThatWereNotApplied(t *testing.T) {
	t.Parallel()
	w, r, _ := openBoth(t)
	w.filled()
	apply := w.apply
	w.apply = func(...chat.Commit) error { return nil }
	b := chat.Batch{ID: chat.NewCommitID(), Now: uint32(time.Now().Unix()) - 300,
		Drafts: []chat.Draft{text(1, 2, "x")}}
	if _, err := w.store.Append(t.Context(), b, w.seq); err != nil {
		t.Fatal(err)
	}
	w.apply = apply
	if got := w.examine(original); !slices.Equal(got, []string{"old-commit 1", "unread-behind 1"}) {
		t.Errorf("found %q", got)
	}
	w.wantFound([]string{"old-commit 1"}, []string{"old-commit 1/1"}, nil)
	unread := r.Do(t, "HGET", "unread_2", "1")
	if n, err := unread.ToString(); err != nil || n != "3" {
		t.Errorf("2 has %s unread of 1: %v", n, err)
	}
}

func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	w, r, _ := openBoth(t)
	w.filled()
	w.session(50, 8, 9, 1, 0, 5)
	w.session(51, 8, 9, 1, 0, 5)
	r.Kill(t)
	got := w.examine(mending)
	if !slices.Equal(got, []string{"redis-away 1", "duplicate-session 1/1"}) {
		t.Errorf("found %q", got)
	}
	if got := w.examine(original); !slices.Equal(got, []string{"redis-away 1"}) {
		t.Errorf("found %q", got)
	}
}

func TestMessagesMovedBesideRedis(t *testing.T) {
	t.Parallel()
	w, _, _ := openBoth(t)
	w.filled()
	w.relation(50, 1, 2, 0, 2_000_000_000)
	w.message(50, 1, 2, 1, 2000, "other")
	w.message(1, 1, 2, 4294967295, 2001, "away")
	w.wantFound([]string{"split-talk 1", "impossible-id 1", "id-behind 1"},
		[]string{"split-talk 1/1", "impossible-id 1/1"}, nil)
	w.wantPage(chat.PairTalk(1, 2), "4:away@2001 3:other@2000 2:b@1000 1:a@1000")
	if ids := w.send(text(1, 2, "x")); ids[0] != 5 {
		t.Errorf("the next id is %d", ids[0])
	}
}
