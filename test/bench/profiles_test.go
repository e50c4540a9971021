package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// quick are options for a test: a load that is over soon.
func (s *side) quick() bench.Options {
	o := s.options()
	o.Conns, o.InFlight, o.Warmup, o.For = 4, 4, 0, 150*time.Millisecond
	if rig.UnderRace { // which makes lists of 100 take longer than that
		o.InFlight, o.For = 1, 600*time.Millisecond
	}
	o.Timeout = rig.Patience
	return o
}

// newSide starts a proxy on an embedded store of its own.
func newSide(t *testing.T) (*side, *harness.Proxy, string) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	do(t, rig.Binary, "", "migrate", "--data", data)
	do(t, rig.Binary, company(), "user", "import", "-", "--data", data)
	p := rig.StartWith(t, harness.Options{Data: data})
	return &side{name: "embedded", addr: p.Addr}, p, data
}

// messages counts the messages in the store of a directory.
func messages(t *testing.T, data string) (n int) {
	t.Helper()
	db := rig.OpenStore(t, data)
	for i := range 8 {
		for _, table := range []string{"IMMessage", "IMGroupMessage"} {
			n += rig.Count(t, db, fmt.Sprintf("SELECT count(*) FROM %s_%d", table, i))
		}
	}
	return n
}

// picked are the profiles of these names.
func picked(t *testing.T, names ...string) []bench.Profile {
	t.Helper()
	profiles, err := bench.Pick(names)
	if err != nil {
		t.Fatal(err)
	}
	return profiles
}

// TestEveryProfile has each profile run, twice on the same store, and compares what was counted
// with what is stored.
func TestEveryProfile(t *testing.T) {
	s, _, data := newSide(t)
	all := picked(t, "all")
	s.prepare(t, s.quick(), all)
	// Of the 500 talks 26 are those of the ring, and 50 those of the circle.
	const filled = 50*25 + 5050*5 + 500 - 26 - 50
	if s.Filled.Texts != filled || s.Filled.Groups != 50 || s.Filled.Tokens != 50 {
		t.Errorf("filled %+v", s.Filled)
	}
	if n := messages(t, data); n != s.Filled.Texts {
		t.Errorf("%d texts are said to be filled, and %d are stored", s.Filled.Texts, n)
	}
	report := bench.NewReport(&s.Options, origin(t))
	for _, p := range all {
		before := messages(t, data)
		r := s.run(t.Context(), t, p)
		report.Results = append(report.Results, r)
		inFlight := int64(r.Conns * r.InFlight)
		stored, counted := int64(messages(t, data)-before), r.Answered
		switch {
		case p.Name == "mixed":
			if len(r.Kinds) != 6 || stored == 0 || stored > counted+inFlight {
				t.Errorf("mixed: %d stored, %+v", stored, r)
			}
		case p.Yardstick != "R":
			if stored != 0 {
				t.Errorf("%s stored %d messages", p.Name, stored)
			}
		case stored < counted || stored > counted+inFlight:
			t.Errorf("%s: %d texts were counted, and %d stored", p.Name, counted, stored)
		}
	}
	// What is there already is not written again, and what was sent since does not disturb.
	s.prepare(t, s.quick(), all)
	if want := (bench.Filled{Tokens: 50}); s.Filled != want {
		t.Errorf("filled again: %+v", s.Filled)
	}
	for _, p := range all {
		s.run(t.Context(), t, p)
	}
	checkPage(t, report)
	checkKeys(t, report)
}

// checkPage checks that the page of a report has all profiles, and refers to nothing outside.
func checkPage(t *testing.T, report *bench.Report) {
	t.Helper()
	var page strings.Builder
	if err := report.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"http:", "https:", "src=", "url(", "@import", "<script", "<link",
		"ZgotmplZ", "NaN", "Inf"} {
		if strings.Contains(page.String(), never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, r := range report.Results {
		if !strings.Contains(page.String(), `<section class="sheet" id="`+r.Profile+`">`) {
			t.Errorf("the page lacks %s", r.Profile)
		}
	}
	if n := strings.Count(page.String(), "<path d=\"M"); n != len(report.Results) {
		t.Errorf("the page has %d curves of %d profiles", n, len(report.Results))
	}
}

// checkKeys checks the keys of a report as JSON: programs rely on them.
func checkKeys(t *testing.T, report *bench.Report) {
	t.Helper()
	report.Measure(bench.Yardsticks{Rows: 1, Selects: 1, Pages: 1})
	report.Results[0].Limits = []string{"a limit"}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	keys("", all, found)
	want := []string{"addresses[]", "begun", "command", "filled.groups", "filled.texts",
		"filled.tokens", "go", "interrupted", "processors", "profiles[].answered",
		"profiles[].bytes", "profiles[].cause", "profiles[].connections", "profiles[].curve[].ms",
		"profiles[].curve[].percent", "profiles[].due", "profiles[].failed.lost",
		"profiles[].failed.missing", "profiles[].failed.refused", "profiles[].failed.wrong",
		"profiles[].in_flight", "profiles[].kinds[].latency_ms.max",
		"profiles[].kinds[].latency_ms.p50", "profiles[].kinds[].latency_ms.p90",
		"profiles[].kinds[].latency_ms.p99", "profiles[].kinds[].latency_ms.p99_9",
		"profiles[].kinds[].name", "profiles[].kinds[].per_second", "profiles[].latency_ms.max",
		"profiles[].latency_ms.p50", "profiles[].latency_ms.p90", "profiles[].latency_ms.p99",
		"profiles[].latency_ms.p99_9", "profiles[].limits[]", "profiles[].open",
		"profiles[].per_second", "profiles[].profile", "profiles[].rate", "profiles[].seconds",
		"profiles[].share", "profiles[].yardstick", "text_bytes", "users.first", "users.last",
		"version", "yardsticks.P", "yardsticks.R", "yardsticks.S", "yardsticks_measured[].P",
		"yardsticks_measured[].R", "yardsticks_measured[].S"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(found))); diff != "" {
		t.Error(diff)
	}
}

// keys finds the paths of all values.
func keys(path string, value any, found map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		for key, below := range value {
			keys(strings.TrimPrefix(path+"."+key, "."), below, found)
		}
	case []any:
		for _, below := range value {
			keys(path+"[]", below, found)
		}
	default:
		found[path] = true
	}
}

// TestForeignMessages has a message of somebody else in the store.
func TestForeignMessages(t *testing.T) {
	s, p, data := newSide(t)
	c := rig.Dial(t, p)
	rig.Submit(t, c, rig.PairText(7, 8, "a message of people"))
	_, err := bench.Prepare(t.Context(), s.quick(), picked(t, "page"))
	if !errors.Is(err, bench.ErrForeign) || !strings.Contains(fmt.Sprint(err), "user 7") &&
		!strings.Contains(fmt.Sprint(err), "user 8") {
		t.Errorf("a message of others: %v", err)
	}
	if n := messages(t, data); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
	o := s.quick()
	o.Users.First = 100 // the message is not between these
	s.prepare(t, o, picked(t, "page"))
	o = s.quick()
	o.Anyway = true
	s.prepare(t, o, picked(t, "page", "recent", "unread"))
	for _, p := range picked(t, "page", "recent", "unread") {
		s.run(t.Context(), t, p)
	}
}

// TestStandstill freezes a proxy for a second under a load in open loop: requests that were to be
// sent meanwhile count from then.
func TestStandstill(t *testing.T) {
	s, p, _ := newSide(t)
	o := s.quick()
	o.Rate, o.For = 200, 2*time.Second
	s.prepare(t, o, picked(t, "users"))
	frozen := make(chan struct{})
	go func() {
		defer close(frozen)
		rig.Pause(t.Context(), 300*time.Millisecond)
		signal(t, p, syscall.SIGSTOP)
		rig.Pause(t.Context(), time.Second)
		signal(t, p, syscall.SIGCONT)
	}()
	r := s.run(t.Context(), t, picked(t, "users")[0])
	<-frozen
	// Of 400 requests 200 were to be sent in that second; half of them had half of it before them.
	slow := 0.0
	for _, point := range r.Curve {
		if point.Took >= 500 {
			slow = 100 - point.Percent
			break
		}
	}
	if slow < 15 || r.Latency.Max < 900 {
		t.Errorf("%.0f %% of the requests took half a second, the slowest %v ms", slow,
			r.Latency.Max)
	}
}

// TestOverload wants more in open loop than any server can do: what it counts adds up, and the
// result says that a queue grew.
func TestOverload(t *testing.T) {
	s, _, _ := newSide(t)
	o := s.quick()
	o.Rate, o.Warmup, o.For = 500_000, 200*time.Millisecond, 300*time.Millisecond
	s.prepare(t, o, picked(t, "users"))
	r, err := s.Run(t.Context(), picked(t, "users")[0])
	if err != nil {
		t.Fatal(err)
	}
	if r.Due != r.Answered+r.Open+r.Failed.Sum() || r.Due < 150_000 || r.Due > 250_000 {
		t.Errorf("150,000 requests were due, and up to 100,000 of the warm-up: %+v", r)
	}
	if r.Answered > 0 && (!strings.Contains(r.Trouble(), "wanted 500,000 a second, reached ") ||
		r.Latency.Max == 0) {
		t.Errorf("an overloaded server: %s, %+v", r.Trouble(), r.Latency)
	}
}

// TestLateAnswers has a server answer 50 requests a second, of which more and more wait for longer
// than they may: it answers all the time, and is not said to be silent.
func TestLateAnswers(t *testing.T) {
	s, _, _ := newSide(t)
	o := s.quick()
	o.Conns, o.InFlight = 1, 100
	o.Timeout, o.For = 400*time.Millisecond, 2*time.Second
	s.prepare(t, o, picked(t, "users"))
	slow, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	go answerSlowly(t.Context(), slow)
	s.Addrs = []string{slow.Addr().String()}
	r, err := s.Run(t.Context(), picked(t, "users")[0])
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed.Missing == 0 || strings.Contains(r.Trouble(), "answers nothing any more") {
		t.Errorf("a server that answers late: %s", r.Trouble())
	}
}

// answerSlowly answers the requests of one connection with their headers, one each 20 ms.
func answerSlowly(ctx context.Context, l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	for {
		head := make([]byte, pdu.HeaderLen)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		length := int64(binary.BigEndian.Uint32(head)) - pdu.HeaderLen
		if _, err := io.CopyN(io.Discard, c, length); err != nil {
			return
		}
		rig.Pause(ctx, 20*time.Millisecond)
		binary.BigEndian.PutUint32(head, pdu.HeaderLen)
		if _, err := c.Write(head); err != nil {
			return
		}
	}
}

func signal(t *testing.T, p *harness.Proxy, s syscall.Signal) {
	if err := syscall.Kill(p.Pid(), s); err != nil {
		t.Error(err)
	}
}

// TestLimits has servers stop a load.
func TestLimits(t *testing.T) {
	s, p, data := newSide(t)
	o := s.quick()
	o.Timeout, o.For = 400*time.Millisecond, rig.Patience
	one := s.quick()
	one.Users.Last = 1
	s.prepare(t, one, picked(t, "users", "login"))
	run := func(o bench.Options, name string, fault func()) *bench.Result {
		t.Helper()
		ready := *s.Bench
		ready.Options = o
		time.AfterFunc(200*time.Millisecond, fault)
		r, err := ready.Run(t.Context(), picked(t, name)[0])
		if err != nil {
			t.Fatal(err)
		}
		return r
	}

	wrong := s.quick()
	wrong.Password = "wrong"
	before := messages(t, data)
	for range 2 { // and no more: 11 lock the name out
		_, err := bench.Prepare(t.Context(), wrong, picked(t, "mixed"))
		if err == nil || !strings.Contains(err.Error(), "bench1, who was to log in first: refused"+
			": the password is wrong") || messages(t, data) != before {
			t.Errorf("before a load with a wrong password: %v", err)
		}
	}
	s.prepare(t, one, picked(t, "users", "login")) // nobody is locked out
	r := run(wrong, "login", func() {})
	if r.Failed.Refused == 0 || r.Answered > 0 ||
		!strings.Contains(r.Cause, "password") && !strings.Contains(r.Cause, "locked out") {
		t.Errorf("logins with a wrong password: %+v", r)
	}

	_, err := bench.Prepare(t.Context(), one, picked(t, "login"))
	if err == nil || !strings.Contains(err.Error(), "dbproxy user unlock NAME") {
		t.Errorf("a login of one who is locked out: %v", err)
	}

	for _, rate := range []float64{0, 300} {
		o.Rate = rate
		r = run(o, "users", func() { signal(t, p, syscall.SIGSTOP) })
		signal(t, p, syscall.SIGCONT)
		if r.Failed.Missing+r.Failed.Lost == 0 || len(r.Limits) != 1 ||
			!strings.Contains(r.Limits[0], "4 of 4 connections") ||
			!strings.Contains(r.Limits[0], "answers nothing any more") {
			t.Errorf("rate %v, a frozen server: %+v", rate, r)
		}
	}

	o.Rate, o.Timeout = 0, rig.Patience
	r = run(o, "users", p.Kill)
	p.Kill() // waits until it is gone, which the load did not
	if r.Failed.Lost == 0 || !strings.Contains(strings.Join(r.Limits, ""), "the server closed it") {
		t.Errorf("a killed server: %+v", r)
	}
	if _, err := s.Run(t.Context(), picked(t, "users")[0]); err == nil ||
		!strings.Contains(err.Error(), "connection 1 of 4") {
		t.Errorf("nobody listens: %v", err)
	}
}

// TestInterrupted ends a load that has just begun.
func TestInterrupted(t *testing.T) {
	s, _, _ := newSide(t)
	o := s.quick()
	o.For = rig.Patience
	s.prepare(t, o, picked(t, "users"))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := s.Run(ctx, picked(t, "users")[0]); err == nil ||
		!strings.Contains(err.Error(), "interrupted") {
		t.Errorf("an interrupted load: %v", err)
	}
}

// TestOptions has options that are out of their bounds.
func TestOptions(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*bench.Options){
		"0 connections":            func(o *bench.Options) { o.Conns = 0 },
		"1,001 requests in flight": func(o *bench.Options) { o.InFlight = 1001 },
		"-1 requests a second":     func(o *bench.Options) { o.Rate = -1 },
		"0 seconds: it must be":    func(o *bench.Options) { o.For = 0 },
		"seconds of warm-up":       func(o *bench.Options) { o.Warmup = time.Hour },
		"4,097 bytes of text":      func(o *bench.Options) { o.Size = 4097 },
		"to wait for an answer":    func(o *bench.Options) { o.Timeout = 0 },
		"ids begin with 1":         func(o *bench.Options) { o.Users.First = 0 },
		"the last is not below":    func(o *bench.Options) { o.Users.Last = 0 },
		"are the most":             func(o *bench.Options) { o.Users.Last = 1_000_000 },
		"text-500 wants 1,000":     func(o *bench.Options) { o.Users.Last-- },
		"logins want":              func(o *bench.Options) { o.Password = "" },
		"more than a connection":   func(o *bench.Options) { o.InFlight, o.Size = 100, 4000 },
	} {
		o := (&side{}).options()
		change(&o)
		if err := o.Check(picked(t, "all")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
