package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/harness"
)

// What the load of the crash test is made of.
const (
	pairConns     = 8  // connections that pipeline messages between pairs
	groupConns    = 4  // the same to groups
	crashInFlight = 24 // messages under way on each of those
	crashGroups   = 3
	pairReaders   = 4 // connections that send one by one and ack, each in a pair of its own
	groupReaders  = 2 // the same in a group of its own
	silentMember  = 9000
)

var (
	crashPairs   = []talk{pairTalk(5001, 6001), pairTalk(5002, 6002), pairTalk(5003, 6003), pairTalk(5003, 6001), pairTalk(5004, 6004)}
	crashMembers = []uint32{9001, 9002, 9003, 9004}
)

// crashLoad is the load, and what is known of its outcome, over all rounds.
type crashLoad struct {
	sent    *ledger
	groups  []uint32
	readers []*reader

	serial atomic.Uint64 // makes each text unique
	failed atomic.Int64  // messages that were not answered
	left   atomic.Int64  // answers until enough is closed
	enough chan struct{}
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

// runUntil runs the load until so many messages were answered, then calls stop, and returns when all connections have
// ended: that, the load leaves to stop.
func (l *crashLoad) runUntil(t *testing.T, p *harness.Proxy, answers int, stop func()) {
	t.Helper()
	l.left.Store(int64(answers))
	l.enough = make(chan struct{})
	ctx := within(t)
	var running sync.WaitGroup
	for range pairConns {
		running.Go(func() { l.pipeline(ctx, p.Addr, l.somePair) })
	}
	for range groupConns {
		running.Go(func() { l.pipeline(ctx, p.Addr, l.someGroup) })
	}
	for _, r := range l.readers {
		running.Go(func() { l.read(ctx, p.Addr, r) })
	}
	select {
	case <-l.enough:
	case <-ctx.Done():
		t.Errorf("%d more messages should have been answered", l.left.Load())
	}
	stop()
	running.Wait()
}

func (l *crashLoad) somePair() (talk, *impb.IMMsgData) {
	k := crashPairs[rand.IntN(len(crashPairs))]
	from, to := k.low, k.high
	if rand.IntN(2) == 0 {
		from, to = to, from
	}
	return k, pairText(from, to, l.text())
}

func (l *crashLoad) someGroup() (talk, *impb.IMMsgData) {
	g := l.groups[rand.IntN(len(l.groups))]
	return groupTalk(g), groupText(crashMembers[rand.IntN(len(crashMembers))], g, l.text())
}

// pipeline keeps messages in flight on a connection of its own until it ends. Those of one talk must be answered in the
// order sent.
func (l *crashLoad) pipeline(ctx context.Context, addr string, some func() (talk, *impb.IMMsgData)) {
	c, err := client.Dial(ctx, addr)
	if err != nil {
		l.sent.fault(err.Error())
		return
	}
	defer c.Close()
	room := make(chan struct{}, crashInFlight)
	last := make(map[talk]uint32) // of this connection; the client's reader alone uses it
	for {
		select {
		case room <- struct{}{}:
		case <-c.Done():
			return
		case <-ctx.Done():
			return
		}
		k, req := some()
		above := l.sent.highest(k)
		err := c.Start(ctx, req, func(m proto.Message, err error) {
			<-room
			if err != nil { // it may be stored or not
				l.failed.Add(1)
				return
			}
			last[k] = l.note(k, max(above, last[k]), m).GetMsgId()
		})
		if err != nil {
			return
		}
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
func (l *crashLoad) read(ctx context.Context, addr string, r *reader) {
	c, err := client.Dial(ctx, addr)
	if err != nil {
		l.sent.fault(err.Error())
		return
	}
	defer c.Close()
	for first := true; ; first = false {
		var id uint32
		news := 1 + rand.IntN(5)
		for range news {
			above := l.sent.highest(r.talk)
			m, err := c.Call(ctx, r.send(l.text()))
			if err != nil {
				l.failed.Add(1)
				return
			}
			id = l.note(r.talk, above, m).GetMsgId()
		}
		// In the first turn, what the round before left is unread as well.
		if n, err := r.ask(ctx, c); err != nil {
			return
		} else if n != news && (!first || n < news) {
			l.sent.fault(fmt.Sprintf("%v: %d unread after %d new messages", r.talk, n, news))
		}
		r.acked = append(r.acked, id)
		if err := c.Post(ctx, readAck(r.user, r.kind, r.peer)); err != nil {
			return
		}
		if n, err := r.ask(ctx, c); err != nil {
			return
		} else if n != 0 {
			l.sent.fault(fmt.Sprintf("%v: %d unread right after an ack", r.talk, n))
		}
		r.confirmed, r.acked = id, nil
	}
}

// ask returns how many messages of the talk are unread.
func (r *reader) ask(ctx context.Context, c *client.Client) (int, error) {
	answer, err := client.Call[*impb.IMUnreadMsgCntRsp](ctx, c, unread(r.user))
	if err != nil {
		return 0, err
	}
	return unreadIn(answer, r.peer, r.kind), nil
}
