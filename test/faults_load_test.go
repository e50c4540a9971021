//go:build !race

package test

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

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// What the load of the fault tests is made of.
const (
	volleyConns  = 6 // connections that send to pairs, many messages at a time
	groupVolleys = 3 // the same to groups
	volley       = 8 // messages at a time
	faultReaders = 3 // users who read a pair and ack, one by one
	faultLookers = 2 // connections that ask
	givenUpAfter = requestLimit + 2*time.Second
)

// latestAnswer is how long an answer may take at most. The short form runs where anything else may run, too: all that it
// can tell is what hangs.
func latestAnswer() time.Duration { return inFull(requestLimit+5*time.Second, patience) }

// faultLoad is load that goes on while something breaks, and what is known of its outcome.
type faultLoad struct {
	w       *place
	sent    *ledger
	groups  []uint32
	readers []*faultReader

	// reconnect says that connections may be lost, and are made anew.
	reconnect bool
	enough    int64         // messages stored before the fault, and after it
	rest      time.Duration // between two turns of a connection
	late      bool          // a page may lack for a moment what another proxy has stored: they write on different nodes

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
	talk  talk
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

func newFaultLoad(t *testing.T, w *place) *faultLoad {
	t.Helper()
	l := &faultLoad{w: w, sent: newLedger(), enough: 300, rest: 5 * time.Millisecond, visits: make(map[uint64]visit)}
	l.findProxies()
	l.sent.gaps = true // ids were reserved for what was not stored
	l.groups = makeGroups(t, w.dial(t, 0))
	for i := range uint32(faultReaders) {
		l.readers = append(l.readers, &faultReader{from: 3000 + i, user: 4000 + i, marks: []readMark{{0, unsure}}})
	}
	return l
}

// findProxies looks where the proxies are, which have just been started.
func (l *faultLoad) findProxies() {
	var addrs []string
	for _, p := range l.w.proxies {
		addrs = append(addrs, p.Addr)
	}
	l.addrs.Store(&addrs)
}

// around runs the load while fault does whatever it does, and until service is back.
func (l *faultLoad) around(t *testing.T, fault func(ctx context.Context)) {
	t.Helper()
	l.halt, l.over, l.started = make(chan struct{}), make(chan struct{}), time.Now()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*patience, fmt.Errorf("the fault test takes too long"))
	defer cancel()
	var running sync.WaitGroup
	n := 0
	begin := func(work func(ctx context.Context, c *client.Client, line uint64)) {
		i := n
		n++
		running.Go(func() { l.keep(ctx, i, work) })
	}
	for range volleyConns {
		begin(l.volleys(somePair))
	}
	for range groupVolleys {
		begin(l.volleys(func() (talk, *impb.IMMsgData) { return someGroup(l.groups) }))
	}
	for _, r := range l.readers {
		begin(func(ctx context.Context, c *client.Client, line uint64) { l.read(ctx, c, line, r) })
	}
	for range faultLookers {
		begin(l.look)
	}
	l.await(ctx, l.enough)
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

// await waits until so many more messages were stored.
func (l *faultLoad) await(ctx context.Context, stored int64) {
	for enough := l.stored.Load() + stored; l.stored.Load() < enough && ctx.Err() == nil; {
		pause(ctx, time.Millisecond)
	}
}

// awaitAnswers waits until all messages are answered but those that lost their connection, and as many as the proxies say
// that nobody knows the outcome of.
func (l *faultLoad) awaitAnswers(t *testing.T) {
	t.Helper()
	silent, uncertain := 0, 0
	for deadline := time.Now().Add(latestAnswer()); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		uncertain = 0
		for _, p := range l.w.proxies {
			uncertain += metric(t, p, `dbproxy_requests_total{command="IMMsgData",outcome="uncertain"}`)
		}
		if silent = l.silent(); silent <= uncertain {
			return
		}
	}
	t.Errorf("%d messages are not answered; of %d the outcome is uncertain", silent, uncertain)
}

// silent is how many messages have no answer, though their connection is there.
func (l *faultLoad) silent() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.tries {
		if a.took == 0 && !a.lost {
			n++
		}
	}
	return n
}

// move has all connections made anew, to these addresses.
func (l *faultLoad) move(addrs ...string) {
	l.addrs.Store(&addrs)
	l.mu.Lock()
	visits := maps.Clone(l.visits)
	l.mu.Unlock()
	for _, v := range visits { // not under mu: answers may be noted meanwhile
		_ = v.c.Close()
	}
}

// awaitBack waits for service after the fault.
func (l *faultLoad) awaitBack(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	l.await(ctx, l.enough)
	if ctx.Err() != nil {
		t.Errorf("service is not back %v after the fault", patience)
	}
}

// keep keeps a connection at work until the load ends.
func (l *faultLoad) keep(ctx context.Context, i int, work func(ctx context.Context, c *client.Client, line uint64)) {
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
		if err != nil && !l.reconnect {
			l.sent.fault(fmt.Sprintf("connection %d: %v", i, err))
			return
		}
		pause(ctx, l.rest)
	}
}

func (l *faultLoad) halted() bool {
	select {
	case <-l.halt:
		return true
	default:
		return false
	}
}

// volleys sends many messages at a time and waits for their answers, over and over.
func (l *faultLoad) volleys(some func() (talk, *impb.IMMsgData)) func(context.Context, *client.Client, uint64) {
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
			pause(ctx, l.rest)
		}
	}
}

// send sends a message and notes what becomes of it; done is called with its id, 0 for none, when that is known.
func (l *faultLoad) send(ctx context.Context, c *client.Client, line uint64, k talk, req *impb.IMMsgData, done func(id uint32)) {
	a := &attempt{talk: k, line: line, begun: time.Now(), text: fmt.Sprintf("%s %d %d", secret, line, l.serial.Add(1))}
	req.MsgData = []byte(a.text)
	l.mu.Lock()
	l.tries = append(l.tries, a)
	l.mu.Unlock()
	above := l.sent.highest(k)
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
				l.sent.fault(fmt.Sprintf("%v: id %d was given after id %d", k, id, above))
			}
			l.sent.answered(k, answer)
			l.stored.Add(1)
		}
		done(id)
	})
	if err != nil {
		lost()
	}
}

// look asks for sessions and pages, over and over. Requests that the storage cannot answer are not answered.
func (l *faultLoad) look(ctx context.Context, c *client.Client, _ uint64) {
	for c.Err() == nil && ctx.Err() == nil && !l.halted() {
		k := crashPairs[rand.IntN(len(crashPairs))]
		above := l.sent.highest(k)
		m, ok := l.ask(ctx, c, page(k.low, pair, k.high, 0, 10))
		if list, is := m.(*impb.IMGetMsgListRsp); ok && is && !l.late {
			if n := len(list.GetMsgList()); above > 0 && (n == 0 || list.GetMsgList()[0].GetMsgId() < above) {
				l.sent.fault(fmt.Sprintf("%v: id %d was answered, but a page of %d does not have it", k, above, n))
			}
		}
		l.ask(ctx, c, &impb.IMRecentContactSessionReq{UserId: &k.low, LatestUpdateTime: proto.Uint32(0)})
		l.ask(ctx, c, usersInfo(1, 1))
		pause(ctx, l.rest)
	}
}

// ask sends a request that need not be answered. When the load ends it does not wait any more.
func (l *faultLoad) ask(ctx context.Context, c *client.Client, req proto.Message) (proto.Message, bool) {
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

func (r *faultReader) talk() talk { return pairTalk(r.from, r.user) }

// read sends a few messages and then an ack, over and over, and looks whether that took effect.
func (l *faultLoad) read(ctx context.Context, c *client.Client, line uint64, r *faultReader) {
	for c.Err() == nil && ctx.Err() == nil && !l.halted() {
		for range 1 + rand.IntN(3) {
			came := make(chan uint32, 1)
			l.send(ctx, c, line, r.talk(), pairText(r.from, r.user, ""), func(id uint32) { came <- id })
			select {
			case id := <-came:
				r.learned(id)
			case <-time.After(givenUpAfter):
			case <-l.halt:
				return
			}
		}
		low := l.sent.highest(r.talk())
		r.marks = append(r.marks, readMark{low, unsure})
		if err := c.Post(ctx, readAck(r.user, pair, r.from)); err != nil {
			return
		}
		if m, ok := l.ask(ctx, c, unread(r.user)); ok && unreadIn(m.(*impb.IMUnreadMsgCntRsp), r.from, pair) == 0 {
			r.marks = []readMark{{low, unsure}}
		}
		pause(ctx, l.rest)
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
