// Package command is the edge where protobuf ends: a table of commands, each decoding its request, calling into chat
// once, and encoding the answer. One place (Handler.fail) turns errors into answers.
package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// Handler answers the requests of the protocol. It implements server.Handler.
type Handler struct {
	chat     *chat.Service
	log      *slog.Logger
	commands map[uint16]*entry
	tasks    sync.WaitGroup

	refused atomic.Int64 // requests that were refused, broken and unknown ones included
	failed  atomic.Int64 // requests that the storage, or a fault of ours, kept from being served

	observe func(request string, what Outcome, took time.Duration)
}

// Options of a Handler.
type Options struct {
	Log *slog.Logger // gets a line for each request that is not served: see repeats for what bounds that
	// Observe is told of every request, just before it is finished: its message's name (UnknownName when there is no such
	// request), what became of it, and how long that took since Start. It is called from many goroutines and must be
	// quick. Nil means nobody wants to know.
	Observe func(request string, what Outcome, took time.Duration)
}

// entry is one row of the table of commands.
type entry struct {
	catalog.Entry
	action
	name string // of the request
}

// action is what a command does.
type action struct {
	// start begins the work of one request and waits for nothing but room in a queue. It calls done once.
	start func(h *Handler, c *call, done func(answer proto.Message, err error))
	// refusal is the answer that tells of an error, nil for none. A nil function means that there is never one.
	refusal func(req proto.Message, err error) proto.Message
}

// call is one request at work.
type call struct {
	ctx  context.Context
	peer server.Peer
	req  proto.Message
}

// New makes a handler on a service.
func New(svc *chat.Service, opt Options) *Handler {
	h := &Handler{
		chat: svc, log: opt.Log, commands: make(map[uint16]*entry),
		observe: opt.Observe,
	}
	if h.observe == nil {
		h.observe = func(string, Outcome, time.Duration) {}
	}
	table := actions()
	for _, e := range catalog.Entries() {
		h.commands[e.Command] = &entry{Entry: e, action: table[e.Name()], name: e.Name()}
	}
	return h
}

// Counts returns how many requests were refused, broken and unknown ones included, and how many failed.
func (h *Handler) Counts() (refused, failed int64) { return h.refused.Load(), h.failed.Load() }

// Wait returns when nothing that was started is under way any more.
func (h *Handler) Wait() { h.tasks.Wait() }

// Start implements server.Handler.
func (h *Handler) Start(ctx context.Context, p server.Peer, f pdu.Frame, finish func(answer pdu.Frame, ok bool)) {
	begun := time.Now()
	e := h.commands[f.Command]
	if e == nil {
		h.note(slog.LevelWarn, "refused", "peer", p.String(), "command", hex(f.Command), "reason", "unknown command", "bytes", len(f.Body))
		h.observe(UnknownName, Unknown, time.Since(begun))
		finish(pdu.Frame{}, false)
		return
	}
	r := reply{entry: e, seq: f.Seq, begun: begun, finish: finish}
	req, err := decode(e.Request, f.Body)
	if err != nil {
		h.note(slog.LevelWarn, "refused", "peer", p.String(), "command", hex(f.Command), "message", e.Name(),
			"reason", "the body does not parse: "+err.Error(), "bytes", len(f.Body))
		h.send(r, Unparsable, unparsable(e))
		return
	}
	c := &call{ctx: chat.AskedBy(ctx, chat.Asker(p.Conn())), peer: p, req: req}
	e.start(h, c, func(answer proto.Message, err error) {
		// Of a connection that is gone its own last line says how many requests have no answer.
		if err != nil && !errors.Is(err, server.ErrGone) {
			answer = h.fail(e, c, err)
		}
		if answer != nil && answer != req {
			attach(answer, req)
		}
		h.send(r, outcomeOf(err), answer)
	})
}

// fail logs an error and chooses the answer to it.
func (h *Handler) fail(e *entry, c *call, err error) proto.Message {
	var answer proto.Message
	if e.refusal != nil && !errors.Is(err, chat.ErrNoGroup) {
		answer = e.refusal(c.req, err)
	}
	kind := chat.KindOf(err)
	level, what := slog.LevelError, "failed"
	switch {
	case kind == chat.Invalid:
		level, what = slog.LevelWarn, "refused"
	case chat.Refused(err):
		level, what = slog.LevelInfo, "refused"
	}
	h.note(level, what, "peer", c.peer.String(), "message", e.Name(), "kind", kind.String(), "reason", err.Error(), "answered", answer != nil)
	return answer
}

// note counts and logs what became of a request that was not served.
func (h *Handler) note(level slog.Level, what string, args ...any) {
	if level == slog.LevelError {
		h.failed.Add(1)
	} else {
		h.refused.Add(1)
	}
	h.log.Log(context.Background(), level, what, args...)
}

// reply is how a request ends.
type reply struct {
	entry  *entry
	seq    uint16
	begun  time.Time
	finish func(pdu.Frame, bool)
}

// send encodes an answer, nil means none, and finishes the request.
func (h *Handler) send(r reply, what Outcome, answer proto.Message) {
	if answer == nil {
		h.observe(r.entry.name, what, time.Since(r.begun))
		r.finish(pdu.Frame{}, false)
		return
	}
	// The one answer that lacks required fields on purpose is that to an unparsable login.
	body, err := proto.MarshalOptions{AllowPartial: true}.Marshal(answer)
	if err != nil {
		h.log.Error("an answer cannot be encoded", "message", catalog.Name(answer), "err", err)
		h.observe(r.entry.name, Failed, time.Since(r.begun))
		r.finish(pdu.Frame{}, false)
		return
	}
	h.observe(r.entry.name, what, time.Since(r.begun))
	r.finish(pdu.Frame{Service: r.entry.Service, Command: r.entry.AnswerCommand, Seq: r.seq, Body: body}, true)
}

// attachData is the field of the caller's opaque routing data, in every message that has one.
const attachData = 20

// attach echoes the request's attach_data; the field is present in the answer even when the request had none.
func attach(answer, req proto.Message) {
	to, from := answer.ProtoReflect(), req.ProtoReflect()
	field := to.Descriptor().Fields().ByNumber(attachData)
	given := from.Descriptor().Fields().ByNumber(attachData)
	if field == nil || given == nil {
		return
	}
	data := from.Get(given).Bytes()
	if data == nil {
		data = []byte{}
	}
	to.Set(field, protoreflect.ValueOfBytes(data))
}

// read is a command that only looks, and whose answer is that much longer than the request at the
// most, in bytes. Reads run side by side, a bounded number of them. Each waits before its work
// until there is memory for the longest answer.
func read[Q proto.Message](longest func(Q) int, do func(ctx context.Context, s *chat.Service, req Q) (proto.Message, error)) action {
	return readAfter(nil, longest, do)
}

// readAfter is a read that counts unread messages of users, and so waits for the read acks sent before it.
func readAfter[Q proto.Message](users func(Q) []uint32, longest func(Q) int, do func(ctx context.Context, s *chat.Service, req Q) (proto.Message, error)) action {
	return action{start: func(h *Handler, c *call, done func(proto.Message, error)) {
		h.tasks.Go(func() {
			req := c.req.(Q)
			if err := c.reserve(longest(req)); err != nil {
				done(nil, err)
				return
			}
			if users != nil {
				if err := h.chat.Settled(c.ctx, users(req)); err != nil {
					done(nil, err)
					return
				}
			}
			h.chat.Limited(c.ctx, guarded(h, c, do, done))
		})
	}}
}

// Bounds of what one item of a list takes in an answer, bytes: what the tables allow, and what the
// encoding adds.
const (
	userBytes    = 3 << 10
	sessionBytes = 4*chat.MaxContent + 64
	shieldBytes  = 32
	tokenBytes   = 4*chat.MaxToken + 64
)

// list is the bound of an answer that is cut at chat.MaxAnswer.
func list[Q proto.Message](Q) int { return chat.MaxAnswer + 4<<10 }

// items is the bound of an answer with n items of so many bytes each.
func items(n, bytes int) int { return min(n*bytes, chat.MaxAnswer) + 4<<10 }

// few is the bound of an answer that is hardly longer than its request.
func few[Q proto.Message](Q) int { return 0 }

// reserve waits until there is memory for an answer that is that much longer than the request. The
// error is one of chat's, or server.ErrGone.
func (c *call) reserve(bytes int) error {
	err := c.peer.Reserve(c.ctx, int64(bytes))
	if err != nil && !errors.Is(err, server.ErrGone) {
		return chat.Errorf(chat.Unavailable, "%w waiting for memory for the answer; the peer may take its answers too slowly: %w",
			chat.ErrDropped, err)
	}
	return err
}

// change is a command that changes something: it takes effect in its lane, in the order read.
func change[Q proto.Message](lane func(Q) chat.Lane, do func(ctx context.Context, s *chat.Service, req Q) (proto.Message, error)) action {
	return action{start: func(h *Handler, c *call, done func(proto.Message, error)) {
		h.chat.Ordered(c.ctx, lane(c.req.(Q)), guarded(h, c, do, done))
	}}
}

// bulky marks a change whose answer may be long: the connection is not read on before there is
// memory for it.
func (a action) bulky() action {
	start := a.start
	a.start = func(h *Handler, c *call, done func(proto.Message, error)) {
		if err := c.reserve(list(c.req)); err != nil {
			done(nil, err)
			return
		}
		start(h, c, done)
	}
	return a
}

// refusing gives an action the answer that tells of an error.
func (a action) refusing(refusal func(req proto.Message, err error) proto.Message) action {
	a.refusal = refusal
	return a
}

// guarded is do for when its turn has come. A panic is a fault of ours that must not take the other requests along.
func guarded[Q proto.Message](h *Handler, c *call, do func(context.Context, *chat.Service, Q) (proto.Message, error), done func(proto.Message, error)) func(error) {
	return func(err error) {
		var answer proto.Message
		if err == nil {
			answer, err = recovered(func() (proto.Message, error) { return do(c.ctx, h.chat, c.req.(Q)) })
		}
		done(answer, err)
	}
}

func recovered(f func() (proto.Message, error)) (answer proto.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, chat.Errorf(chat.Unexpected, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

func hex(command uint16) string { return fmt.Sprintf("0x%04x", command) }
