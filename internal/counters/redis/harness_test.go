package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
	"github.com/teamtalk-go/dbproxy/test/rig/wait"
)

func TestMain(m *testing.M) {
	// A client of a Cluster closes connections to nodes that it does not need five seconds later,
	// also when it is closed.
	goleak.VerifyTestMain(servers.Around(m),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// patience is how long anything may take on a machine that has much else to do.
const patience = wait.Patience

// await polls until done.
var await = wait.Until

// patient is an instance with timeouts that a busy machine does not exceed.
func patient(i link.Instance) link.Instance {
	i.ConnectTimeout, i.CallTimeout = 20*time.Second, 20*time.Second
	return i
}

func at(r *servers.Redis) link.Instance { return patient(link.Instance{Addr: r.Addr()}) }

// all is one instance for everything, but members in a database of their own, as the suite is
// configured.
func all(i link.Instance) redis.Options {
	members := i
	if len(i.Cluster) == 0 {
		members.DB = 2
	}
	return redis.Options{Unread: i, GroupSet: i, Token: i, GroupMember: members}
}

// proxy is the records and their copy, as a proxy has them. Several may share a file and an
// instance.
type proxy struct {
	t *testing.T
	counters.Shared
	store *records.Store
	now   uint32
}

// proxyOn is a proxy on a copy, and on the records that open opens.
func proxyOn(
	t *testing.T, opt redis.Options, open func(records.Options) *records.Store,
) *proxy {
	t.Helper()
	opt.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{
		Level: slog.LevelDebug}))
	r, err := redis.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	store := open(records.Options{Log: opt.Log, Follower: r})
	r.Use(t.Context(), store)
	return &proxy{t, counters.Shared{Records: store, Copy: r}, store, uint32(time.Now().Unix())}
}

// newProxy is a proxy on the records in a file.
func newProxy(t *testing.T, path string, opt redis.Options) *proxy {
	t.Helper()
	return proxyOn(t, opt, func(opt records.Options) *records.Store {
		return testdb.OpenSQLite(t, path, opt)
	})
}

// fresh is a proxy on empty records.
func fresh(t *testing.T, opt redis.Options) *proxy {
	t.Helper()
	return newProxy(t, filepath.Join(t.TempDir(), "db"), opt)
}

// start is a proxy on an empty store and server.
func start(t *testing.T) (*proxy, *servers.Redis) {
	t.Helper()
	r := servers.StartRedis(t)
	return fresh(t, all(at(r))), r
}

// run has the proxy watch over the epochs until the test ends, or stop is called.
func (p *proxy) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = p.Copy.Run(ctx) }()
	stop = func() { cancel(); <-done }
	p.t.Cleanup(stop)
	return stop
}

// must ends the test if there is an error.
func (p *proxy) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// store one batch of drafts, and apply what it changed unless told not to.
func (p *proxy) append(drafts ...chat.Draft) (chat.Receipt, chat.Commit) {
	p.t.Helper()
	id := chat.NewCommitID()
	receipt, err := p.store.Append(p.t.Context(), chat.Batch{ID: id, Now: p.now, Drafts: drafts},
		p.Copy)
	p.must(err)
	for _, s := range receipt.Stored {
		p.must(s.Err)
	}
	return receipt, chat.Commit{ID: id, Changes: receipt.Changes}
}

// send stores drafts, one commit, and returns the ids.
func (p *proxy) send(drafts ...chat.Draft) (ids []uint32) {
	p.t.Helper()
	receipt, commit := p.append(drafts...)
	p.apply(commit)
	for _, s := range receipt.Stored {
		ids = append(ids, s.ID)
	}
	return ids
}

// apply has commits applied, as soon as Redis is there.
func (p *proxy) apply(commits ...chat.Commit) {
	p.t.Helper()
	await(p.t, "Redis", func() bool {
		err := p.Apply(p.t.Context(), commits)
		if err != nil && chat.KindOf(err) != chat.Unavailable {
			p.t.Fatal(err)
		}
		return err == nil
	})
}

func to(from, user uint32) chat.Draft {
	return chat.Draft{Talk: chat.PairTalk(from, user), From: from, Type: chat.PairText,
		Content: "x", Time: 1000}
}

func in(from, group uint32) chat.Draft {
	return chat.Draft{Talk: chat.GroupTalk(group), From: from, Type: chat.GroupText, Content: "x",
		Time: 1000}
}

func read(user uint32, talk chat.Talk) chat.Draft {
	return chat.Draft{Talk: talk, From: user, Read: true}
}

func (p *proxy) group(users ...uint32) uint32 {
	p.t.Helper()
	id, err := p.store.Create(p.t.Context(), chat.NewGroup{Name: "g", Creator: users[0],
		Type: chat.NormalGroup, Members: users}, p.now)
	p.must(err)
	return id
}

// parted takes pairs, which come first, and groups apart.
func parted(counts []chat.Count) (pairs, groups []chat.Count) {
	n := slices.IndexFunc(counts, func(c chat.Count) bool { return c.Talk.Kind == chat.Group })
	if n < 0 {
		n = len(counts)
	}
	return counts[:n], counts[n:]
}

// unreadOf is all that a user has unread, such as "2:5 group 1:3", in the order of the answer,
// pairs sorted.
func (p *proxy) unreadOf(user uint32) string {
	p.t.Helper()
	unread, err := p.Unread(p.t.Context(), []uint32{user, 999_999})
	p.must(err)
	pairs, groups := parted(unread[user])
	slices.SortFunc(pairs, func(a, b chat.Count) int {
		return chat.CompareAsText(a.Talk.Peer(user), b.Talk.Peer(user))
	})
	var out []string
	sum := uint32(0)
	for _, c := range pairs {
		out = append(out, fmt.Sprintf("%d:%d", c.Talk.Peer(user), c.Unread))
		sum += c.Unread
	}
	for _, c := range groups {
		out = append(out, fmt.Sprintf("group %d:%d", c.Talk.A, c.Unread))
		sum += c.Unread
	}
	totals, err := p.UnreadTotals(p.t.Context(), []uint32{user, 999_999})
	p.must(err)
	if totals[user] != sum {
		p.t.Errorf("the total of user %d is %d, of the parts %d", user, totals[user], sum)
	}
	return strings.Join(out, " ")
}

func (p *proxy) wantUnread(user uint32, want string) {
	p.t.Helper()
	if got := p.unreadOf(user); got != want {
		p.t.Errorf("user %d has unread %q, want %q", user, got, want)
	}
}

// other is what an original server does, or a look at what it would see.
type other struct {
	*testing.T
	client rueidis.Client
}

func originalAt(t *testing.T, i link.Instance) other {
	t.Helper()
	opt := rueidis.ClientOption{InitAddress: []string{i.Addr}, SelectDB: i.DB, DisableCache: true,
		ForceSingleClient: true, ClientSetInfo: rueidis.DisableClientSetInfo}
	if len(i.Cluster) > 0 {
		opt.InitAddress, opt.ForceSingleClient = i.Cluster, false
	}
	c, err := rueidis.NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return other{t, c}
}

// do executes one command on a key.
func (o other) do(name, key string, args ...string) rueidis.RedisResult {
	o.T.Helper()
	r := o.client.Do(o.T.Context(), o.client.B().Arbitrary(name).Keys(key).Args(args...).Build())
	if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
		o.T.Fatalf("%s %s %v: %v", name, key, args, err)
	}
	return r
}

// keys are all keys that are not the proxy's own, "KEY=VALUE" and "KEY FIELD=VALUE", sorted. Times
// within a minute of now are shown as NOW.
func (o other) keys() string {
	o.T.Helper()
	var out []string
	for _, node := range o.client.Nodes() {
		names, err := node.Do(o.T.Context(), node.B().Keys().Pattern("*").Build()).AsStrSlice()
		if err != nil {
			o.T.Fatal(err)
		}
		for _, key := range names {
			if strings.HasPrefix(key, "dbproxy:") || strings.HasPrefix(key, "total_user_update") {
				continue
			}
			s, err := node.Do(o.T.Context(), node.B().Get().Key(key).Build()).ToString()
			if err == nil {
				out = append(out, key+"="+when(s))
				continue
			}
			fields, err := node.Do(o.T.Context(), node.B().Hgetall().Key(key).Build()).AsStrMap()
			if err != nil {
				o.T.Fatal(err)
			}
			for _, f := range slices.Sorted(maps.Keys(fields)) {
				out = append(out, key+" "+f+"="+when(fields[f]))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func when(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if d := time.Since(time.Unix(n, 0)).Abs(); err == nil && d < 10*time.Minute {
		return "NOW"
	}
	return s
}

func (o other) want(want string) {
	o.T.Helper()
	if got := o.keys(); got != sortedLines(want) {
		o.T.Errorf("Redis has\n%s\nwant\n%s", got, sortedLines(want))
	}
}

// await is want for what comes when things are asked for, but not at once on a busy machine: after
// a connection that broke, the records are asked for a while.
func (o other) await(want string, ask func()) {
	o.T.Helper()
	end := time.Now().Add(time.Minute)
	for ; o.keys() != sortedLines(want) &&
		time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ask()
	}
	o.want(want)
}

func sortedLines(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
