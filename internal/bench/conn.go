package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

const (
	// maxAnswer is the longest frame that is taken from a server, in bytes.
	maxAnswer = 64 << 20
	// readSize is how much a connection reads at once, of a longer answer more, and allReadSize how
	// much all connections do, if they have 4 KiB each.
	readSize    = 64 << 10
	allReadSize = 64 << 20
	// lookEvery is how often a connection looks for requests that were not answered in time.
	lookEvery = 250 * time.Millisecond
	// beatEvery keeps a server from closing a connection that has little to do.
	beatEvery = 5 * time.Second
	// thoroughly is which share of all answers is decoded and checked in every detail: one of so
	// many.
	thoroughly = 64
	// openWaiting is how many requests of all connections may wait at once in open loop.
	openWaiting = 64 << 10
	// openBatch is how many requests are encoded at most before they are sent in open loop.
	openBatch = 256
)

// conn is one connection of a load. Unlike a client.Client it costs the machine little: in closed
// loop one goroutine sends and reads, and what it sends and reads at once takes one system call. In
// open loop another goroutine sends on all connections: run.pace.
type conn struct {
	run   *run
	net   net.Conn
	tally *tally // where its answers are counted; other connections share it
	in    *bufio.Reader
	long  []byte // memory for answers longer than what is read at once
	rng   *rand.Rand
	out   []byte // what is to be sent next; who sends owns it

	over atomic.Bool // it ended, in open loop

	mu       sync.Mutex // guards the fields below
	slots    []slot     // by sequence number, modulo their number, a power of two
	seq      uint16     // the last one given
	waiting  int        // requests that wait for their answers
	answered int        // answers that came, to decide which are checked thoroughly
}

// slot is a request that waits for its answer.
type slot struct {
	seq   uint16
	taken bool
	late  bool // it was given up; an answer may still come, and frees the slot
	kind  uint8
	about uint32
	at    time.Duration // when it was sent, or was to be sent, since the run began
}

// connect makes a connection that can have so many requests in flight.
func (r *run) connect(ctx context.Context, addr string, number, inFlight int) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	// Four times as many slots, so that some may be taken by requests without an answer, but no
	// more than there are sequence numbers.
	n := min(1<<bits.Len(uint(4*inFlight-1)), 1<<16)
	size := max(4<<10, min(readSize, allReadSize/r.Conns))
	return &conn{run: r, net: c, in: bufio.NewReaderSize(c, size), slots: make([]slot, n),
		rng: rand.New(rand.NewPCG(uint64(number), uint64(time.Now().UnixNano())))}, nil
}

// ask adds a request to what is sent next. at is when it is sent, or was to be sent. The result is
// false when all slots are taken. The caller holds c.mu.
func (c *conn) ask(at time.Duration) bool {
	s := c.free()
	if s == nil {
		return false
	}
	i := c.run.draw(c.rng)
	k := &c.run.kinds[i]
	begin := len(c.out)
	f := pdu.Frame{Service: k.entry.Service, Command: k.entry.Command, Seq: s.seq}
	c.out = f.AppendHeader(c.out)
	body, about := k.body(c.out, c.rng)
	c.out = body
	binary.BigEndian.PutUint32(c.out[begin:], uint32(len(c.out)-begin))
	s.kind, s.about, s.at = uint8(i), about, at
	c.waiting++
	return true
}

// free takes a slot; nil: there is none. The caller holds c.mu.
func (c *conn) free() *slot {
	for range c.slots {
		if c.seq++; c.seq == 0 {
			c.seq++
		}
		s := &c.slots[int(c.seq)&(len(c.slots)-1)]
		if !s.taken {
			*s = slot{seq: c.seq, taken: true}
			return s
		}
	}
	return nil
}

// flush sends what is to be sent.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err
}

// next returns the next frame, whose body holds until the next call. The error is
// os.ErrDeadlineExceeded when none came in time; then one may call again.
func (c *conn) next() (f pdu.Frame, err error) {
	head, err := c.in.Peek(pdu.HeaderLen)
	if err != nil {
		return f, c.ended(err)
	}
	h := pdu.ParseHeader([pdu.HeaderLen]byte(head))
	if h.Length < pdu.HeaderLen || h.Length > maxAnswer {
		return f, &pdu.LengthError{Length: h.Length, Max: maxAnswer}
	}
	f = pdu.Frame{Service: h.Service, Command: h.Command, Seq: h.Seq}
	length := int(h.Length)
	if length <= c.in.Size() {
		all, err := c.in.Peek(length)
		if err != nil {
			return f, c.ended(err)
		}
		f.Body = all[pdu.HeaderLen:]
		_, err = c.in.Discard(length)
		return f, err
	}
	// What does not come within a while ends the connection.
	c.net.SetReadDeadline(time.Now().Add(c.run.Timeout))
	defer func() { c.net.SetReadDeadline(time.Now().Add(lookEvery)) }()
	c.long = slices.Grow(c.long[:0], length)[:length]
	if _, err := io.ReadFull(c.in, c.long); err != nil {
		return f, fmt.Errorf("in the midst of an answer of %d bytes: %w", length, c.ended(err))
	}
	f.Body = c.long[pdu.HeaderLen:]
	return f, nil
}

// ended names the end of a connection.
func (c *conn) ended(err error) error {
	for _, closed := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, closed) {
			return errClosed
		}
	}
	return err
}

// whole says whether the next frame is there already.
func (c *conn) whole() bool {
	if c.in.Buffered() < pdu.HeaderLen {
		return false
	}
	head, _ := c.in.Peek(pdu.HeaderLen) // it is there
	return c.in.Buffered() >= int(binary.BigEndian.Uint32(head))
}

// take notes what a frame answers, which came at a time since the run began. The result is false
// when it answers nothing.
func (c *conn) take(f pdu.Frame, at time.Duration) (was bool, err error) {
	switch f.Command {
	case catalog.Heartbeat:
		return false, nil
	case catalog.StopReceiving:
		return false, errStopping
	}
	c.mu.Lock()
	s := &c.slots[int(f.Seq)&(len(c.slots)-1)]
	if !s.taken || s.seq != f.Seq {
		c.mu.Unlock()
		return false, fmt.Errorf("%w: a frame came that answers nothing: command 0x%04x, "+
			"sequence number %d", errConfused, f.Command, f.Seq)
	}
	got := *s
	s.taken = false
	if !got.late {
		c.waiting--
	}
	c.answered++
	thorough := c.answered%thoroughly == 1
	c.mu.Unlock()
	if got.late { // it is counted as missing
		return true, nil
	}
	k := &c.run.kinds[got.kind]
	c.tally.note(c.run, got, at, len(f.Body), k.judge(f, got.about, thorough))
	return true, nil
}

// judge is what is wrong with an answer; nil: nothing.
func (k *prepared) judge(f pdu.Frame, about uint32, thorough bool) error {
	if f.Command != k.entry.AnswerCommand {
		return fmt.Errorf("it was answered by command 0x%04x, not 0x%04x", f.Command,
			k.entry.AnswerCommand)
	}
	g, err := look(f.Body, k.list, k.value)
	if err == nil {
		err = k.glance(g)
	}
	if err != nil || !thorough {
		return err
	}
	answer := catalog.New(k.entry.Answer)
	if err := proto.Unmarshal(f.Body, answer); err != nil {
		return fmt.Errorf("%w: %w", errNoMessage, err)
	}
	return k.thorough(answer, about)
}

// giveUp gives up what was not answered in time, at a time since the run began, and returns how
// many requests that were.
func (c *conn) giveUp(at time.Duration) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.tally.missed(n) }()
	for i := range c.slots {
		s := &c.slots[i]
		if s.taken && !s.late && at-s.at >= c.run.Timeout {
			s.late = true
			c.waiting--
			n++
		}
	}
	return n
}

// closedLoop keeps so many requests in flight while the run lasts, and waits for their answers.
func (c *conn) closedLoop(inFlight int) error {
	c.mu.Lock()
	for range inFlight {
		c.ask(c.run.now()) // there is a slot for each
	}
	c.mu.Unlock()
	if err := c.flush(); err != nil {
		return c.ended(err)
	}
	return c.read(func(at time.Duration) error {
		c.mu.Lock()
		for at < c.run.end && c.waiting < inFlight {
			if !c.ask(at) {
				c.mu.Unlock()
				return errLate
			}
		}
		c.mu.Unlock()
		if c.whole() {
			return nil
		}
		return c.flush()
	})
}

// openLoop waits for answers to what pace sends.
func (c *conn) openLoop() error {
	defer c.over.Store(true)
	return c.read(func(time.Duration) error { return nil })
}

// pace sends a request at every interval, on one connection after the other, however the answers
// come, until the run is over or all connections are. One that is sent too late, as a connection
// takes no more, still counts from the time at which it was to be sent.
func (r *run) pace(all []*conn, every float64) {
	// A thread of its own sleeps precisely, and does not hand its processor over each time.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := r.now()
	var dirty []*conn // which are to send something
	for n := 0; ; n++ {
		at := time.Duration(float64(n) * every)
		if at >= r.end {
			break
		}
		if now >= r.end { // the rest was to be sent, and was not
			all[0].tally.missed(int(float64(r.end)/every) - n)
			break
		}
		if at > now || len(dirty) >= openBatch {
			flush(dirty)
			dirty = dirty[:0]
			pause(at - r.now())
		}
		c := living(all, n)
		if c == nil {
			return
		}
		c.mu.Lock()
		asked := c.ask(at)
		c.mu.Unlock()
		if !asked { // so many wait that it would not be answered in time either
			c.tally.missed(1)
		}
		dirty = append(dirty, c)
		now = r.now()
	}
	flush(dirty)
}

// living is connection n, or the next one that lives; nil: none does.
func living(all []*conn, n int) *conn {
	for i := range all {
		if c := all[(n+i)%len(all)]; !c.over.Load() {
			return c
		}
	}
	return nil
}

// flush has connections send what they are to send.
func flush(dirty []*conn) {
	for _, c := range dirty {
		if err := c.flush(); err != nil {
			c.net.Close() // its reader says why
			c.over.Store(true)
		}
	}
}

// read takes answers until the run is over and nothing waits any more. After each, and now and
// then, it calls after, with the time since the run began. The error says why it ended before.
func (c *conn) read(after func(at time.Duration) error) error {
	at := c.run.now()
	heard, look, beat := at, at, at+beatEvery
	for {
		if at >= look {
			if c.giveUp(at) > 0 && at-heard >= c.run.Timeout {
				return errSilent
			}
			if at >= beat {
				heartbeat := pdu.Frame{Service: 7, Command: catalog.Heartbeat}
				if _, err := c.net.Write(heartbeat.Append(nil)); err != nil {
					return c.ended(err)
				}
				beat = at + beatEvery
			}
			look = at + lookEvery
			c.net.SetReadDeadline(time.Now().Add(lookEvery))
		}
		if at >= c.run.end && c.idle() {
			return nil
		}
		there := c.whole()
		f, err := c.next()
		if !there {
			at = c.run.now()
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return err
		default:
			was, err := c.take(f, at)
			if err != nil {
				return err
			}
			if was {
				heard = at
			}
		}
		if err := after(at); err != nil {
			return c.ended(err)
		}
	}
}

// idle says that nothing waits for an answer.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting == 0
}
