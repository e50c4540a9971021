package lines

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Line is one connection of a load. Its requests are noted; what is called on its Client is not.
type Line struct {
	*client.Client
	Number uint64 // no other of the load has it
	Addr   string // of the proxy
	load   *Load
	// the last id that was answered in each talk; its client's reader owns it
	last map[Talk]uint32
}

// Close ends the connection.
func (c *Line) Close() error {
	c.load.mu.Lock()
	delete(c.load.open, c)
	c.load.mu.Unlock()
	return c.Client.Close()
}

// Request is a request that a line has sent, and what became of it. Its load's lock guards it.
type Request struct {
	Kind  string // Text, Voice, or what Ask was told
	Line  uint64
	Addr  string // of the proxy
	Begun time.Time
	Took  time.Duration // until it was answered; 0: it was not
	Good  bool          // the answer is as it should be: a message has an id
	Lost  bool          // its connection ended before it was answered

	// Of messages alone.
	Talk   Talk
	ID     uint32 // 0: it has none
	Serial uint64
}

// The kinds of messages.
const (
	Text  = "message"
	Voice = "voice message"
)

// Message says whether it is a message.
func (r *Request) Message() bool { return r.Kind == Text || r.Kind == Voice }

// voiceHead is what stands before the sound of a voice message: that it lasts 5 s.
const voiceHead = "\x00\x00\x00\x05"

// Content is what a message was sent with.
func (l *Load) Content(r *Request) string {
	text := l.Text(r.Line, r.Serial)
	if r.Kind == Voice {
		return voiceHead + text
	}
	return text
}

// On says that more may be sent: the load goes on, and so does the proxy.
func (c *Line) On() bool {
	select {
	case <-c.Done():
		return false
	default:
		return !c.IsStopping() && c.load.On()
	}
}

// Send sends a message to a talk and does not wait. Its text is made here. done is called once:
// with its id, or with 0 when it has none, and known says whether that is because it was refused.
func (c *Line) Send(k Talk, m *impb.IMMsgData, done func(id uint32, known bool)) {
	l := c.load
	r := &Request{Kind: Text, Line: c.Number, Talk: k, Serial: l.serial.Add(1)}
	if m.GetMsgType() == impb.MsgType_MSG_TYPE_SINGLE_AUDIO {
		r.Kind = Voice
	}
	m.MsgData = []byte(l.Content(r))
	above := l.Ledger.Highest(k)
	c.start(r, m, func(answer proto.Message) bool {
		if answer == nil {
			done(0, false)
			return false
		}
		a := answer.(*impb.IMMsgData)
		id := a.GetMsgId()
		if l.InOrder {
			above = max(above, c.last[k])
		}
		if id != 0 && id <= above {
			l.Ledger.Fault(fmt.Sprintf("%v: id %d was given after id %d", k, id, above))
		}
		c.last[k] = max(c.last[k], id)
		if id != 0 && r.Kind == Text {
			l.Ledger.Answered(k, a)
		}
		done(id, true)
		return id != 0
	})
}

// Store sends a message and waits for its answer: see Send.
func (c *Line) Store(k Talk, m *impb.IMMsgData) (id uint32, known bool) {
	type result struct {
		id    uint32
		known bool
	}
	came := make(chan result, 1)
	c.Send(k, m, func(id uint32, known bool) { came <- result{id, known} })
	r, _ := wait(c, came, 1)
	return r.id, r.known
}

// Volley sends up to n messages at a time, as next draws them, and waits for their answers.
func (c *Line) Volley(n int, next func() (Talk, *impb.IMMsgData)) {
	came := make(chan uint32, n)
	sent := 0
	for ; sent < n && c.On(); sent++ {
		k, m := next()
		c.Send(k, m, func(id uint32, _ bool) { came <- id })
	}
	_, _ = wait(c, came, sent)
}

// Ask sends a request and waits for its answer. good says whether that is as it should be; it is
// also called with one that comes too late. The result is false when there is none, or it is not.
func (c *Line) Ask(
	kind string, req proto.Message, good func(proto.Message) bool,
) (answer proto.Message, ok bool) {
	type result struct {
		m  proto.Message
		ok bool
	}
	came := make(chan result, 1)
	c.start(&Request{Kind: kind, Line: c.Number}, req, func(m proto.Message) bool {
		r := result{m, m != nil && good(m)}
		came <- r
		return r.ok
	})
	r, _ := wait(c, came, 1)
	return r.m, r.ok
}

// wait waits for so many results, and returns the last. It gives up when they take too long, or the
// load halts.
func wait[T any](c *Line, came <-chan T, n int) (last T, ok bool) {
	late := time.NewTimer(c.load.GiveUp)
	defer late.Stop()
	var none T
	for range n {
		select {
		case last = <-came:
		case <-late.C:
			return none, false
		case <-c.load.halt:
			return none, false
		case <-c.Done():
			return none, false
		}
	}
	return last, true
}

// start sends a request and notes what becomes of it. judge is called once: with the answer, or
// with nil when the connection ended before that; it says whether the answer is as it should be.
func (c *Line) start(r *Request, req proto.Message, judge func(answer proto.Message) bool) {
	r.Addr, r.Begun = c.Addr, time.Now()
	c.load.begun(r)
	note := func(m proto.Message, err error) {
		if err != nil {
			c.load.lost(r)
			judge(nil)
			return
		}
		c.load.answered(r, m, judge(m))
	}
	if err := c.Start(c.load.ctx, req, note); err != nil {
		note(nil, err)
	}
}

// begun notes a request that is about to be sent.
func (l *Load) begun(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Keep {
		l.requests = append(l.requests, r)
	}
	l.pending++
	if r.Message() {
		l.silent++
	}
}

// answered notes an answer.
func (l *Load) answered(r *Request, m proto.Message, good bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Took, r.Good = max(time.Since(r.Begun), 1), good
	l.pending--
	if !r.Message() {
		return
	}
	l.silent--
	if r.ID = m.(*impb.IMMsgData).GetMsgId(); r.ID != 0 {
		l.stored.Add(1)
	}
}

// lost notes a request whose connection ended before its answer; at the end of the load it merely
// has none.
func (l *Load) lost(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.over:
	default:
		r.Lost = true
	}
	l.pending--
	if r.Message() {
		l.silent--
	}
}
