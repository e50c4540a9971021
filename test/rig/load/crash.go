package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// StartAgain starts what does not run, and returns how long that took until each proxy has stored a message.
func (l *Crash) StartAgain(t *testing.T, w *rig.Setup) time.Duration {
	t.Helper()
	begun := time.Now()
	w.Start(t)
	for i := range w.Proxies {
		k := CrashPairs[0]
		above := l.Sent.Highest(k)
		l.note(k, above, time.Now(), rig.Call[*impb.IMMsgData](t, w.Dial(t, i), rig.PairText(k.Low, k.High, l.text())))
	}
	return time.Since(begun)
}

// auditPairs compares what is unread of the pairs that nobody acks, and their pages, with the rows.
func auditPairs(t *testing.T, c *client.Client, rows map[bench.Talk][]audit.Row) {
	t.Helper()
	for _, k := range CrashPairs {
		for _, user := range []uint32{k.Low, k.High} {
			from := k.Low + k.High - user
			want := len(audit.After(rows[k], 0, func(m audit.Row) bool { return m.From == from }))
			if got := audit.UnreadOf(t, c, user, from, rig.Pair); got != want {
				t.Errorf("%d has %d unread from %d, %d are stored", user, got, from, want)
			}
		}
		audit.CheckPaging(t, c, k, rows[k])
	}
}

// AuditUnread compares the unread counters, as the protocol tells them, with the rows.
func (l *Crash) AuditUnread(t *testing.T, p *harness.Proxy, rows map[bench.Talk][]audit.Row) {
	t.Helper()
	c := rig.Dial(t, p)
	auditPairs(t, c, rows)
	for _, g := range l.Groups { // nor there, but whoever sends has read what came before
		list := rows[bench.GroupTalk(g)]
		for _, user := range append([]uint32{SilentMember}, CrashMembers...) {
			own := audit.After(list, 0, func(m audit.Row) bool { return m.From == user })
			last := uint32(0)
			if len(own) > 0 {
				last = own[len(own)-1].Id
			}
			want := len(audit.After(list, last, nil))
			if got := audit.UnreadOf(t, c, user, g, rig.Group); got != want {
				t.Errorf("%d has %d unread in group %d of %d messages, want %d", user, got, g, len(list), want)
			}
		}
	}
	for _, r := range l.readers {
		var possible []int
		for _, read := range append(r.acked, r.confirmed) {
			possible = append(possible, len(audit.After(rows[r.talk], read, nil)))
		}
		if got := audit.UnreadOf(t, c, r.user, r.peer, r.kind); !slices.Contains(possible, got) {
			t.Errorf("%v: %d has %d unread, want one of %d", r.talk, r.user, got, possible)
		}
	}
}

// Prepare makes the groups, in the first round.
func (l *Crash) Prepare(t *testing.T, p *harness.Proxy) {
	t.Helper()
	if l.Groups != nil {
		return
	}
	c := rig.Dial(t, p)
	l.Groups = MakeGroups(t, c)
	for i := range uint32(groupReaders) {
		from, user := 7000+i, 8000+i
		g := MakeGroup(t, c, from, from, user)
		l.readers = append(l.readers, &reader{
			talk: bench.GroupTalk(g), kind: rig.Group, user: user, peer: g,
			send: func(text string) *impb.IMMsgData { return rig.GroupText(from, g, text) },
		})
	}
}

// overdue is when a refusal may be one for want of time. The short form runs where anything else may run, too, and puts
// it down to the machine; what is refused earlier is refused for another reason.
const overdue = rig.RequestLimit - time.Second

// note checks and notes the answer to a message that was sent at begun, when above was the talk's largest answered id. It
// returns its id, 0 for one that was refused for want of time.
func (l *Crash) note(k bench.Talk, above uint32, begun time.Time, m proto.Message) uint32 {
	answer := m.(*impb.IMMsgData)
	id := answer.GetMsgId()
	if id == 0 && time.Since(begun) >= overdue && !rig.FullFaults() {
		l.Late.Add(1)
		return 0
	}
	if id <= above {
		l.Sent.Fault(fmt.Sprintf("%v: id %d was given after id %d", k, id, above))
	}
	l.Sent.Answered(k, answer)
	l.answered.Add(1)
	return id
}

// What the load of the crash test is made of.
const (
	pairConns    = 8 // connections that pipeline messages between pairs
	groupConns   = 4 // the same to groups
	crashGroups  = 3
	PairReaders  = 4 // connections that send one by one and ack, each in a pair of its own
	groupReaders = 2 // the same in a group of its own
	SilentMember = 9000
)

// crashInFlight is how many messages are under way on a connection: so few in the short form that a machine with little
// time for it serves them all before their time is over.
func crashInFlight() int { return rig.InFull(24, 6) }

var (
	CrashPairs   = []bench.Talk{bench.PairTalk(5001, 6001), bench.PairTalk(5002, 6002), bench.PairTalk(5003, 6003), bench.PairTalk(5003, 6001), bench.PairTalk(5004, 6004)}
	CrashMembers = []uint32{9001, 9002, 9003, 9004}
)

// Crash is the load, and what is known of its outcome, over all rounds.
type Crash struct {
	Sent    *audit.Ledger
	Groups  []uint32
	readers []*reader

	serial   atomic.Uint64 // makes each text unique
	answered atomic.Int64  // messages
	Failed   atomic.Int64  // messages that were not answered
	Late     atomic.Int64  // messages that were refused, or not answered, because their time was over
	Pace     rig.Pace      // of all answers
	Unsure   bool          // Redis loses single keys: unread counters may be wrong for a moment
	halt     chan struct{} // closed when enough was sent in this round
}

func NewCrash(t *testing.T) *Crash {
	t.Helper()
	l := &Crash{Sent: audit.NewLedger()}
	for i := range uint32(PairReaders) {
		from, user := 3000+i, 4000+i
		l.readers = append(l.readers, &reader{
			talk: bench.PairTalk(from, user), kind: rig.Pair, user: user, peer: from,
			send: func(text string) *impb.IMMsgData { return rig.PairText(from, user, text) },
		})
	}
	return l
}

func (l *Crash) text() string { return fmt.Sprintf("%s %d", rig.Secret, l.serial.Add(1)) }

// line is a connection that is to be made.
type line struct {
	addr   string
	doomed bool // it must go on until it breaks
}

// Run runs the load, its connections spread over all proxies, while meanwhile does whatever it does. Then all finish
// what they have begun, and everything they sent must be answered; but for those of the victim (nil: none), which
// meanwhile kills.
func (l *Crash) Run(t *testing.T, w *rig.Setup, victim *harness.Proxy, meanwhile func(ctx context.Context)) {
	t.Helper()
	l.halt = make(chan struct{})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*rig.Patience, fmt.Errorf("the load takes too long"))
	defer cancel()
	var running sync.WaitGroup
	conns := 0
	begin := func(work func(at line)) {
		p := w.Proxy(conns)
		conns++
		running.Go(func() { work(line{p.Addr, p == victim}) })
	}
	for range pairConns {
		begin(func(at line) { l.pipeline(ctx, at, SomePair) })
	}
	for range groupConns {
		begin(func(at line) {
			l.pipeline(ctx, at, func() (bench.Talk, *impb.IMMsgData) { return SomeGroup(l.Groups) })
		})
	}
	for _, r := range l.readers {
		begin(func(at line) { l.read(ctx, at, r) })
	}
	meanwhile(ctx)
	close(l.halt)
	running.Wait()
	if l.Late.Load() > 0 {
		l.Sent.Gaps = true // ids had been reserved for what was refused
	}
	if ctx.Err() != nil {
		t.Error(context.Cause(ctx))
	}
}

// Await waits until so many more messages were answered.
func (l *Crash) Await(ctx context.Context, answers int) {
	for enough := l.answered.Load() + int64(answers); l.answered.Load() < enough; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// lost notes that a connection that was not doomed broke, or had no answer.
func (l *Crash) lost(at line, err error) {
	if !at.doomed {
		l.Sent.Fault(fmt.Sprintf("connection to %s: %v", at.addr, err))
	}
}

// SomePair draws a pair, and a message between its users that has no text yet.
func SomePair() (bench.Talk, *impb.IMMsgData) { return InPair(CrashPairs[rand.IntN(len(CrashPairs))]) }

// InPair draws who sends.
func InPair(k bench.Talk) (bench.Talk, *impb.IMMsgData) {
	if rand.IntN(2) == 0 {
		return k, rig.PairText(k.Low, k.High, "")
	}
	return k, rig.PairText(k.High, k.Low, "")
}

// SomeGroup is somePair for groups.
func SomeGroup(groups []uint32) (bench.Talk, *impb.IMMsgData) {
	g := groups[rand.IntN(len(groups))]
	return bench.GroupTalk(g), rig.GroupText(CrashMembers[rand.IntN(len(CrashMembers))], g, "")
}

// MakeGroups makes groups for someGroup, of which silentMember is a member, too.
func MakeGroups(t *testing.T, c *client.Client) (groups []uint32) {
	t.Helper()
	for range crashGroups {
		groups = append(groups, MakeGroup(t, c, SilentMember, append([]uint32{SilentMember}, CrashMembers...)...))
	}
	return groups
}

func MakeGroup(t *testing.T, c *client.Client, creator uint32, members ...uint32) uint32 {
	t.Helper()
	answer := rig.Call[*impb.IMGroupCreateRsp](t, c, rig.NewGroup(creator, members...))
	if answer.GetResultCode() != 0 || answer.GetGroupId() == 0 {
		t.Fatalf("a group was not created: %v", answer)
	}
	return answer.GetGroupId()
}

// silence is when an answer will not come any more: a machine was so slow that nobody learned the outcome in time. The
// short form takes that for what it is; then the load goes on on another connection.
const silence = rig.RequestLimit + 10*time.Second

var errSilence = fmt.Errorf("no answer came for %v", silence)

// pipeline keeps messages in flight on a connection of its own until it ends. Those of one talk must be answered in the
// order sent.
func (l *Crash) pipeline(ctx context.Context, at line, some func() (bench.Talk, *impb.IMMsgData)) {
	for {
		err := l.pipelineOnce(ctx, at, some)
		if err == nil {
			return
		}
		if !errors.Is(err, errSilence) || rig.FullFaults() {
			l.lost(at, err)
			return
		}
		if l.halted() {
			return
		}
	}
}

// pipelineOnce is pipeline on one connection; nil: enough was sent.
func (l *Crash) pipelineOnce(ctx context.Context, at line, some func() (bench.Talk, *impb.IMMsgData)) error {
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
	last := make(map[bench.Talk]uint32) // of this connection; the client's reader alone uses it
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
		above, begun := l.Sent.Highest(k), time.Now()
		err := c.Start(ctx, req, func(m proto.Message, err error) {
			defer func() { <-room }()
			l.Pace.Note(begun)
			switch { // it may be stored or not
			case err != nil && silent.Load() && !rig.FullFaults():
				l.Late.Add(1)
				return
			case err != nil:
				l.Failed.Add(1)
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
	talk       bench.Talk
	kind       impb.SessionType
	user, peer uint32
	send       func(text string) *impb.IMMsgData

	// The talk's last id when the last ack was sent that certainly took effect, and at those sent since.
	confirmed uint32
	acked     []uint32
}

// read sends a few messages and then an ack, over and over, until the connection ends. What has no answer any more may
// have taken effect or not.
func (l *Crash) read(ctx context.Context, at line, r *reader) {
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
		case !errors.Is(err, errSilence) || rig.FullFaults():
			l.lost(at, err)
			return
		case l.halted():
			return
		}
	}
}

func (l *Crash) halted() bool {
	select {
	case <-l.halt:
		return true
	default:
		return false
	}
}

// readOnce is one turn of read.
func (l *Crash) readOnce(ctx context.Context, c *client.Client, r *reader, first bool) error {
	turn := time.Now()
	// What takes so long may have been refused, or an ack given up: then counters need not be as this turn would have them.
	sure := func() bool { return !l.Unsure && time.Since(turn) < overdue }
	id := l.Sent.Highest(r.talk)
	news := 1 + rand.IntN(5)
	for range news {
		above, begun := l.Sent.Highest(r.talk), time.Now()
		once, cancel := context.WithTimeout(ctx, silence)
		m, err := c.Call(once, r.send(l.text()))
		cancel()
		l.Pace.Note(begun)
		switch {
		case err != nil && once.Err() == context.DeadlineExceeded && ctx.Err() == nil && !rig.FullFaults():
			l.Late.Add(1)
			return errSilence
		case err != nil:
			l.Failed.Add(1)
			return err
		}
		id = max(id, l.note(r.talk, above, begun, m))
	}
	// In the first turn, and after one that was not sure, what was left before is unread as well.
	before := first || len(r.acked) > 0
	if n, err := r.ask(ctx, c); err != nil {
		return err
	} else if (n < news || n > news && !before) && sure() {
		l.Sent.Fault(fmt.Sprintf("%v: %d unread after %d new messages", r.talk, n, news))
	}
	r.acked = append(r.acked, id)
	if err := c.Post(ctx, rig.ReadAck(r.user, r.kind, r.peer)); err != nil {
		return err
	}
	begun := time.Now()
	n, err := r.ask(ctx, c)
	l.Pace.Note(begun)
	if err != nil {
		return err
	}
	switch {
	case n == 0 || l.Unsure:
		r.confirmed, r.acked = id, nil
	case sure():
		l.Sent.Fault(fmt.Sprintf("%v: %d unread right after an ack", r.talk, n))
	}
	return nil
}

// ask returns how many messages of the talk are unread.
func (r *reader) ask(ctx context.Context, c *client.Client) (int, error) {
	answer, err := rig.Ask[*impb.IMUnreadMsgCntRsp](ctx, c, rig.Unread(r.user))
	if err != nil {
		return 0, err
	}
	return audit.UnreadIn(answer, r.peer, r.kind), nil
}
