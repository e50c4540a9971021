package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// What the load of the crash test is made of.
const (
	pairConns    = 8 // connections that pipeline messages between pairs
	groupConns   = 4 // the same to groups
	crashGroups  = 3
	pairReaders  = 4 // connections that send one by one and ack, each in a pair of its own
	groupReaders = 2 // the same in a group of its own
	silentMember = 9000
)

// crashInFlight is how many messages are under way on a connection: so few in the short form that a machine with little
// time for it serves them all before their time is over.
func crashInFlight() int { return inFull(24, 6) }

var (
	crashPairs   = []talk{pairTalk(5001, 6001), pairTalk(5002, 6002), pairTalk(5003, 6003), pairTalk(5003, 6001), pairTalk(5004, 6004)}
	crashMembers = []uint32{9001, 9002, 9003, 9004}
)

// crashLoad is the load, and what is known of its outcome, over all rounds.
type crashLoad struct {
	sent    *ledger
	groups  []uint32
	readers []*reader

	serial   atomic.Uint64 // makes each text unique
	answered atomic.Int64  // messages
	failed   atomic.Int64  // messages that were not answered
	late     atomic.Int64  // messages that were refused, or not answered, because their time was over
	pace     pace          // of all answers
	unsure   bool          // Redis loses single keys: unread counters may be wrong for a moment
	halt     chan struct{} // closed when enough was sent in this round
}

func newCrashLoad(t *testing.T) *crashLoad {
	t.Helper()
	l := &crashLoad{sent: newLedger()}
	for i := range uint32(pairReaders) {
		from, user := 3000+i, 4000+i
		l.readers = append(l.readers, &reader{
			talk: pairTalk(from, user), kind: pair, user: user, peer: from,
			send: func(text string) *impb.IMMsgData { return pairText(from, user, text) },
		})
	}
	return l
}

func (l *crashLoad) text() string { return fmt.Sprintf("%s %d", secret, l.serial.Add(1)) }

// line is a connection that is to be made.
type line struct {
	addr   string
	doomed bool // it must go on until it breaks
}

// run runs the load, its connections spread over all proxies, while meanwhile does whatever it does. Then all finish
// what they have begun, and everything they sent must be answered; but for those of the victim (nil: none), which
// meanwhile kills.
func (l *crashLoad) run(t *testing.T, w *place, victim *harness.Proxy, meanwhile func(ctx context.Context)) {
	t.Helper()
	l.halt = make(chan struct{})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*patience, fmt.Errorf("the load takes too long"))
	defer cancel()
	var running sync.WaitGroup
	conns := 0
	begin := func(work func(at line)) {
		p := w.proxy(conns)
		conns++
		running.Go(func() { work(line{p.Addr, p == victim}) })
	}
	for range pairConns {
		begin(func(at line) { l.pipeline(ctx, at, somePair) })
	}
	for range groupConns {
		begin(func(at line) {
			l.pipeline(ctx, at, func() (talk, *impb.IMMsgData) { return someGroup(l.groups) })
		})
	}
	for _, r := range l.readers {
		begin(func(at line) { l.read(ctx, at, r) })
	}
	meanwhile(ctx)
	close(l.halt)
	running.Wait()
	if l.late.Load() > 0 {
		l.sent.gaps = true // ids had been reserved for what was refused
	}
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
}

// await waits until so many more messages were answered.
func (l *crashLoad) await(ctx context.Context, answers int) {
	for enough := l.answered.Load() + int64(answers); l.answered.Load() < enough; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// lost notes that a connection that was not doomed broke, or had no answer.
func (l *crashLoad) lost(at line, err error) {
	if !at.doomed {
		l.sent.fault(fmt.Sprintf("connection to %s: %v", at.addr, err))
	}
}

// somePair draws a pair, and a message between its users that has no text yet.
func somePair() (talk, *impb.IMMsgData) { return inPair(crashPairs[rand.IntN(len(crashPairs))]) }

// inPair draws who sends.
func inPair(k talk) (talk, *impb.IMMsgData) {
	if rand.IntN(2) == 0 {
		return k, pairText(k.low, k.high, "")
	}
	return k, pairText(k.high, k.low, "")
}

// someGroup is somePair for groups.
func someGroup(groups []uint32) (talk, *impb.IMMsgData) {
	g := groups[rand.IntN(len(groups))]
	return groupTalk(g), groupText(crashMembers[rand.IntN(len(crashMembers))], g, "")
}

// makeGroups makes groups for someGroup, of which silentMember is a member, too.
func makeGroups(t *testing.T, c *client.Client) (groups []uint32) {
	t.Helper()
	for range crashGroups {
		groups = append(groups, makeGroup(t, c, silentMember, append([]uint32{silentMember}, crashMembers...)...))
	}
	return groups
}

func makeGroup(t *testing.T, c *client.Client, creator uint32, members ...uint32) uint32 {
	t.Helper()
	answer := call[*impb.IMGroupCreateRsp](t, c, newGroup(creator, members...))
	if answer.GetResultCode() != 0 || answer.GetGroupId() == 0 {
		t.Fatalf("a group was not created: %v", answer)
	}
	return answer.GetGroupId()
}

// silence is when an answer will not come any more: a machine was so slow that nobody learned the outcome in time. The
// short form takes that for what it is; then the load goes on on another connection.
const silence = requestLimit + 10*time.Second

var errSilence = fmt.Errorf("no answer came for %v", silence)

// pipeline keeps messages in flight on a connection of its own until it ends. Those of one talk must be answered in the
// order sent.
func (l *crashLoad) pipeline(ctx context.Context, at line, some func() (talk, *impb.IMMsgData)) {
	for {
		err := l.pipelineOnce(ctx, at, some)
		if err == nil {
			return
		}
		if !errors.Is(err, errSilence) || fullFaults() {
			l.lost(at, err)
			return
		}
		if l.halted() {
			return
		}
	}
}

// pipelineOnce is pipeline on one connection; nil: enough was sent.
func (l *crashLoad) pipelineOnce(ctx context.Context, at line, some func() (talk, *impb.IMMsgData)) error {
	c, err := client.Dial(ctx, at.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	var silent atomic.Bool
	halt := l.halt
	if at.doomed {
		halt = nil
	}
	room := make(chan struct{}, crashInFlight())
	last := make(map[talk]uint32) // of this connection; the client's reader alone uses it
	for {
		if err := enter(ctx, c, room); err != nil {
			silent.Store(errors.Is(err, errSilence))
			return err
		}
		select {
		case <-halt:
			<-room
			for range cap(room) { // all of the room is free when everything is answered
				if err := enter(ctx, c, room); err != nil {
					silent.Store(errors.Is(err, errSilence))
					return err
				}
			}
			return nil
		default:
		}
		k, req := some()
		req.MsgData = []byte(l.text())
		above, begun := l.sent.highest(k), time.Now()
		err := c.Start(ctx, req, func(m proto.Message, err error) {
			defer func() { <-room }()
			l.pace.note(begun)
			switch { // it may be stored or not
			case err != nil && silent.Load() && !fullFaults():
				l.late.Add(1)
				return
			case err != nil:
				l.failed.Add(1)
				l.lost(at, err)
				return
			}
			last[k] = max(last[k], l.note(k, max(above, last[k]), begun, m))
		})
		if err != nil {
			return err
		}
	}
}

// enter waits for room on a connection.
func enter(ctx context.Context, c *client.Client, room chan<- struct{}) error {
	late := time.NewTimer(silence)
	defer late.Stop()
	select {
	case room <- struct{}{}:
		return nil
	case <-c.Done():
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-late.C:
		return errSilence
	}
}

// reader is a user who reads a talk in which one connection does everything, one by one: so it is known which messages
// an ack that took effect has covered.
type reader struct {
	talk       talk
	kind       impb.SessionType
	user, peer uint32
	send       func(text string) *impb.IMMsgData

	// The talk's last id when the last ack was sent that certainly took effect, and at those sent since.
	confirmed uint32
	acked     []uint32
}

// read sends a few messages and then an ack, over and over, until the connection ends. What has no answer any more may
// have taken effect or not.
func (l *crashLoad) read(ctx context.Context, at line, r *reader) {
	for {
		c, err := client.Dial(ctx, at.addr)
		if err == nil {
			for first := true; err == nil && (at.doomed || !l.halted()); first = false {
				err = l.readOnce(ctx, c, r, first)
			}
			c.Close()
		}
		switch {
		case err == nil:
			return
		case !errors.Is(err, errSilence) || fullFaults():
			l.lost(at, err)
			return
		case l.halted():
			return
		}
	}
}

func (l *crashLoad) halted() bool {
	select {
	case <-l.halt:
		return true
	default:
		return false
	}
}

// readOnce is one turn of read.
func (l *crashLoad) readOnce(ctx context.Context, c *client.Client, r *reader, first bool) error {
	turn := time.Now()
	// What takes so long may have been refused, or an ack given up: then counters need not be as this turn would have them.
	sure := func() bool { return !l.unsure && time.Since(turn) < overdue }
	id := l.sent.highest(r.talk)
	news := 1 + rand.IntN(5)
	for range news {
		above, begun := l.sent.highest(r.talk), time.Now()
		once, cancel := context.WithTimeout(ctx, silence)
		m, err := c.Call(once, r.send(l.text()))
		cancel()
		l.pace.note(begun)
		switch {
		case err != nil && once.Err() == context.DeadlineExceeded && ctx.Err() == nil && !fullFaults():
			l.late.Add(1)
			return errSilence
		case err != nil:
			l.failed.Add(1)
			return err
		}
		id = max(id, l.note(r.talk, above, begun, m))
	}
	// In the first turn, and after one that was not sure, what was left before is unread as well.
	before := first || len(r.acked) > 0
	if n, err := r.ask(ctx, c); err != nil {
		return err
	} else if (n < news || n > news && !before) && sure() {
		l.sent.fault(fmt.Sprintf("%v: %d unread after %d new messages", r.talk, n, news))
	}
	r.acked = append(r.acked, id)
	if err := c.Post(ctx, readAck(r.user, r.kind, r.peer)); err != nil {
		return err
	}
	begun := time.Now()
	n, err := r.ask(ctx, c)
	l.pace.note(begun)
	if err != nil {
		return err
	}
	switch {
	case n == 0 || l.unsure:
		r.confirmed, r.acked = id, nil
	case sure():
		l.sent.fault(fmt.Sprintf("%v: %d unread right after an ack", r.talk, n))
	}
	return nil
}

// ask returns how many messages of the talk are unread.
func (r *reader) ask(ctx context.Context, c *client.Client) (int, error) {
	answer, err := lookUp[*impb.IMUnreadMsgCntRsp](ctx, c, unread(r.user))
	if err != nil {
		return 0, err
	}
	return unreadIn(answer, r.peer, r.kind), nil
}
