package order

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// moving is a fleet whose proxies are to count elsewhere.
type moving struct {
	original.Server
	redis *servers.Redis
}

// newMoving makes one on a Redis of its own. Its own connection to that counts as a proxy's.
func newMoving(t *testing.T) moving {
	t.Helper()
	f, redis := rig.NewRedisFleet(t)
	f.Redis.Exec(t, "CLIENT", "SETNAME", "dbproxy")
	return movingOn(t, f, redis)
}

// movingOn makes one of a fleet.
func movingOn(t *testing.T, f *rig.Fleet, redis *servers.Redis) moving {
	t.Helper()
	return moving{original.New(t, f), redis}
}

// with is the path of a configuration with Redis.
func (m moving) with() string { return rig.WriteConfig(m.T, m.Conf) }

// without is the path of one without.
func (m moving) without() string {
	conf := m.Conf
	conf.Redis = nil
	return rig.WriteConfig(m.T, conf)
}

// serve starts a proxy on a configuration, and connects to it.
func (m moving) serve(config string) (*harness.Proxy, *client.Client) {
	m.T.Helper()
	p := rig.StartWith(m.T, harness.Options{Config: config, Args: []string{"--wait"}})
	return p, rig.Dial(m.T, p)
}

// stop stops a proxy.
func (m moving) stop(p *harness.Proxy) {
	m.T.Helper()
	if err := p.Stop(rig.Within(m.T)); err != nil {
		m.T.Fatal(err)
	}
}

// migrate runs "dbproxy migrate" and returns what it says.
func (m moving) migrate(config string, args ...string) (string, error) {
	return harness.Run(rig.Within(m.T), rig.Binary, "",
		append([]string{"migrate", "--config", config, "--watch", "300ms"}, args...)...)
}

// must runs it, and has it say something.
func (m moving) must(want, config string, args ...string) {
	m.T.Helper()
	out, err := m.migrate(config, args...)
	if err != nil || !strings.Contains(out, want) {
		m.T.Fatalf("it does not say %q: %v\n%s", want, err, out)
	}
}

// refused has it refuse, and say why.
func (m moving) refused(config string, args []string, why ...string) {
	m.T.Helper()
	_, err := m.migrate(config, args...)
	for _, text := range why {
		if err == nil || !strings.Contains(err.Error(), text) {
			m.T.Errorf("%v does not say %q: %v", args, text, err)
		}
	}
}

// everything is a text that is another one when any row of the suite's or ours is, or any key.
func (m moving) everything() string {
	m.T.Helper()
	var out strings.Builder
	names, err := m.DB.Admin.QueryContext(rig.Within(m.T), "SHOW TABLES LIKE 'IM%'")
	if err != nil {
		m.T.Fatal(err)
	}
	var tables []string
	for names.Next() {
		var name string
		if err := names.Scan(&name); err != nil {
			m.T.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := names.Err(); err != nil {
		m.T.Fatal(err)
	}
	for _, name := range tables {
		var table string
		var sum int64
		row := m.DB.Admin.QueryRowContext(rig.Within(m.T), "CHECKSUM TABLE "+name)
		if err := row.Scan(&table, &sum); err != nil {
			m.T.Fatal(err)
		}
		fmt.Fprintln(&out, table, sum)
	}
	keys, err := m.Redis.Exec(m.T, "KEYS", "*").AsStrSlice()
	if err != nil {
		m.T.Fatal(err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		fmt.Fprintf(&out, "%s %q\n", key, m.Redis.Text(m.T, "DUMP", key))
	}
	return out.String()
}

// people are the users whom answers are about; the last ones are in no table.
var people = []uint32{1, 2, 3, 4, 5, 8, 9, 10, 4001}

// answers is what a proxy answers about pairs, groups, mutes and tokens of all people, one line for
// each answer.
func answers(t *testing.T, c *client.Client, groups ...uint32) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, user := range people {
		name := fmt.Sprint("user ", user, ": ")
		all[name+"unread"] = text(rig.Call[*impb.IMUnreadMsgCntRsp](t, c, rig.Unread(user)))
		all[name+"token"] = text(rig.Call[*impb.IMGetDeviceTokenRsp](t, c,
			&impb.IMGetDeviceTokenReq{UserId: []uint32{user}}))
		for _, peer := range people {
			if peer != user {
				all[fmt.Sprint(name, "page of ", peer)] = text(rig.Call[*impb.IMGetMsgListRsp](t, c,
					rig.Page(user, rig.Pair, peer, 0, 100)))
			}
		}
		for _, g := range groups {
			all[fmt.Sprint(name, "page of group ", g)] = text(rig.Call[*impb.IMGetMsgListRsp](t, c,
				rig.Page(user, rig.Group, g, 0, 100)))
			all[fmt.Sprint(name, "mute of group ", g)] = text(rig.Call[*impb.IMGroupGetShieldRsp](t,
				c, &impb.IMGroupGetShieldReq{GroupId: &g, UserId: []uint32{user}}))
		}
	}
	return all
}

func text(m proto.Message) string { return prototext.MarshalOptions{}.Format(m) }

// same fails the test where answers differ.
func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if before[name] != after[name] {
			t.Errorf("%s\nbefore: %s\n after: %s", name, before[name], after[name])
		}
	}
}

// byOriginals has originals do what they do, and some that no sound server does.
func (m moving) byOriginals() (group uint32) {
	t := m.T
	relation := m.Relate(1, 2)
	for i := range 3 {
		m.Send(relation, 1, 2, fmt.Sprint("to bob ", i))
	}
	m.Send(relation, 2, 1, "to alice")
	m.ReadPair(1, 2)
	m.Redis.Exec(t, "INCRBY", fmt.Sprint("msg_id_", relation), "5") // that were never stored
	removed := m.Relate(3, 4)
	m.Send(removed, 3, 4, "removed")
	m.Exec(t, "UPDATE IMRelationShip SET status=1 WHERE id=?", removed)
	m.Send(m.Relate(1, 4001), 4001, 1, "from a stranger")

	group = m.CreateGroup(1, 1, 2, 3)
	for i := range 4 {
		m.SendGroup(group, 1, fmt.Sprint("to all ", i))
	}
	m.Read(group, 2)
	m.SendGroup(group, 3, "once more")
	m.Add(group, 4)
	m.Redis.Exec(t, "HSET", fmt.Sprint("group_set_", group), "2_1", "1", "3_1", "0", "x", "y")
	m.SetToken(1, "of-alice")
	m.SetToken(2, "of-bob")

	// What cannot be.
	m.Redis.Exec(t, "HSET", "unread_5", "x", "1", "3", "-4", "9", "99999999999", "1", "many", "5",
		"6", "2", "7")
	m.Redis.Exec(t, "HSET", "unread_99999", "1", "3")
	m.Redis.Exec(t, "SET", "unread_8", "no hash")
	m.Redis.Exec(t, "SET", "device_8", "nowhere")
	m.Redis.Exec(t, "HSET", "device_9", "a", "hash")
	other := m.Relate(8, 9)
	m.Send(other, 8, 9, "and its id")
	m.Redis.Exec(t, "SET", fmt.Sprint("msg_id_", other), "4294967295")
	return group
}

// TestTakeOverFromOriginals has proxies count without Redis where only originals have counted, and
// a proxy at most read.
func TestTakeOverFromOriginals(t *testing.T) {
	t.Parallel()
	for _, read := range []bool{true, false} {
		m := newMoving(t)
		group := m.byOriginals()
		m.T.Logf("a proxy has read: %v", read)
		var before map[string]string
		if read {
			p, c := m.serve(m.with())
			before = answers(t, c, group)
			m.stop(p)
		}
		untouched := m.everything()
		m.must("\n--   unread    ", m.with(), "--without-redis", "--dry-run")
		original.WantEqual(t, "what there is after --dry-run", m.everything(), untouched)
		m.refused(m.with(), []string{"--without-redis"}, "--yes goes on")
		m.must("count without Redis now", m.with(), "--without-redis", "--yes")
		m.must("Nothing to do: ", m.with(), "--without-redis", "--yes")

		_, c := m.serve(m.without())
		if read {
			same(t, before, answers(t, c, group))
		}
		x := original.Beside(t, nil, c)
		x.WantUnread(2, 1, rig.Pair, 3)
		x.WantUnread(1, 2, rig.Pair, 0)
		x.WantUnread(2, group, rig.Group, 1)
		x.WantUnread(1, group, rig.Group, 1)
		x.WantUnread(4, group, rig.Group, 0)
		original.WantEqual(t, "the id after those never stored",
			x.Say(rig.PairText(1, 2, "next")), 10)
		x.WantUnread(2, 1, rig.Pair, 4)
		original.WantEqual(t, "the next id of the group",
			x.Say(rig.GroupText(2, group, "next")), 6)
		x.WantUnread(1, group, rig.Group, 2)
		x.WantUnread(2, group, rig.Group, 0)
		original.WantEqual(t, "the id where an original failed",
			x.Say(rig.PairText(9, 8, "next")), 2)
		original.CheckAll(t, c, 1000)
	}
}

// TestTakeOverFromMixedFleet does the same where proxies and originals have worked on the same
// talks, and goes back to Redis, where old keys stand.
func TestTakeOverFromMixedFleet(t *testing.T) {
	t.Parallel()
	m := newMoving(t)
	p, c := m.serve(m.with())
	x := original.Beside(t, m.Fleet, c)
	x.Say(rig.PairText(2, 1, "by a proxy"))
	group := m.byOriginals()
	x.Say(rig.PairText(1, 2, "by a proxy"))
	m.Send(1, 1, 2, "by an original")
	x.Say(rig.GroupText(2, group, "by a proxy"))
	lastInGroup := m.SendGroup(group, 1, "by an original")
	rig.Call[*impb.IMGroupShieldRsp](t, c, &impb.IMGroupShieldReq{UserId: proto.Uint32(1),
		GroupId: &group, ShieldStatus: proto.Uint32(1)})
	m.Redis.Exec(t, "HSET", fmt.Sprint("group_set_", group), "1_1", "0", "4_1", "1")
	ours := rig.Call[*impb.IMGroupCreateRsp](t, c, rig.NewGroup(5, 5, 8, 9)).GetGroupId()
	x.Say(rig.GroupText(5, ours, "by a proxy"))
	last := m.SendGroup(ours, 8, "by an original")
	x.Post(rig.ReadAck(9, rig.Group, ours))
	m.Read(ours, 5)
	rig.Call[*impb.IMGroupShieldRsp](t, c, &impb.IMGroupShieldReq{UserId: proto.Uint32(5),
		GroupId: &ours, ShieldStatus: proto.Uint32(1)})
	original.CheckAll(t, c, 1000)
	m.SetToken(2, "another-of-bob")
	m.ReadPair(2, 1)
	lastInPair := m.Send(1, 1, 2, "by an original")
	before := answers(t, c, group, ours)
	m.refused(m.with(), []string{"--without-redis", "--yes"}, "a proxy with Redis is alive at ")
	m.stop(p)
	m.must("count without Redis now", m.with(), "--without-redis", "--yes")

	p, c = m.serve(m.without())
	same(t, before, answers(t, c, group, ours))
	x = original.Beside(t, nil, c)
	next := x.Say(rig.PairText(1, 2, "without Redis"))
	original.WantEqual(t, "id in a pair", next, lastInPair+1)
	original.WantEqual(t, "id in a group", x.Say(rig.GroupText(1, group, "without Redis")),
		lastInGroup+1)
	original.WantEqual(t, "id in our group", x.Say(rig.GroupText(5, ours, "without Redis")), last+1)
	x.Post(rig.ReadAck(2, rig.Pair, 1))
	original.CheckAll(t, c, 2000)
	before = answers(t, c, group, ours)
	m.refused(m.with(), []string{"--with-redis", "--yes"}, "a proxy without Redis is alive at ")
	m.stop(p)

	stranger := rig.DialRedis(t, m.redis, 1)
	stranger.Exec(t, "GET", "msg_id_1")
	m.refused(m.with(), []string{"--with-redis", "--yes"}, "refused, and nothing was changed",
		"somebody else is connected")
	stranger.Close()

	// What stands in Redis is from another time, also where the records know nothing of it.
	m.Redis.Exec(t, "HSET", "unread_2", "1", "77", "3", "5")
	m.Redis.Exec(t, "HSET", "unread_1", "3", "5")
	m.Redis.Exec(t, "HSET", fmt.Sprintf("%d_im_group_msg", group), "count", "1000")
	m.Redis.Exec(t, "SET", "msg_id_1", "1000")
	m.Redis.Exec(t, "SET", "device_3", "ios:of-nobody")
	m.Redis.Exec(t, "SET", "dbproxy:epoch:unread", "1 7")
	untouched := m.everything()
	m.must("-- The keys in which originals count are removed", m.with(), "--with-redis",
		"--dry-run")
	m.must(fmt.Sprintf(" keys of %s/1\n", m.redis.Addr()), m.with(), "--with-redis", "--dry-run")
	original.WantEqual(t, "what there is after --dry-run", m.everything(), untouched)
	m.must("count in Redis now", m.with(), "--with-redis", "--yes")
	m.must("Nothing to do: ", m.with(), "--with-redis", "--yes")
	original.WantEqual(t, "a key from before", m.Redis.Text(t, "HGET", "unread_2", "1"), "")
	out, err := harness.Run(rig.Within(t), rig.Binary, "", "doctor", "--config", m.with(),
		"--before-original", "--repair", "--yes")
	if err != nil || !strings.Contains(out, "An original server may take over") {
		t.Errorf("an original may not take over: %v\n%s", err, out)
	}
	for _, key := range [][]string{{"GET", "msg_id_1"}, {"GET", "device_1"},
		{"HGET", fmt.Sprint("group_member_", group), "2"},
		{"HGET", fmt.Sprint("group_set_", ours), "5_1"},
		{"HGET", fmt.Sprint(group, "_im_group_msg"), "count"},
		{"HGET", "unread_1", "4001"}} {
		if m.Redis.Text(t, key...) == "" {
			t.Errorf("Redis has no %v", key)
		}
	}
	_, c = m.serve(m.with())
	same(t, before, answers(t, c, group, ours))
	x = original.Beside(t, m.Fleet, c)
	original.WantEqual(t, "id", x.Say(rig.PairText(1, 2, "with Redis again")), next+1)
	x.WantUnread(2, 1, rig.Pair, 1)
	original.WantEqual(t, "in Redis", m.Number("HGET", "unread_2", "1"), 1)
	original.CheckAll(t, c, 3000)
}

// TestTakeOverRefuses has it refuse while others may count in Redis.
func TestTakeOverRefuses(t *testing.T) {
	t.Parallel()
	m := newMoving(t)
	m.byOriginals()
	asked := []string{"--without-redis", "--yes"}
	m.refused(m.without(), asked, "names no Redis servers, so that nothing can be taken over")

	untouched := m.everything()
	stranger := rig.DialRedis(t, m.redis, 1)
	stranger.Exec(t, "GET", "msg_id_1")
	rig.DialRedis(t, m.redis, 2).Exec(t, "GET", "x") // of another database
	m.refused(m.with(), asked, "refused, and nothing was changed:\n  somebody else is connected",
		`without a name, whose last command was "get"`)
	original.WantEqual(t, "what there is", m.everything(), untouched)
	m.redis.Do(t, "ACL", "SETUSER", "default", "-client|list")
	m.refused(m.with(), asked, "it cannot be seen who is connected",
		"ACL SETUSER default")
	m.redis.Do(t, "ACL", "SETUSER", "default", "+client|list")
	stranger.Close()

	// Somebody who has no connection at the moment of the question, and a proxy of an earlier
	// version, by its beat.
	whileMoving := func(what string, move func()) {
		ctx, stop := context.WithCancel(t.Context())
		var moving sync.WaitGroup
		moving.Go(func() {
			for ctx.Err() == nil {
				move()
			}
		})
		m.refused(m.with(), asked, "somebody is at work on Redis", what)
		stop()
		moving.Wait()
	}
	for _, moves := range [][]string{{"HINCRBY", "unread_2", "1", "1"},
		{"INCRBY", "last_update_group", "1"}, {"APPEND", "device_2", "x"},
		{"INCRBY", "msg_id_1", "1"}} {
		whileMoving(moves[1], func() { m.Redis.Exec(t, moves...) })
	}
	whileMoving("the mark beat:unread", func() {
		m.Exec(t, "UPDATE IMProxyMark SET value=value+1 WHERE name='beat:unread'")
	})
	m.must("Passed over, as --force says: the configuration names no Redis servers", m.without(),
		"--without-redis", "--force", "--yes")
	m.refused(m.without(), []string{"--with-redis", "--yes"}, "names no Redis servers: name those")
	_, c := m.serve(m.without())
	original.CheckAll(t, c, 1000)
}

// TestTakeOverByForce takes over beside a stranger, and what one Redis of two knows.
func TestTakeOverByForce(t *testing.T) {
	t.Parallel()
	m := newMoving(t)
	m.byOriginals()
	m.Conf.More = append(m.Conf.More, "token_host=127.0.0.1", "token_port=1")
	rig.DialRedis(t, m.redis, 1).Exec(t, "GET", "x")
	m.refused(m.with(), []string{"--without-redis", "--yes"}, "cannot use Redis token at")
	ctx, stop := context.WithCancel(t.Context())
	var moving sync.WaitGroup
	moving.Go(func() {
		for ctx.Err() == nil {
			m.Redis.Exec(t, "INCRBY", "last_update_group", "1")
		}
	})
	out, err := m.migrate(m.with(), "--without-redis", "--yes", "--force")
	stop()
	moving.Wait()
	for _, said := range []string{"somebody else is connected", "Redis token (127.0.0.1:1",
		"somebody is at work on Redis, as 1 value moved within 300ms: last_update_group"} {
		if said = "Passed over, as --force says: " + said; strings.Count(out, said) != 1 {
			t.Errorf("it does not say %q once", said)
		}
	}
	if err != nil || t.Failed() {
		t.Fatalf("%v\n%s", err, out)
	}
	_, c := m.serve(m.without())
	original.Beside(t, nil, c).WantUnread(2, 1, rig.Pair, 3)
}

// TestTakeOverFromOtherKinds does it on a Cluster and behind Sentinels.
func TestTakeOverFromOtherKinds(t *testing.T) {
	t.Parallel()
	cluster, sentinel := servers.RedisCluster(t), servers.Sentinel(t)
	for kind, conf := range map[string]map[string]string{
		"Cluster": {"cluster": strings.Join(cluster.Addrs(), ";")},
		"Sentinel": {"sentinels": strings.Join(sentinel.Addrs(), ";"),
			"sentinel_master": servers.MasterName},
	} {
		f := rig.NewFleet(t)
		f.Conf.Redis = conf
		m := movingOn(t, f, nil)
		p, c := m.serve(m.with())
		original.CheckAll(t, c, 1000)
		x := original.Beside(t, f, c)
		x.Say(rig.PairText(1, 2, "text"))
		before := answers(t, c)
		m.stop(p)
		m.must("count without Redis now", m.with(), "--without-redis", "--yes")
		p, c = m.serve(m.without())
		same(t, before, answers(t, c))
		original.WantEqual(t, kind, original.Beside(t, f, c).Say(rig.PairText(1, 2, "text")), 2)
		m.stop(p)
		m.must("count in Redis now", m.with(), "--with-redis", "--yes")
		_, c = m.serve(m.with())
		original.Beside(t, f, c).WantUnread(2, 1, rig.Pair, 2)
		original.CheckAll(t, c, 2000)
	}
}
