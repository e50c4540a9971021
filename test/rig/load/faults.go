package load

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
)

// AwaitWithin waits until so many more messages were stored, which must be before so long.
func (l *Faults) AwaitWithin(
	ctx context.Context, t *testing.T, stored int64, limit time.Duration,
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if l.Await(ctx, stored); ctx.Err() != nil {
		t.Errorf("in %v fewer than %d messages were stored", limit, stored)
	}
}

// CheckRefused sees that fewer than 1 in 100 messages were refused, but for those of connections to
// the proxy at first whose node was gone.
func (l *Faults) CheckRefused(t *testing.T, first string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	stored, refused := 0, 0
	for _, a := range l.tries {
		switch {
		case l.visits[a.line].addr == first && a.begun.After(l.begun) && a.begun.Before(l.ended):
		case a.id != 0:
			stored++
		case a.took != 0:
			refused++
		}
	}
	t.Logf("%d messages were stored and %d refused, those to the proxy aside whose node was gone",
		stored, refused)
	if refused*100 >= stored {
		t.Errorf("%d messages were refused, %d stored", refused, stored)
	}
}

// What the load of the fault tests is made of.
const (
	volleyConns  = 6 // connections that send to pairs, many messages at a time
	groupVolleys = 3 // the same to groups
	volley       = 8 // messages at a time
	faultReaders = 3 // users who read a pair and ack, one by one
	faultLookers = 2 // connections that ask
	givenUpAfter = rig.RequestLimit + 2*time.Second
)

// LatestAnswer is how long an answer may take at most. The short form runs where anything else may run, too: all that it
// can tell is what hangs.
func LatestAnswer() time.Duration { return rig.InFull(rig.RequestLimit+5*time.Second, rig.Patience) }

// Faults is load that goes on while something breaks, and what is known of its outcome.
type Faults struct {
	w       *rig.Setup
	Sent    *audit.Ledger
	groups  []uint32
	readers []*faultReader

	// Reconnect says that connections may be lost, and are made anew.
	Reconnect bool
	Enough    int64         // messages stored before the fault, and after it
	Rest      time.Duration // between two turns of a connection
	Late      bool          // a page may lack for a moment what another proxy has stored: they write on different nodes

	addrs atomic.Pointer[[]string] // of the proxies

	serial  atomic.Uint64
	lines   atomic.Uint64
	stored  atomic.Int64
	halt    chan struct{} // closed when nothing more is to be sent
	over    chan struct{} // closed when no more answers will come
	started time.Time     // the load
	begun   time.Time     // the fault
	ended   time.Time
	mu      sync.Mutex
	tries   []*attempt
	lookups []lookup
	visits  map[uint64]visit // by line
}

// visit is a connection.
type visit struct {
	c    *client.Client
	addr string // of the proxy
}

// attempt is a message, and what became of it. faultLoad.mu guards it.
type attempt struct {
	talk  bench.Talk
	line  uint64 // the connection's
	text  string
	begun time.Time
	took  time.Duration // until it was answered; 0: it was not
	id    uint32        // 0 and answered: refused
	lost  bool          // its connection ended before it was answered
}

// lookup is a request other than a message.
type lookup struct {
	begun    time.Time
	took     time.Duration
	answered bool
}

func NewFaults(t *testing.T, w *rig.Setup) *Faults {
	t.Helper()
	l := &Faults{w: w, Sent: audit.NewLedger(), Enough: 300, Rest: 5 * time.Millisecond, visits: make(map[uint64]visit)}
	l.FindProxies()
	l.Sent.Gaps = true // ids were reserved for what was not stored
	l.groups = MakeGroups(t, w.Dial(t, 0))
	for i := range uint32(faultReaders) {
		l.readers = append(l.readers, &faultReader{from: 3000 + i, user: 4000 + i, marks: []readMark{{0, unsure}}})
	}
	return l
}

// FindProxies looks where the proxies are, which have just been started.
func (l *Faults) FindProxies() {
	var addrs []string
	for _, p := range l.w.Proxies {
		addrs = append(addrs, p.Addr)
	}
	l.addrs.Store(&addrs)
}

// Around runs the load while fault does whatever it does, and until service is back.
func (l *Faults) Around(t *testing.T, fault func(ctx context.Context)) {
	t.Helper()
	l.halt, l.over, l.started = make(chan struct{}), make(chan struct{}), time.Now()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*rig.Patience, fmt.Errorf("the fault test takes too long"))
	defer cancel()
	var running sync.WaitGroup
	n := 0
	begin := func(work func(ctx context.Context, c *client.Client, line uint64)) {
		i := n
		n++
		running.Go(func() { l.keep(ctx, i, work) })
	}
	for range volleyConns {
		begin(l.volleys(SomePair))
	}
	for range groupVolleys {
		begin(l.volleys(func() (bench.Talk, *impb.IMMsgData) { return SomeGroup(l.groups) }))
	}
	for _, r := range l.readers {
		begin(func(ctx context.Context, c *client.Client, line uint64) { l.read(ctx, c, line, r) })
	}
	for range faultLookers {
		begin(l.look)
	}
	l.Await(ctx, l.Enough)
	l.begun = time.Now()
	fault(ctx)
	l.ended = time.Now()
	l.awaitBack(ctx, t)
	close(l.halt)
	l.awaitAnswers(t)
	close(l.over)
	running.Wait()
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
}

// Await waits until so many more messages were stored.
func (l *Faults) Await(ctx context.Context, stored int64) {
	for enough := l.stored.Load() + stored; l.stored.Load() < enough && ctx.Err() == nil; {
		rig.Pause(ctx, time.Millisecond)
	}
}

// awaitAnswers waits until all messages are answered but those that lost their connection, and as many as the proxies say
// that nobody knows the outcome of.
func (l *Faults) awaitAnswers(t *testing.T) {
	t.Helper()
	silent, uncertain := 0, 0
	for deadline := time.Now().Add(LatestAnswer()); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		uncertain = 0
		for _, p := range l.w.Proxies {
			uncertain += rig.Metric(t, p, `dbproxy_requests_total{command="IMMsgData",outcome="uncertain"}`)
		}
		if silent = l.silent(); silent <= uncertain {
			return
		}
	}
	t.Errorf("%d messages are not answered; of %d the outcome is uncertain", silent, uncertain)
}

// silent is how many messages have no answer, though their connection is there.
func (l *Faults) silent() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.tries {
		if a.took == 0 && !a.lost {
			n++
		}
	}
	return n
}

// Move has all connections made anew, to these addresses.
func (l *Faults) Move(addrs ...string) {
	l.addrs.Store(&addrs)
	l.mu.Lock()
	visits := maps.Clone(l.visits)
	l.mu.Unlock()
	for _, v := range visits { // not under mu: answers may be noted meanwhile
		_ = v.c.Close()
	}
}

// awaitBack waits for service after the fault.
func (l *Faults) awaitBack(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, rig.Patience)
	defer cancel()
	l.Await(ctx, l.Enough)
	if ctx.Err() != nil {
		t.Errorf("service is not back %v after the fault", rig.Patience)
	}
}

// keep keeps a connection at work until the load ends.
func (l *Faults) keep(ctx context.Context, i int, work func(ctx context.Context, c *client.Client, line uint64)) {
	for ctx.Err() == nil && !l.halted() {
		addrs := *l.addrs.Load()
		addr := addrs[i%len(addrs)]
		c, err := client.Dial(ctx, addr)
		if err == nil {
			line := l.lines.Add(1)
			l.mu.Lock()
			l.visits[line] = visit{c, addr}
			l.mu.Unlock()
			work(ctx, c, line)
			if err = c.Err(); err == nil { // the last answers are still to come
				select {
				case <-l.over:
				case <-ctx.Done():
				}
			}
			c.Close()
		}
		if err != nil && !l.Reconnect {
			l.Sent.Fault(fmt.Sprintf("connection %d: %v", i, err))
			return
		}
		rig.Pause(ctx, l.Rest)
	}
}

func (l *Faults) halted() bool {
	select {
	case <-l.halt:
		return true
	default:
		return false
	}
}

// volleys sends many messages at a time and waits for their answers, over and over.
func (l *Faults) volleys(some func() (bench.Talk, *impb.IMMsgData)) func(context.Context, *client.Client, uint64) {
	return func(ctx context.Context, c *client.Client, line uint64) {
		for c.Err() == nil && ctx.Err() == nil && !l.halted() {
			answered := make(chan struct{}, volley)
			for range volley {
				k, req := some()
				l.send(ctx, c, line, k, req, func(uint32) { answered <- struct{}{} })
			}
			late := time.NewTimer(givenUpAfter)
			for range volley {
				select {
				case <-answered:
				case <-late.C:
					late.Reset(0)
				case <-l.halt:
				case <-c.Done():
				}
			}
			late.Stop()
			rig.Pause(ctx, l.Rest)
		}
	}
}

// send sends a message and notes what becomes of it; done is called with its id, 0 for none, when that is known.
func (l *Faults) send(ctx context.Context, c *client.Client, line uint64, k bench.Talk, req *impb.IMMsgData, done func(id uint32)) {
	a := &attempt{talk: k, line: line, begun: time.Now(), text: fmt.Sprintf("%s %d %d", rig.Secret, line, l.serial.Add(1))}
	req.MsgData = []byte(a.text)
	l.mu.Lock()
	l.tries = append(l.tries, a)
	l.mu.Unlock()
	above := l.Sent.Highest(k)
	lost := func() { // it may be stored or not
		l.mu.Lock()
		a.lost = true
		l.mu.Unlock()
		done(0)
	}
	err := c.Start(ctx, req, func(m proto.Message, err error) {
		if err != nil {
			lost()
			return
		}
		answer := m.(*impb.IMMsgData)
		id := answer.GetMsgId()
		l.mu.Lock()
		a.took, a.id = max(time.Since(a.begun), 1), id
		l.mu.Unlock()
		if id != 0 {
			if id <= above {
				l.Sent.Fault(fmt.Sprintf("%v: id %d was given after id %d", k, id, above))
			}
			l.Sent.Answered(k, answer)
			l.stored.Add(1)
		}
		done(id)
	})
	if err != nil {
		lost()
	}
}

// look asks for sessions and pages, over and over. Requests that the storage cannot answer are not answered.
func (l *Faults) look(ctx context.Context, c *client.Client, _ uint64) {
	for c.Err() == nil && ctx.Err() == nil && !l.halted() {
		k := CrashPairs[rand.IntN(len(CrashPairs))]
		above := l.Sent.Highest(k)
		m, ok := l.ask(ctx, c, rig.Page(k.Low, rig.Pair, k.High, 0, 10))
		if list, is := m.(*impb.IMGetMsgListRsp); ok && is && !l.Late {
			if n := len(list.GetMsgList()); above > 0 && (n == 0 || list.GetMsgList()[0].GetMsgId() < above) {
				l.Sent.Fault(fmt.Sprintf("%v: id %d was answered, but a page of %d does not have it", k, above, n))
			}
		}
		l.ask(ctx, c, &impb.IMRecentContactSessionReq{UserId: &k.Low, LatestUpdateTime: proto.Uint32(0)})
		l.ask(ctx, c, rig.UsersInfo(1, 1))
		rig.Pause(ctx, l.Rest)
	}
}

// ask sends a request that need not be answered. When the load ends it does not wait any more.
func (l *Faults) ask(ctx context.Context, c *client.Client, req proto.Message) (proto.Message, bool) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, givenUpAfter)
	defer cancel()
	asked := make(chan struct{})
	defer close(asked)
	go func() {
		select {
		case <-asked:
		case <-l.halt:
			cancel()
		}
	}()
	m, err := c.Call(ctx, req)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookups = append(l.lookups, lookup{begun, time.Since(begun), err == nil})
	return m, err == nil
}

// faultReader is a user who reads what another sends, and acks.
type faultReader struct {
	from, user uint32
	marks      []readMark // the last one that certainly took effect, and those since
}

// readMark is an ack: the user has read up to an id that lies from low to high.
type readMark struct{ low, high uint32 }

// unsure is the upper end of a mark while no message was answered since: one without answer may have come before it.
const unsure = ^uint32(0)

func (r *faultReader) talk() bench.Talk { return bench.PairTalk(r.from, r.user) }

// read sends a few messages and then an ack, over and over, and looks whether that took effect.
func (l *Faults) read(ctx context.Context, c *client.Client, line uint64, r *faultReader) {
	for c.Err() == nil && ctx.Err() == nil && !l.halted() {
		for range 1 + rand.IntN(3) {
			came := make(chan uint32, 1)
			l.send(ctx, c, line, r.talk(), rig.PairText(r.from, r.user, ""), func(id uint32) { came <- id })
			select {
			case id := <-came:
				r.learned(id)
			case <-time.After(givenUpAfter):
			case <-l.halt:
				return
			}
		}
		low := l.Sent.Highest(r.talk())
		r.marks = append(r.marks, readMark{low, unsure})
		if err := c.Post(ctx, rig.ReadAck(r.user, rig.Pair, r.from)); err != nil {
			return
		}
		if m, ok := l.ask(ctx, c, rig.Unread(r.user)); ok && audit.UnreadIn(m.(*impb.IMUnreadMsgCntRsp), r.from, rig.Pair) == 0 {
			r.marks = []readMark{{low, unsure}}
		}
		rig.Pause(ctx, l.Rest)
	}
}

// learned ends the doubt about what came before a message.
func (r *faultReader) learned(id uint32) {
	for i := range r.marks {
		if id != 0 && r.marks[i].high == unsure {
			r.marks[i].high = id - 1
		}
	}
}

// Guarantee logs what became of requests, in the form in which docs/guarantees.md has it.
func (l *Faults) Guarantee(t *testing.T, name string) {
	t.Helper()
	before, meanwhile := l.Tally()
	rig.Guarantee(t, name, fmt.Sprintf("(%v) %v; before, the longest answer took %v", l.ended.Sub(l.begun).Round(10*time.Millisecond),
		meanwhile, before.longest.Round(time.Millisecond)), fmt.Sprint(l.backAfter().Round(10*time.Millisecond)))
}

// tally is what became of requests.
type tally struct {
	stored, Refused, Silent int // messages
	longest                 time.Duration
	reads, unread           int // other requests that were answered, and not
}

func (n tally) String() string {
	s := fmt.Sprintf("%d stored, %d refused, %d without answer, longest answer %v", n.stored, n.Refused, n.Silent,
		n.longest.Round(time.Millisecond))
	return s + fmt.Sprintf(", reads %d answered, %d not", n.reads, n.unread)
}
