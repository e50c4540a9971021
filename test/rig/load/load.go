// Package load is load for tests, and the audit of what it has left: a lines.Load whose lines do
// what message servers do, and note what they learn in a ledger. A Profile says how many lines do
// what, and what they must not see.
package load

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// Profile says what a load is made of, and what must hold.
type Profile struct {
	// How many lines there are that
	Pairs        int // send volleys to pairs
	Groups       int // send volleys to groups
	PairReaders  int // send one by one and ack, each in a pair of its own
	GroupReaders int // do the same in a group of their own
	Speakers     int // send voice messages
	Changers     int // have a user join a group, and leave it
	Lookers      int // ask for what is there

	Volley int           // messages at a time
	Rest   time.Duration // between two turns of a line
	// pairs that half of the messages to pairs go to, beside those of Pairs()
	MorePairs int

	// Strict says that everything is answered and stored, but for what was sent to the Victim.
	Strict bool
	// Exact says that readers see exactly what is unread, all the time.
	Exact bool
	// Own says that a page must have what was stored through the same proxy, and may lack for a
	// moment what was stored through another one.
	Own bool
	// Reconnect says that connections may be lost, and are made anew; Roam that this is to the next
	// proxy: see lines.Plan.
	Reconnect, Roam bool
	// Unsure says that Redis loses single keys: what is unread may be wrong for a moment.
	Unsure bool
	// Removed says that sessions of Pairs are removed meanwhile, with which all in them is read.
	Removed bool
	// Latest is how long an answer may take at most.
	Latest time.Duration
}

// Crash is load under which nothing fails but what a killed proxy was asked.
func Crash() Profile {
	// In the short form so few messages wait at a time that a machine with little time for them
	// serves them all before their time is over.
	return Profile{
		Pairs: 8, Groups: 4, PairReaders: 4, GroupReaders: 2,
		Volley: rig.InFull(24, 6), Strict: true, Exact: true, Latest: latest(),
	}
}

// Faults is load on what breaks: some of it may fail.
func Faults() Profile {
	return Profile{
		Pairs: 6, Groups: 3, PairReaders: 3, Lookers: 2,
		Volley: 8, Rest: 5 * time.Millisecond, Latest: latest(),
	}
}

// Mixed is load of all kinds, not so much of it that a machine has no time left.
func Mixed() Profile {
	return Profile{
		Pairs: 7, Groups: 3, PairReaders: 3, Speakers: 2, Changers: 2, Lookers: 3,
		Volley: 4, Rest: 120 * time.Millisecond, MorePairs: 200,
		Exact: true, Own: true, Reconnect: true, Roam: true, Latest: latest(),
	}
}

// latest is how long an answer may take at most. The short form runs where anything else may run,
// too: all that it can tell is what hangs.
func latest() time.Duration { return rig.InFull(rig.RequestLimit+5*time.Second, rig.Patience) }

const (
	// givenUpAfter is when a request that has no answer yet will have none: it has its
	// RequestLimit.
	givenUpAfter = rig.RequestLimit + 2*time.Second
	// overdue is when a refusal may be one for want of time. The short form puts it down to the
	// machine; what is refused earlier is refused for another reason.
	overdue = rig.RequestLimit - time.Second
	// stays is how long a line stays with a proxy that it came to when it lost another one.
	stays = 20 * time.Second
)

// Load is load on the proxies of a setup, and what is known of its outcome. It may run several
// times. Its fields belong to the test's goroutine; they must not be changed while it runs.
type Load struct {
	*lines.Load
	Profile
	W      *rig.Setup
	Sent   *audit.Ledger
	Groups []uint32        // made by the first Run: see someGroup
	Enough int             // messages that Around awaits before the fault, and after it
	Victim *harness.Proxy  // which is killed while the load runs; nil: none
	Limit  time.Duration   // how long a Run may take; 0: five times Patience
	Ctx    context.Context // of the last Run

	readers []*reader
	crowd   crowd
	again   atomic.Uint64 // makes texts of StartAgain unique

	started      time.Time     // the last Run
	begun, ended time.Time     // the fault
	Agreed       time.Duration // from the beginning of the last Audit until all counters agreed
	tolerated    int           // messages without an id that the machine had no time for
	victims      int           // messages that the victims did not answer
}

// New makes a load for the proxies of a setup, which need not run yet.
func New(w *rig.Setup, p Profile) *Load {
	l := &Load{Profile: p, W: w, Sent: audit.NewLedger(), Enough: 300}
	l.Sent.Gaps = !p.Strict // ids are reserved for what is not stored then
	for i := range uint32(p.PairReaders) {
		l.readers = append(l.readers, newReader(lines.PairTalk(3000+i, 4000+i), 3000+i, 4000+i))
	}
	l.Load = lines.New(lines.Plan{
		Ledger: l.Sent, GiveUp: givenUpAfter, Keep: true, Stay: stays, Lost: l.lost,
		InOrder: p.Strict,
		Text: func(line, serial uint64) string {
			return fmt.Sprintf("%s %d %d", rig.Secret, line, serial)
		},
	})
	return l
}

// lost says whether a line makes another connection when it has lost one.
func (l *Load) lost(addr string, err error) (again bool) {
	if !l.Reconnect && (l.Victim == nil || l.Victim.Addr != addr) {
		l.Sent.Fault(fmt.Sprintf("connection to %s: %v", addr, err))
	}
	return l.Reconnect
}

// prepare makes the groups before the first Run.
func (l *Load) prepare(t *testing.T) {
	t.Helper()
	if l.Groups != nil {
		return
	}
	c := l.W.Dial(t, 0)
	create := func(members ...uint32) uint32 {
		answer := rig.Call[*impb.IMGroupCreateRsp](t, c, rig.NewGroup(members[0], members...))
		if answer.GetResultCode() != 0 || answer.GetGroupId() == 0 {
			t.Fatalf("a group was not created: %v", answer)
		}
		return answer.GetGroupId()
	}
	for range 3 {
		l.Groups = append(l.Groups, create(append([]uint32{SilentMember}, Members...)...))
	}
	for i := range uint32(l.GroupReaders) {
		g := create(7000+i, 8000+i)
		l.readers = append(l.readers, newReader(lines.GroupTalk(g), 7000+i, 8000+i))
	}
	if l.Changers > 0 {
		l.crowd = crowd{group: create(1, 2, 3), members: []uint32{1, 2, 3},
			changing: []uint32{11, 12}}
	}
	l.W.Fleet.AwaitNodes(t)
}

// Find finds where the proxies are, which have been started anew.
func (l *Load) Find() { l.Point(l.addrs()...) }

func (l *Load) addrs() (addrs []string) {
	for _, p := range l.W.Proxies {
		addrs = append(addrs, p.Addr)
	}
	return addrs
}

// Run runs the load while meanwhile does whatever it does, and until everything is answered.
func (l *Load) Run(t *testing.T, meanwhile func(ctx context.Context)) {
	t.Helper()
	l.prepare(t)
	limit := max(l.Limit, 5*rig.Patience)
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit,
		fmt.Errorf("the load takes too long"))
	defer cancel()
	l.Ctx, l.started = ctx, time.Now()
	l.Load.Rest, l.Load.Roam = l.Profile.Rest, l.Profile.Roam
	l.Begin(ctx, l.addrs()...)
	l.work()
	meanwhile(ctx)
	l.Halt()
	l.awaitAnswers(t)
	l.Close()
	if l.Strict {
		l.auditFailures(t)
	}
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
}

// Around runs the load while fault does whatever it does, and until service is back.
func (l *Load) Around(t *testing.T, fault func(ctx context.Context)) {
	t.Helper()
	l.Run(t, func(ctx context.Context) {
		l.Await(ctx, l.Enough)
		l.begun = time.Now()
		fault(ctx)
		l.ended = time.Now()
		l.AwaitWithin(ctx, t, rig.Patience)
	})
}

// AwaitWithin waits until enough messages are stored.
func (l *Load) AwaitWithin(ctx context.Context, t *testing.T, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if l.Await(ctx, l.Enough); ctx.Err() != nil {
		t.Errorf("in %v fewer than %d messages were stored", limit, l.Enough)
	}
}

// awaitAnswers waits until all messages are answered, but those that lost their connection, and as
// many as the proxies say that nobody knows the outcome of. In a strict load it waits for answers
// to all requests. In one that makes up for proxies that were killed some messages may have no
// answer: those proxies say nothing.
func (l *Load) awaitAnswers(t *testing.T) {
	t.Helper()
	if l.Reconnect && l.Roam {
		l.AwaitAnswers(givenUpAfter)
		return
	}
	missing, uncertain := 0, 0
	for end := time.Now().Add(l.Latest); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if missing = l.Silent(); l.Strict {
			missing = l.Pending()
		}
		if missing == 0 {
			return
		}
		if uncertain = 0; !l.Strict {
			for _, p := range l.W.Proxies {
				uncertain += rig.Metric(t, p,
					`dbproxy_requests_total{command="IMMsgData",outcome="uncertain"}`)
			}
		}
		if missing <= uncertain {
			return
		}
	}
	if !l.Strict || rig.FullFaults() { // of the short form see auditFailures
		t.Errorf("%d requests are not answered; of %d messages the outcome is uncertain",
			missing, uncertain)
	}
}

// auditFailures sees that all messages of the last run were stored, but those to the victim. The
// short form puts down to the machine what it had no time for.
func (l *Load) auditFailures(t *testing.T) {
	t.Helper()
	l.Each(func(r *lines.Request) {
		late := !rig.FullFaults() && (r.Took >= overdue || r.Took == 0 && !r.Lost)
		switch {
		case r.Good || !r.Message() || r.Begun.Before(l.started):
		case r.Lost && l.Victim != nil && r.Addr == l.Victim.Addr:
			l.victims++
		case late:
			l.tolerated++
			l.Sent.Gaps = true // ids had been reserved for what was refused
		default:
			t.Errorf("%v: a message to %s was not stored: %+v", r.Talk, r.Addr, *r)
		}
	})
}

// StartAgain starts what does not run, and returns how long that took until each proxy has stored a
// message.
func (l *Load) StartAgain(t *testing.T) time.Duration {
	t.Helper()
	begun := time.Now()
	l.W.Start(t)
	k := Pairs[0]
	for i := range l.W.Proxies {
		req := rig.PairText(k.Low, k.High, fmt.Sprintf("%s again %d", rig.Secret, l.again.Add(1)))
		above := l.Sent.Highest(k)
		answer := rig.Submit(t, l.W.Dial(t, i), req)
		if answer.GetMsgId() <= above {
			t.Errorf("%v: id %d was given after id %d", k, answer.GetMsgId(), above)
		}
		l.Sent.Answered(k, answer)
	}
	return time.Since(begun)
}

// Victims is how many messages the victims did not answer.
func (l *Load) Victims() int { return l.victims }

// Tolerated is how many messages have no id because the machine had no time for them.
func (l *Load) Tolerated() int { return l.tolerated }

// Pairs are those that lines send to. Nobody acks what comes in them.
var Pairs = []lines.Talk{lines.PairTalk(5001, 6001), lines.PairTalk(5002, 6002),
	lines.PairTalk(5003, 6003), lines.PairTalk(5003, 6001), lines.PairTalk(5004, 6004)}

// Members are those who send to groups, and SilentMember is another one, who never does.
var (
	Members             = []uint32{9001, 9002, 9003, 9004}
	SilentMember uint32 = 9000
)

var zero = proto.Uint32(0)
