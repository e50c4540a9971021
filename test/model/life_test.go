package model_test

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// TestEveryAnswerIsAsTheModelSays has a company live at random. On MySQL two proxies
// serve it, and things happen that nobody should notice: Redis loses everything, a proxy is started
// anew.
//
// A failure is shrunk to the fewest requests, which are logged; rapid says how to run them again.
// FAULTS=full runs it for long.
func TestEveryAnswerIsAsTheModelSays(t *testing.T) {
	for _, on := range []struct {
		name        string
		engine      func(*testing.T) engine
		short, full int // lives
	}{{"embedded", newEmbedded, 20, 2000}, {"mysql", newShared, 10, 500},
		{"mysql without redis", newWithoutRedis, 6, 300}} {
		t.Run(on.name, func(t *testing.T) {
			lives := on.short
			if os.Getenv("FAULTS") == "full" {
				lives = on.full
			}
			number(t, lives)
			e := on.engine(t)
			rapid.Check(t, func(t *rapid.T) { live(t, e) })
		})
	}
}

// number sets how many checks rapid does, unless it is told by a flag.
func number(t *testing.T, checks int) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) {
		given = given || f.Name == "rapid.checks" || f.Name == "rapid.failfile"
	})
	if given {
		return
	}
	f := flag.Lookup("rapid.checks")
	must(t, f.Value.Set(strconv.Itoa(checks)))
	t.Cleanup(func() { must(t, f.Value.Set(f.DefValue)) })
}

// life is a company, its proxies, and the model of it.
type life struct {
	draw
	engine  engine
	clock   atomic.Int64 // Unix seconds
	log     *slog.Logger
	proxies []*proxy
	ctx     context.Context
}

// noon is when lives begin, or in the evening.
var noon = time.Date(2024, 5, 6, 12, 0, 0, 0, time.UTC).Unix()

const untilNight = 10*3600 - 30 // seconds

func live(t *rapid.T, e engine) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	begin := noon
	if one(draw{T: t}, "evening", false, true) {
		begin += untilNight
	}
	l := &life{draw: draw{t, newModel(uint32(begin)), new(int)}, engine: e, ctx: ctx}
	l.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	l.clock.Store(begin)
	l.must(e.clear())
	l.fill(e.office())
	defer func() {
		for _, p := range l.proxies {
			l.must(p.end())
		}
	}()
	for range e.proxies() {
		l.start()
	}
	for _, typ := range []impb.GroupType{impb.GroupType_GROUP_TYPE_NORMAL,
		impb.GroupType_GROUP_TYPE_TMP} {
		l.ask(&impb.IMGroupCreateReq{
			UserId: &people[0], GroupType: &typ, GroupName: new("group"), GroupAvatar: new(""),
			MemberIdList: people[:4],
		})
	}
	t.Repeat(l.actions())
	l.survey()
}

func (l *life) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *life) now() time.Time { return time.Unix(l.clock.Load(), 0).UTC() }

func (l *life) start() {
	p, err := openProxy(l.engine, l.now, l.log)
	l.must(err)
	l.proxies = append(l.proxies, p)
}

// actions are what may happen; what has several names happens more often.
func (l *life) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"time passes":             func(*rapid.T) { l.pass() },
		"time passes, again":      func(*rapid.T) { l.pass() },
		"many at once":            func(*rapid.T) { l.together(l.burst(), nil) },
		"many at once, again":     func(*rapid.T) { l.together(l.burst(), nil) },
		"the sync passes":         func(*rapid.T) { l.syncGroups() },
		"the office hires":        func(*rapid.T) { l.hire(l.engine.office()) },
		"the office founds":       func(*rapid.T) { l.found(l.engine.office()) },
		"the office removes":      func(*rapid.T) { l.removed() },
		"much is read at once":    func(*rapid.T) { l.readAndCount() },
		"a proxy is started anew": func(*rapid.T) { l.restart() },
		"somebody guesses":        func(*rapid.T) { l.guess() },
	}
	for name := range requests {
		all[name] = func(*rapid.T) { l.ask(l.request(name)) }
	}
	for _, name := range []string{
		"IMMsgData", "IMMsgDataReadAck", "IMGroupChangeMemberReq", "IMUnreadMsgCntReq",
		"IMRecentContactSessionReq", "IMGetMsgListReq",
	} {
		all[name+", again"] = all[name]
	}
	all["IMMsgData, and again"] = all["IMMsgData"]
	if lose := l.engine.lose(); lose != nil {
		all["all is lost"] = func(*rapid.T) {
			l.Logf("Redis loses all it has")
			lose()
			l.m.forget()
		}
		all["all is lost meanwhile"] = func(*rapid.T) { l.together(withoutLogins(l.burst()), lose) }
	}
	return all
}

// forget is when failed logins are forgotten.
func (m *model) forget() { clear(m.failed) }

// withoutLogins leaves out those requests whose answers a loss may change: failed logins are in
// Redis alone.
func withoutLogins(reqs []proto.Message) (rest []proto.Message) {
	for _, req := range reqs {
		if _, login := req.(*impb.IMValidateReq); !login {
			rest = append(rest, req)
		}
	}
	return rest
}

func (l *life) pass() {
	l.passes(one[uint32](l.draw, "seconds", 1, 2, 30, 61, 600, 1799, 1800, 1801, 7*3600))
}

// removed has the office remove a message, which is known a second later.
func (l *life) removed() {
	l.remove(l.engine.office())
	l.passes(2)
}

func (l *life) passes(seconds uint32) {
	l.clock.Add(int64(seconds))
	l.m.now += seconds
	l.Logf("%d seconds pass", seconds)
}

// guess is a series of wrong logins.
func (l *life) guess() {
	req := l.login().(*impb.IMValidateReq)
	var reqs []proto.Message
	for range rapid.IntRange(8, 12).Draw(l.T, "tries") {
		reqs = append(reqs, proto.Clone(req))
	}
	l.together(reqs, nil)
}

// readAndCount has a user read talks, and asks what is left meanwhile.
func (l *life) readAndCount() {
	user := l.user()
	var reqs []proto.Message
	for range rapid.IntRange(1, 4).Draw(l.T, "reads") {
		kind := l.kind()
		reqs = append(reqs, &impb.IMMsgDataReadAck{UserId: user, SessionType: kind,
			SessionId: l.peer(kind), MsgId: new(uint32(1))})
	}
	reqs = append(reqs, l.count(user))
	p := l.any()
	l.begin(reqs, func(proto.Message) *proxy { return p }, nil)
}

func (l *life) restart() {
	i := rapid.IntRange(0, len(l.proxies)-1).Draw(l.T, "proxy")
	l.Logf("proxy %d is started anew", i)
	p := l.proxies[i]
	l.proxies = append(l.proxies[:i], l.proxies[i+1:]...)
	l.must(p.end())
	l.start()
}

func (l *life) syncGroups() {
	l.m.syncGroups()
	l.Logf("a pass of the group sync")
	l.must(l.any().syncGroups())
}

// any is the proxy that comes next.
func (l *life) any() *proxy {
	return l.proxies[rapid.IntRange(0, len(l.proxies)-1).Draw(l.T, "proxy")]
}

// ask makes a request and compares the answers.
func (l *life) ask(req proto.Message) {
	c, err := l.any().begin(l.ctx, req)
	l.must(err)
	l.compare(req, c, l.m.answer(req))
}

// together makes requests without waiting for any answer; meanwhile, if not nil, is called when
// they are pending. Those of a lane go to the same proxy.
func (l *life) together(reqs []proto.Message, meanwhile func()) {
	chosen := make(map[string]*proxy)
	l.begin(reqs, func(req proto.Message) *proxy {
		lane := laneOf(req)
		if chosen[lane] == nil {
			chosen[lane] = l.any()
		}
		return chosen[lane]
	}, meanwhile)
}

// begin is together with a choice of proxies.
func (l *life) begin(reqs []proto.Message, of func(proto.Message) *proxy, meanwhile func()) {
	chosen := make([]*proxy, len(reqs))
	want := make([]proto.Message, len(reqs))
	for i, req := range reqs {
		chosen[i] = of(req)
		want[i] = l.m.answer(req)
	}
	begun := make([]<-chan answered, len(reqs))
	for i, req := range reqs {
		var err error
		begun[i], err = chosen[i].begin(l.ctx, req)
		l.must(err)
	}
	if meanwhile != nil {
		l.Logf("meanwhile Redis loses all it has")
		meanwhile()
		l.m.forget()
	}
	for i, req := range reqs {
		l.compare(req, begun[i], want[i])
	}
}

// survey asks for everything.
func (l *life) survey() {
	for _, p := range l.proxies {
		for _, req := range everything(l.m) {
			c, err := p.begin(l.ctx, req)
			l.must(err)
			l.compare(req, c, l.m.answer(req))
		}
	}
}

func (l *life) compare(req proto.Message, c <-chan answered, want proto.Message) {
	l.Helper()
	got, err := answer(l.ctx, req, c)
	l.Logf("%s: %v", req.ProtoReflect().Descriptor().Name(), req)
	if err != nil {
		l.Fatal(err)
	}
	if recent, ok := got.(*impb.IMRecentContactSessionRsp); ok {
		sortSessions(recent.ContactSessionList)
		sortSessions(want.(*impb.IMRecentContactSessionRsp).ContactSessionList)
	}
	switch {
	case want == nil && got != nil:
		l.Fatalf("answered %v, want no answer", got)
	case want != nil && got == nil:
		l.Fatalf("no answer, want %v", want)
	case want != nil && !proto.Equal(got, want):
		l.Fatalf("(-want +got)\n%s", cmp.Diff(want, got, protocmp.Transform()))
	}
}
