package checkup_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// checkOne checks one instance, for everything.
func checkOne(t *testing.T, i link.Instance) []checkup.Finding {
	t.Helper()
	subjects := checkup.CheckRedis(t.Context(), all(i).Uses(), nil)
	if len(subjects) != 1 || subjects[0].Name != "Redis unread, group_set, token, group_member" ||
		subjects[0].Where != i.String() {
		t.Fatalf("%+v", subjects)
	}
	return subjects[0].Findings
}

// wantFinding fails the test unless what was found of an item has that grade and says those words.
func wantFinding(
	t *testing.T, findings []checkup.Finding, item string, grade checkup.Grade, words ...string,
) {
	t.Helper()
	at := slices.IndexFunc(findings, func(f checkup.Finding) bool {
		return f.Item == item && f.Grade == grade
	})
	if at < 0 {
		t.Errorf("%s is not %v among %+v", item, grade, findings)
		return
	}
	f := findings[at]
	for _, w := range words {
		if !strings.Contains(f.Text+"\n"+f.Mend, w) {
			t.Errorf("%s: nothing of %q in %q, %q", item, w, f.Text, f.Mend)
		}
	}
	if (f.Mend == "") != (grade == checkup.Good) {
		t.Errorf("%s is %v, and to be mended by %q", item, grade, f.Mend)
	}
}

func TestCheckOfARedisThatIsAsItShouldBe(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--appendonly", "yes")
	r.Do(t, "SET", "msg_id_1", "7")
	for _, f := range checkOne(t, redisAt(r)) {
		if f.Grade != checkup.Good {
			t.Errorf("%+v", f)
		}
	}
	found := checkOne(t, redisAt(r))
	for _, item := range []string{"reachable", "version", "role", "eviction", "persistence",
		"clock", "rights"} {
		wantFinding(t, found, item, checkup.Good)
	}
	wantFinding(t, found, "keys", checkup.Good, "in database 0")
	wantFinding(t, found, "shared", checkup.Good, "token")
	size := r.Do(t, "DBSIZE")
	if n, err := size.AsInt64(); n != 1 || err != nil {
		t.Errorf("afterwards it has %d keys, %v", n, err)
	}
}

func TestCheckOfARedisFindsEachSetting(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	wantFinding(t, checkOne(t, redisAt(r)), "persistence", checkup.Doubtful, "appendonly yes")
	r.Do(t, "CONFIG", "SET", "save", "3600 1")
	wantFinding(t, checkOne(t, redisAt(r)), "persistence", checkup.Good, "3600 1")
	r.Do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	wantFinding(t, checkOne(t, redisAt(r)), "eviction", checkup.Doubtful, "noeviction")
	r.Do(t, "CONFIG", "SET", "maxmemory", "1gb")
	wantFinding(t, checkOne(t, redisAt(r)), "eviction", checkup.Doubtful, "1024 MiB", "noeviction")
	r.Do(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	wantFinding(t, checkOne(t, redisAt(r)), "eviction", checkup.Good)
	r.Do(t, "CONFIG", "SET", "maxmemory", "1mb")
	found := checkOne(t, redisAt(r))
	wantFinding(t, found, "eviction", checkup.Doubtful, "raise maxmemory")
	wantFinding(t, found, "writes", checkup.Wrong, "OOM", "raise maxmemory")
	r.Do(t, "CONFIG", "SET", "maxmemory", "0")

	behind := func() time.Time { return time.Now().Add(-time.Hour) }
	subjects := checkup.CheckRedis(t.Context(), []redis.Use{{Role: "token", At: redisAt(r)}},
		behind)
	wantFinding(t, subjects[0].Findings, "clock", checkup.Doubtful, "ahead of ours", "NTP")

	other := redisAt(r)
	other.DB = 3
	elsewhere := redisAt(r)
	elsewhere.Username = "default"
	subjects = checkup.CheckRedis(t.Context(), []redis.Use{
		{Role: "unread", At: redisAt(r)}, {Role: "token", At: other},
		{Role: "group_set", At: elsewhere},
	}, nil)
	wantFinding(t, subjects[0].Findings, "shared", checkup.Good, "token", "database 3")
	wantFinding(t, subjects[2].Findings, "shared", checkup.Good,
		"the same database as that of unread")

	master := servers.StartRedis(t)
	host, port, _ := net.SplitHostPort(master.Addr())
	r.Do(t, "REPLICAOF", host, port)
	wantFinding(t, checkOne(t, redisAt(r)), "role", checkup.Wrong, master.Addr(), "unread_host")
	r.Do(t, "CONFIG", "SET", "replica-read-only", "no")
	wantFinding(t, checkOne(t, redisAt(r)), "role", checkup.Doubtful, "loses them")
}

func TestCheckFindsWhatAnACLForbids(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	user := redisAt(r)
	user.Username, user.Password = "proxy", "secret"
	acl := func(rules ...string) []checkup.Finding {
		t.Helper()
		r.Do(t, append([]string{"ACL", "SETUSER", "proxy", "reset", "on", ">secret"}, rules...)...)
		return checkOne(t, user)
	}
	wantFinding(t, acl("~*", "+@all"), "rights", checkup.Good)
	wantFinding(t, acl("~*", "+@read", "+@write", "+@scripting", "+@connection", "+info", "+time",
		"+config|get"), "rights", checkup.Good)
	wantFinding(t, acl("~*", "+@all"), "rights", checkup.Good, "all commands")
	// the script is known by now, and may be forgotten
	for _, one := range []string{"-eval", "-evalsha"} {
		wantFinding(t, acl("~*", "+@all", one), "rights", checkup.Wrong, "scripts",
			"ACL SETUSER proxy")
	}
	wantFinding(t, acl("~*", "+@all", "-eval", "-evalsha"), "rights", checkup.Wrong, "scripts",
		"ACL SETUSER proxy")
	wantFinding(t, acl("~*", "+@all", "-hmget"), "rights", checkup.Wrong, "HMGET")
	wantFinding(t, acl("~*", "+@all", "-hset"), "rights", checkup.Wrong, "scripts")
	wantFinding(t, acl("~dbproxy:*", "~unread_*", "~device_*", "~group_m*", "~*_im_*", "~*_update*",
		"+@all"), "rights", checkup.Wrong,
		"not allowed: msg_id_0, group_set_0")
	found := acl("~*", "+@all", "-info", "-time")
	wantFinding(t, found, "settings", checkup.Doubtful, "INFO")
	wantFinding(t, found, "clock", checkup.Doubtful)
	wantFinding(t, found, "rights", checkup.Good)
}

func TestCheckSaysWhyARedisCannotBeReached(t *testing.T) {
	t.Parallel()
	unreachable := func(i link.Instance, words ...string) {
		t.Helper()
		found := checkOne(t, i)
		wantFinding(t, found, "reachable", checkup.Wrong, words...)
		if len(found) > 3 {
			t.Errorf("and more: %+v", found)
		}
	}
	r := servers.StartRedis(t, "--requirepass", "secret")
	unreachable(redisAt(r), "NOAUTH", "unread_password")
	wrong := redisAt(r)
	wrong.Password = "wrong"
	unreachable(wrong, "WRONGPASS", "unread_password", r.Addr())
	high := redisAt(r)
	high.Password, high.DB = "secret", 99
	unreachable(high, "DB index", "unread_db")
	cluster := redisAt(r)
	cluster.Password, cluster.Addr, cluster.Cluster = "secret", "", []string{r.Addr()}
	wantFinding(t, checkOne(t, cluster), "role", checkup.Doubtful, "no Cluster", "unread_host")
	unreachable(patient(link.Instance{Addr: "no-such-host.invalid:6379"}), "no-such-host.invalid",
		"unread_host")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	unreachable(patient(link.Instance{Addr: ln.Addr().String()}),
		"nothing listens at "+ln.Addr().String(), "unread_port")
	unreachable(patient(link.Instance{Sentinels: []string{ln.Addr().String()},
		SentinelMaster: "m"}), "nothing listens", "unread_sentinels")

	r.Freeze(t)
	frozen := redisAt(r)
	frozen.ConnectTimeout, frozen.CallTimeout = 50*time.Millisecond, 50*time.Millisecond
	unreachable(frozen, "no answer", "2.05s", "unread_call_timeout")
}

func TestCheckOfACluster(t *testing.T) {
	t.Parallel()
	c := servers.RedisCluster(t)
	found := checkOne(t, patient(link.Instance{Cluster: c.Addrs()}))
	for _, item := range []string{"reachable", "version", "role", "eviction", "cluster", "rights"} {
		wantFinding(t, found, item, checkup.Good)
	}
	c.Nodes[1].Do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	wantFinding(t, checkOne(t, patient(link.Instance{Cluster: c.Addrs()})), "eviction",
		checkup.Doubtful, c.Nodes[1].Addr())
	found = checkOne(t, redisAt(c.Nodes[0]))
	wantFinding(t, found, "role", checkup.Wrong, "unread_cluster")
	second := redisAt(c.Nodes[0])
	second.DB = 2
	wantFinding(t, checkOne(t, second), "reachable", checkup.Wrong, "unread_cluster")
}

func TestCheckOfSentinels(t *testing.T) {
	t.Parallel()
	g := servers.Sentinel(t)
	i := patient(link.Instance{Sentinels: g.Addrs(), SentinelMaster: servers.MasterName})
	found := checkOne(t, i)
	wantFinding(t, found, "sentinels", checkup.Good, "all 3")
	wantFinding(t, found, "role", checkup.Good, "master")
	wantFinding(t, found, "rights", checkup.Good)
	i.SentinelMaster = "none"
	found = checkOne(t, i)
	wantFinding(t, found, "sentinels", checkup.Wrong, "No such master", "unread_sentinel_master")
	wantFinding(t, found, "reachable", checkup.Wrong)
}
