package takeover_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
	"github.com/teamtalk-go/dbproxy/internal/takeover"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// world is a database, and the Redis in which its proxies count at first. There are 1,100 users:
// more than one page.
type world struct {
	*testing.T
	db    *servers.Database
	redis *servers.Redis
}

const users = 1100

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{t, testdb.New(t), servers.StartRedis(t)}
	w.exec("INSERT INTO IMUser (id,name,password,salt) SELECT seq,CONCAT('user',seq),'','' FROM " +
		fmt.Sprintf("seq_1_to_%d", users))
	return w
}

func (w world) exec(query string) {
	w.Helper()
	if _, err := w.db.Admin.ExecContext(w.Context(), query); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
}

func (w world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w world) log() *slog.Logger { return slog.New(slog.NewTextHandler(w.Output(), nil)) }

// open opens the Redis, and the records with or without it.
func (w world) open(follows bool) (*records.Store, *redis.Copy) {
	w.Helper()
	at := link.Instance{Addr: w.redis.Addr(), ConnectTimeout: time.Minute, CallTimeout: time.Minute}
	copied, err := redis.Open(redis.Options{Unread: at, GroupSet: at, Token: at, GroupMember: at,
		Log: w.log()})
	w.must(err)
	w.Cleanup(copied.Close)
	opt := records.Options{Log: w.log()}
	if follows {
		opt.Follower = copied
	}
	store, err := records.OpenMySQL(testdb.Patient(w.db), nil, opt)
	w.must(err)
	w.Cleanup(func() { w.must(store.Close()) })
	return store, copied
}

// proxy is the rules' store of a proxy.
type proxy struct {
	world
	chat.Store
	records *records.Store
}

// with is a proxy with Redis.
func (w world) with() proxy {
	w.Helper()
	store, copied := w.open(true)
	copied.Use(w.Context(), store)
	return proxy{w, counters.OnCopy(store, copied), store}
}

// without is a proxy without.
func (w world) without() proxy {
	w.Helper()
	store, _ := w.open(false)
	w.must(store.Fits(w.Context()))
	return proxy{w, counters.OnRecords(store), store}
}

// store stores one batch, applied or not.
func (p proxy) store(applied bool, drafts ...chat.Draft) (ids []uint32) {
	p.Helper()
	id := chat.NewCommitID()
	receipt, err := p.Ledger.Append(p.Context(), chat.Batch{ID: id, Now: p.records.Unix(),
		Drafts: drafts}, p.Sequencer)
	p.must(err)
	for _, s := range receipt.Stored {
		p.must(s.Err)
		ids = append(ids, s.ID)
	}
	if applied {
		p.must(p.Counters.Apply(p.Context(), []chat.Commit{{ID: id, Changes: receipt.Changes}}))
		p.must(p.Ledger.Applied(p.Context(), []chat.CommitID{id}))
	}
	return ids
}

func to(from, user uint32) chat.Draft {
	return chat.Draft{Talk: chat.PairTalk(from, user), From: from, Type: chat.PairText,
		Content: "x", Time: 1000}
}

func in(from, group uint32) chat.Draft {
	return chat.Draft{Talk: chat.GroupTalk(group), From: from, Type: chat.GroupText, Content: "x",
		Time: 1000}
}

// unread is what all users have unread, such as "1: 2 5" for five of user 2, sorted.
func (p proxy) unread() (lines []string) {
	p.Helper()
	var all []uint32
	for user := range uint32(users) {
		all = append(all, user+1)
	}
	unread, err := p.Counters.Unread(p.Context(), all)
	p.must(err)
	for user, counts := range unread {
		for _, c := range counts {
			lines = append(lines, fmt.Sprintf("%d: %s %d", user, c.Talk, c.Unread))
		}
	}
	slices.Sort(lines)
	return lines
}

// take makes a takeover, without waiting.
func (w world) take() *takeover.Takeover {
	w.Helper()
	store, copied := w.open(false)
	return &takeover.Takeover{Records: store, Redis: copied, Progress: func(string) {}}
}

// run takes over all, and returns what was.
func (w world) run(ctx context.Context, t *takeover.Takeover) (takeover.Summary, error) {
	w.Helper()
	w.must(t.Reconcile(w.Context()))
	s, moved, lost, err := t.Read(w.Context())
	w.must(err)
	if moved.Count > 0 || len(lost) > 0 {
		w.Errorf("moved: %v, lost: %v", moved, lost)
	}
	_, err = t.Apply(ctx)
	return s, err
}

// original has originals count in keys.
func (w world) original(commands ...string) {
	w.Helper()
	for _, c := range commands {
		w.redis.Do(w, strings.Fields(c)...)
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestGoesOnWhereItStopped stops it after each page. Then proxies go on with Redis, and later it is
// run once more.
func TestGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	for _, stop := range []string{"users up to 500", "users up to 1000", "groups up to",
		"relations up to"} {
		w := newWorld(t)
		p := w.with()
		group, err := p.Groups.Create(t.Context(), chat.NewGroup{Name: "g", Creator: 1,
			Type: chat.NormalGroup, Members: []uint32{1, 2, 1050}}, 1000)
		w.must(err)
		p.store(true, to(1, 2), to(2, 1), to(1050, 1051), in(1, group))
		w.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
			" VALUES (3,4,0,1,1),(3,1060,0,1,1),(501,502,0,1,1)")
		w.original("HINCRBY unread_2 1 10", "HINCRBY unread_1051 1050 10", "HSET unread_4 3 7",
			"HSET unread_1060 3 8", "HSET unread_502 501 9", "HSET unread_501 502 1",
			fmt.Sprintf("HINCRBY %d_im_group_msg count 30", group),
			fmt.Sprintf("HSET 2_%d_im_user_group count 20", group),
			fmt.Sprintf("INCRBY group_msg_id_%d 30", group))
		before := p.unread()

		ctx, cancel := context.WithCancel(t.Context())
		take := w.take()
		take.Progress = func(what string) {
			if strings.HasPrefix(what, "taking over: "+stop) {
				cancel()
			}
		}
		if _, err := w.run(ctx, take); !errors.Is(err, context.Canceled) {
			t.Fatalf("it was not stopped at %s: %v", stop, err)
		}
		p = w.with()
		same(t, "unread once it was stopped at "+stop, p.unread(), before)
		p.store(true, to(1, 2), to(1050, 1051), to(3, 4), in(1, group))
		before = p.unread()
		want := map[string]bool{"2: pair 1-2 12": true, "1051: pair 1050-1051 12": true,
			"4: pair 3-4 8": true, fmt.Sprintf("2: group %d 12", group): true,
			fmt.Sprintf("1050: group %d 32", group): true}
		for _, line := range before {
			delete(want, line)
		}
		if len(want) > 0 {
			t.Errorf("stopped at %s: %v are not in %v", stop, slices.Collect(maps.Keys(want)),
				before)
		}

		_, err = w.run(t.Context(), w.take())
		w.must(err)
		p = w.without()
		same(t, "unread without Redis", p.unread(), before)
		if ids := p.store(true, in(1, group)); ids[0] != 33 {
			t.Errorf("the next id is %d", ids[0])
		}
		again := w.take()
		s, _, _, err := again.Read(t.Context())
		if err != nil || s.Unread+s.Tokens+s.Mutes > 0 {
			t.Errorf("it is not all taken over: %+v, %v", s, err)
		}
	}
}

// sent has an original send a message, without unread counters.
func (w world) sent(o tables.Owner, from, to, id, at uint32) {
	w.Helper()
	columns, key := "relateId,fromId,toId", "msg_id_%d"
	owners := fmt.Sprint(o.ID, ",", from, ",", to)
	if o.Kind == chat.Group {
		columns, key = "groupId,userId", "group_msg_id_%d"
		owners = fmt.Sprint(o.ID, ",", from)
	}
	w.exec(fmt.Sprintf("INSERT INTO %s (%s,msgId,content,type,status,created,updated)"+
		" VALUES (%s,%d,'x',1,0,%d,%d)", o.Shard().Table(), columns, owners, id, at, at))
	w.original(fmt.Sprintf("SET "+key+" %d", o.ID, id))
}

// TestIDsGoOnAfterAnOriginals has an original be the last to send in talks of proxies, and in one
// of its own.
func TestIDsGoOnAfterAnOriginals(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		w := newWorld(t)
		p := w.with()
		group, err := p.Groups.Create(t.Context(), chat.NewGroup{Name: "g", Creator: 1,
			Type: chat.NormalGroup, Members: []uint32{1, 2}}, 1000)
		w.must(err)
		p.store(true, to(1, 2), to(1, 2), in(1, group), in(1, group), in(1, group))
		w.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
			" VALUES (3,4,0,1,1)")
		const at = 2000
		w.sent(tables.Owner{Kind: chat.Pair, ID: 1}, 2, 1, 3, at)
		w.sent(tables.Owner{Kind: chat.Pair, ID: 2}, 3, 4, 1, at)
		w.sent(tables.Owner{Kind: chat.Group, ID: group}, 2, 0, 4, at)
		if lost {
			w.original("DEL msg_id_1", "DEL msg_id_2", fmt.Sprintf("DEL group_msg_id_%d", group))
		}
		s, err := w.run(t.Context(), w.take())
		w.must(err)
		if s.IDs != 2 {
			t.Errorf("lost: %v: ids of %d talks are taken over", lost, s.IDs)
		}
		p = w.without()
		ids := p.store(true, to(1, 2), to(3, 4), in(1, group))
		if want := []uint32{4, 2, 5}; !slices.Equal(ids, want) {
			t.Errorf("lost: %v: the next ids are %d, want %d", lost, ids, want)
		}
		for _, from := range []string{"IMMessage_1 WHERE relateId=1",
			fmt.Sprintf("IMGroupMessage_%d WHERE groupId=%[1]d", group)} {
			var newest uint32
			w.must(w.db.Admin.QueryRowContext(t.Context(),
				"SELECT created FROM "+from+" ORDER BY msgId DESC LIMIT 1").Scan(&newest))
			if newest < at {
				t.Errorf("the last one of %s is of %d, before an original's", from, newest)
			}
		}
	}
}

// TestBelievesWhoAProxyWouldBelieve takes over from a Redis that lost what it had, where originals
// have counted since, and lacks what a killed proxy stored.
func TestBelievesWhoAProxyWouldBelieve(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{true, false} {
		w := newWorld(t)
		p := w.with()
		p.store(true, to(1, 2), to(1, 2), to(3, 4))
		p.store(false, to(1, 2))
		w.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
			" VALUES (5,6,0,1,1)")
		want := []string{"2: pair 1-2 3", "4: pair 3-4 9", "6: pair 5-6 9"}
		if lost {
			w.redis.Do(t, "FLUSHALL")
			want[1] = "4: pair 3-4 1" // which the records count
		}
		w.original("HSET unread_4 3 9", "HSET unread_6 5 9", "SET last_update_group 1234")
		_, err := w.run(t.Context(), w.take())
		w.must(err)
		if synced, _, err := p.records.Mark(t.Context(), "last_update_group"); synced != 1234 {
			t.Errorf("the group sync has got to %d: %v", synced, err)
		}
		same(t, fmt.Sprint("unread, lost: ", lost), w.without().unread(), want)
	}
}

// TestTakesBothSidesOfAPair takes over pairs that no proxy has counted, whose users are on
// different pages, where Redis was emptied before an original counted them. It is also stopped in
// between.
func TestTakesBothSidesOfAPair(t *testing.T) {
	t.Parallel()
	for _, stop := range []string{"", "users up to 500", "users up to 1000"} {
		w := newWorld(t)
		p := w.with()
		p.store(true, to(1, 2))
		w.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
			" VALUES (3,1060,0,1,1),(4,1061,0,1,1)")
		w.redis.Do(t, "FLUSHALL")
		w.original("HSET unread_3 1060 4", "HSET unread_1060 3 8", "HSET unread_1061 4 6")
		want := []string{"1060: pair 3-1060 8", "1061: pair 4-1061 6", "2: pair 1-2 1",
			"3: pair 3-1060 4"}
		ctx, cancel := context.WithCancel(t.Context())
		take := w.take()
		take.Progress = func(what string) {
			if stop != "" && strings.HasPrefix(what, "taking over: "+stop) {
				cancel()
			}
		}
		s, err := w.run(ctx, take)
		cancel()
		if s.Unread != 3 {
			t.Errorf("%d counters are to be taken over", s.Unread)
		}
		if stop != "" {
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("it was not stopped at %s: %v", stop, err)
			}
			_, err = w.run(t.Context(), w.take())
		}
		w.must(err)
		same(t, "unread, stopped at "+stop, w.without().unread(), want)
	}
}

// TestIsKilledBeforeRedisKnows has it die after the records have taken over some talks, and before
// that is noted in Redis. It is run again at once, and after Redis was emptied.
func TestIsKilledBeforeRedisKnows(t *testing.T) {
	t.Parallel()
	for _, flushed := range []bool{false, true} {
		w := newWorld(t)
		p := w.with()
		p.store(true, to(1, 2))
		w.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
			" VALUES (3,1060,0,1,1)")
		w.original("HINCRBY unread_2 1 10", "HSET unread_3 1060 4", "HSET unread_1060 3 8")
		before := p.unread()
		one, two := chat.PairTalk(1, 2), chat.PairTalk(3, 1060)
		pairs, err := p.records.PairsNow(t.Context(), []uint32{1})
		w.must(err)
		_, moved, err := talk.TakeOver(t.Context(), p.records.DB(), []talk.Take{
			{Talk: one, Rev: pairs[0].Rev, Unread: map[uint32]uint32{2: 11}},
			{Talk: two, Unread: map[uint32]uint32{3: 4, 1060: 8}}}, 1000)
		if err != nil || len(moved) > 0 {
			t.Fatal(moved, err)
		}
		same(t, "unread with Redis", w.with().unread(), before)
		if flushed {
			w.redis.Do(t, "FLUSHALL")
		}
		s, err := w.run(t.Context(), w.take())
		w.must(err)
		if !s.Nothing() {
			t.Errorf("flushed: %v: it is taken over twice: %+v", flushed, s)
		}
		same(t, "unread without Redis", w.without().unread(), before)
	}
}

// TestStopsBeforeTheMark has a proxy come while the last page is taken over: all still counts in
// Redis then.
func TestStopsBeforeTheMark(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.with()
	p.store(true, to(1, 2))
	w.original("HINCRBY unread_2 1 10", "SET last_update_group 1234")
	take := w.take()
	take.Progress = func(what string) {
		if strings.HasPrefix(what, "taking over: relations up to") {
			w.exec("INSERT INTO IMProxyServer (id,counting,address,seen)" +
				" VALUES ('x',1,'here:1',UNIX_TIMESTAMP())")
		}
	}
	if _, err := w.run(t.Context(), take); chat.KindOf(err) != chat.NotAllowed ||
		!strings.Contains(err.Error(), "all was taken over, but meanwhile") {
		t.Fatalf("it set the mark beside a proxy: %v", err)
	}
	if is, err := fleet.Read(t.Context(), p.records.DB()); is != fleet.InRedis || err != nil {
		t.Fatalf("proxies are to count %s: %v", is, err)
	}
	p = w.with()
	p.store(true, to(1, 2))
	want := []string{"2: pair 1-2 12"}
	same(t, "unread with Redis", p.unread(), want)
	w.exec("DELETE FROM IMProxyServer")
	_, err := w.run(t.Context(), w.take())
	w.must(err)
	same(t, "unread without Redis", w.without().unread(), want)
}

// TestComesBackToWhatMovedMeanwhile has a proxy come and be killed while somebody is asked whether
// to go on, and then one that stays.
func TestComesBackToWhatMovedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.with()
	p.store(true, to(1, 2))
	w.original("HINCRBY unread_2 1 10")
	take := w.take()
	read := func() {
		w.must(take.Reconcile(t.Context()))
		_, _, _, err := take.Read(t.Context())
		w.must(err)
	}
	read()
	p.store(false, to(1, 2)) // and is killed
	_, err := take.Apply(t.Context())
	w.must(err)
	same(t, "unread", w.without().unread(), []string{"2: pair 1-2 12"})

	w.must(fleet.Set(t.Context(), p.records.DB(), fleet.InRedis))
	w.original("HINCRBY unread_2 1 10")
	read()
	w.exec("INSERT INTO IMProxyServer (id,counting,address,seen)" +
		" VALUES ('x',1,'here:1',UNIX_TIMESTAMP())")
	if _, err := take.Apply(t.Context()); chat.KindOf(err) != chat.NotAllowed ||
		!strings.Contains(err.Error(), "here:1") {
		t.Errorf("it went on beside a proxy: %v", err)
	}
	var sent uint32
	w.must(w.db.Admin.QueryRowContext(t.Context(),
		"SELECT sentA FROM IMProxyTalk WHERE kind=1 AND a=1 AND b=2").Scan(&sent))
	if sent != 12 {
		t.Errorf("it has taken over beside a proxy: %d are sent", sent)
	}
}

// TestPassesOverTalksThatHaveMoved has talks move after their revisions were read.
func TestPassesOverTalksThatHaveMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.with()
	p.store(true, to(1, 2), to(3, 4))
	w.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
		" VALUES (5,6,0,1,1)")
	one, two, three := chat.PairTalk(1, 2), chat.PairTalk(3, 4), chat.PairTalk(5, 6)
	pairs, err := p.records.PairsNow(t.Context(), []uint32{1})
	w.must(err)
	rev := pairs[0].Rev
	changed, moved, err := talk.TakeOver(t.Context(), p.records.DB(), []talk.Take{
		{Talk: one, Rev: rev, Unread: map[uint32]uint32{2: 9}},
		{Talk: two, Rev: 0, Unread: map[uint32]uint32{4: 9}},
		{Talk: three, Rev: 0, Unread: map[uint32]uint32{6: 9}}}, 1000)
	if err != nil || len(changed) != 2 || !slices.Equal(moved, []chat.Talk{two}) {
		t.Errorf("changed: %v, moved: %v, %v", changed, moved, err)
	}
	without, err := p.records.Unread(t.Context(), []uint32{2, 4, 6})
	w.must(err)
	for user, want := range map[uint32]uint32{2: 9, 4: 1, 6: 9} {
		if len(without[user]) != 1 || without[user][0].Unread != want {
			t.Errorf("user %d has unread %v, want %d", user, without[user], want)
		}
	}
}

// number asks the database for a number; 0 where there is none.
func (w world) number(query string) (n uint32) {
	w.Helper()
	err := w.db.Admin.QueryRowContext(w.Context(), query).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		w.Fatalf("%s: %v", query, err)
	}
	return n
}

// TestTokensThatGoFromOneToAnother takes over a token that one user had, and another has now, in
// whichever order they come: they are stored some at a time.
func TestTokensThatGoFromOneToAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.with()
	w.must(p.records.TakeTokens(t.Context(), []chat.Device{{User: 300, Device: "ios:x", Token: "x"},
		{User: 2, Device: "ios:z", Token: "z"}}))
	w.must(w.take().Reconcile(t.Context())) // or originals were before them
	w.original("SET device_1 ios:x", "SET device_x 1", "SET device_300 ios:z", "SET device_z 300",
		"SET device_2 ios:y", "SET device_y 2")
	for user := uint32(3); user < 300; user++ {
		w.original(fmt.Sprintf("SET device_%d ios:of-%[1]d", user))
	}
	s, err := w.run(t.Context(), w.take())
	w.must(err)
	if s.Tokens != 300 {
		t.Errorf("%d tokens are to be taken over", s.Tokens)
	}
	for token, user := range map[string]uint32{"x": 1, "z": 300, "y": 2} {
		if has := w.number("SELECT userId FROM IMProxyToken WHERE token='" + token +
			"'"); has != user {
			t.Errorf("token %s is of user %d, want %d", token, has, user)
		}
	}
}

// TestTakesMutesThatOnlyRedisKnows takes over what was set in a group that no proxy has counted,
// after Redis was emptied.
func TestTakesMutesThatOnlyRedisKnows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.with().store(true, to(1, 2))
	w.exec("INSERT INTO IMGroup (name,avatar,creator,type,userCnt,status,version,lastChated," +
		"updated,created) VALUES ('g','',1,1,2,0,1,0,1,1)")
	w.exec("INSERT INTO IMGroupMember (groupId,userId,status,created,updated)" +
		" VALUES (1,1,0,1,1),(1,2,0,1,1)")
	w.redis.Do(t, "FLUSHALL")
	w.original("HSET group_set_1 2_1 1", "HSET 1_im_group_msg count 3")
	s, err := w.run(t.Context(), w.take())
	w.must(err)
	if s.Mutes != 1 || w.number("SELECT value FROM IMProxyMute WHERE groupId=1 AND userId=2") != 1 {
		t.Errorf("the mute is lost: %+v", s)
	}
}

// TestReadsFewLargeGroupsAtATime reads groups in pages that have no more members than are asked
// for, or one group.
func TestReadsFewLargeGroupsAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.with()
	for _, members := range []int{1, 2, 5, 1, 1} {
		all := []uint32{1, 2, 3, 4, 5}
		_, err := p.Groups.Create(t.Context(), chat.NewGroup{Name: "g", Creator: 1,
			Type: chat.NormalGroup, Members: all[:members]}, 1000)
		w.must(err)
	}
	var pages []int
	for after := uint32(0); ; {
		rows, err := talk.GroupRows(t.Context(), p.records.DB(), after, 50, 4)
		w.must(err)
		if len(rows) == 0 {
			break
		}
		pages = append(pages, len(rows))
		after = rows[len(rows)-1].Talk.A
	}
	if want := []int{2, 1, 2}; !slices.Equal(pages, want) {
		t.Errorf("pages of %d groups, want %d", pages, want)
	}
}

// TestPassesOverWhatCannotBe takes over beside numbers that no count can be.
func TestPassesOverWhatCannotBe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("INSERT INTO IMRelationShip (smallId,bigId,status,created,updated)" +
		" VALUES (1,2,0,1,1),(3,4,0,1,1)")
	w.exec("INSERT INTO IMGroup (name,avatar,creator,type,userCnt,status,version,lastChated," +
		"updated,created) VALUES ('g','',1,1,2,0,1,0,1,1)")
	w.exec("INSERT INTO IMGroupMember (groupId,userId,status,created,updated)" +
		" VALUES (1,1,0,1,1),(1,2,0,1,1)")
	w.original("HSET unread_2 1 4294967295", "HSET unread_4 3 2",
		"HSET 1_im_group_msg count 4000000000", "SET msg_id_1 4294967295",
		"SET msg_id_2 2147483647", "SET group_msg_id_1 99999999999999",
		"SET device_3 ios:"+strings.Repeat("x", 5000))
	s, err := w.run(t.Context(), w.take())
	w.must(err)
	if s.Impossible != 3 || s.Unread != 1 || s.IDs != 0 || s.Tokens != 0 {
		t.Errorf("%+v", s)
	}
	p := w.without()
	same(t, "unread", p.unread(), []string{"4: pair 3-4 2"})
	if ids := p.store(true, to(1, 2), to(3, 4), in(1, 1)); !slices.Equal(ids, []uint32{1, 1, 1}) {
		t.Errorf("the first ids are %d", ids)
	}
}

// TestTheWayBackRefuses has it remove nothing while somebody else is connected.
func TestTheWayBackRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, copied := w.open(false)
	w.must(fleet.Set(t.Context(), store.DB(), fleet.InMySQL))
	w.original("HSET unread_2 1 9", "SET msg_id_1 900", "SET ours 1")
	stranger, err := net.Dial("tcp", w.redis.Addr())
	w.must(err)
	defer stranger.Close()
	_, err = stranger.Write([]byte("GET x\r\n"))
	w.must(err)
	_, err = stranger.Read(make([]byte, 100))
	w.must(err)
	keys, err := copied.KeysOfOriginals(t.Context())
	w.must(err)
	if len(keys) != 1 || keys[0].Keys != 2 || keys[0].Addr != w.redis.Addr()+"/0" {
		t.Errorf("keys of originals: %+v", keys)
	}
	removed, err := takeover.StartWithRedis(t.Context(), store, copied, false)
	if removed > 0 || chat.KindOf(err) != chat.NotAllowed ||
		!strings.Contains(err.Error(), stranger.LocalAddr().String()) {
		t.Errorf("%d keys were removed: %v", removed, err)
	}
	if is, err := fleet.Read(t.Context(), store.DB()); is != fleet.InMySQL {
		t.Errorf("proxies are to count %s: %v", is, err)
	}
	removed, err = takeover.StartWithRedis(t.Context(), store, copied, true)
	if removed != 2 || err != nil {
		t.Errorf("%d keys were removed by force: %v", removed, err)
	}
}

// TestTheWayBackBelievesNothing begins with Redis where proxies never counted there before, and
// something stands there.
func TestTheWayBackBelievesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, copied := w.open(false)
	w.must(fleet.Set(t.Context(), store.DB(), fleet.InMySQL))
	p := w.without()
	p.store(true, to(1, 2))
	w.original("HSET unread_2 1 9 3 9", "SET msg_id_1 900", "HSET dbproxy:{unread_2} epoch 2 1 9",
		"SET device_2 ios:x", "SET ours 1")
	removed, err := takeover.StartWithRedis(t.Context(), store, copied, false)
	if err != nil || removed != 4 {
		t.Errorf("%d keys were removed: %v", removed, err)
	}
	p = w.with()
	same(t, "unread", p.unread(), []string{"2: pair 1-2 1"})
	if ids := p.store(true, to(1, 2)); ids[0] != 2 {
		t.Errorf("the next id is %d", ids[0])
	}
	said := w.redis.Do(t, "KEYS", "ours")
	if kept, _ := said.AsStrSlice(); len(kept) != 1 {
		t.Error("a key of others was removed")
	}
	all, err := store.Marks(t.Context(), []string{"epoch:unread"})
	if err != nil || all["epoch:unread"] < 2 {
		t.Errorf("the epoch is %v: %v", all, err)
	}
}

// TestWhatWasReadCountsNoMoreOnceTheMarkIsSet: two run at once, and one of them waits for an answer
// while the other comes to its end and proxies without Redis go on. What the first has read is old.
func TestWhatWasReadCountsNoMoreOnceTheMarkIsSet(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		w := newWorld(t)
		w.with().store(true, to(1, 2), to(1, 2))
		w.original("HSET unread_2 1 5")
		first := w.take()
		first.Force = force
		_, _, _, err := first.Read(t.Context())
		w.must(err)
		_, err = w.run(t.Context(), w.take())
		w.must(err)
		after := w.without()
		after.store(true, chat.Draft{Talk: chat.PairTalk(1, 2), From: 2, Read: true})
		want := after.unread()
		if _, err := first.Apply(t.Context()); chat.KindOf(err) != chat.NotAllowed {
			t.Errorf("forced %t: %v", force, err)
		}
		same(t, "what is unread", after.unread(), want)
	}
}
