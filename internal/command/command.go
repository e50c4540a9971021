// Package command is the edge where protobuf ends: a table of commands, each decoding its request, calling into chat
// once, and encoding the answer. One place (Handler.fail) turns errors into answers.
package command

import (
	"cmp"
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
	maxFrame int
	tasks    sync.WaitGroup

	refused atomic.Int64 // requests that were refused, broken and unknown ones included
	failed  atomic.Int64 // requests that the storage, or a fault of ours, kept from being served

	observe func(request string, what Outcome, took time.Duration)
}

// Options of a Handler.
type Options struct {
	Log *slog.Logger // gets a line for each request that is not served: see repeats for what bounds that
	// MaxFrame is how long an answer may be, in bytes, header included; 0: 16 MiB. A longer one is not sent.
	MaxFrame int
	// Observe is told of every request, just before it is finished: its message's name (UnknownName when there is no such
	// request), what became of it, and how long that took since Start. It is called from many goroutines and must be
	// quick. Nil means nobody wants to know.
	Observe func(request string, what Outcome, took time.Duration)
}

// entry is one row of the table of commands.
type entry struct {
	catalog.Entry
	action
	name    string       // of the request
	longest atomic.Int64 // answer to it so far, in bytes
}

// action is what a command does.
type action struct {
	// start begins the work of one request and waits for nothing but room in a queue. It calls done once.
	start func(h *Handler, c *call, done func(answer proto.Message, err error))
	// refusal is the answer that tells of an error, nil for none. A nil function means that there is never one.
	refusal func(req proto.Message, err error) proto.Message
	// user is who a request is about by name, for the log when it is refused; nil: nobody.
	user func(req proto.Message) string
	// alike is whether its long answers are all about as long: then memory for the longest one so far
	// is reserved at once.
	alike bool
}

// call is one request at work.
type call struct {
	ctx   context.Context
	peer  server.Peer
	req   proto.Message
	entry *entry
	most  int // bytes of the longest answer that may be sent, without its frame and attach data
	room  int // bytes reserved for the answer
}

// New makes a handler on a service.
func New(svc *chat.Service, opt Options) *Handler {
	h := &Handler{
		chat: svc, log: opt.Log, commands: make(map[uint16]*entry),
		observe: opt.Observe, maxFrame: cmp.Or(opt.MaxFrame, 16<<20),
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
		h.note(slog.LevelInfo, "refused", "peer", p.String(), "command", hex(f.Command), "reason", "unknown command", "bytes", len(f.Body))
		h.observe(UnknownName, Unknown, time.Since(begun))
		finish(pdu.Frame{}, false)
		return
	}
	r := reply{entry: e, seq: f.Seq, begun: begun, finish: finish}
	req, err := decode(e.Request, f.Body)
	if err != nil {
		h.note(slog.LevelInfo, "refused", "peer", p.String(), "command", hex(f.Command), "message", e.Name(),
			"reason", "the body does not parse: "+err.Error(), "bytes", len(f.Body))
		// The one answer that lacks required fields on purpose is that to an unparsable login; of nothing
		// there is no body.
		body, _ := proto.MarshalOptions{AllowPartial: true}.Marshal(unparsable(e))
		h.send(r, Unparsable, body)
		return
	}
	c := &call{ctx: chat.AskedBy(ctx, chat.Asker(p.Conn())), peer: p, req: req, entry: e}
	c.most = max(1, h.maxFrame-pdu.HeaderLen-len(attached(req))-answerFields)
	e.start(h, c, func(answer proto.Message, err error) {
		var body []byte
		if err == nil {
			body, err = h.encode(c, answer)
		}
		// Of a connection that is gone its own last line says how many requests have no answer.
		if err != nil && !errors.Is(err, server.ErrGone) {
			body = h.fail(e, c, err)
		}
		h.send(r, outcomeOf(err), body)
	})
}

// fail logs an error and chooses the answer to it.
func (h *Handler) fail(e *entry, c *call, err error) (body []byte) {
	var long *chat.TooLongError
	if errors.As(err, &long) {
		err = h.tooLong(long.Bytes + h.maxFrame - c.most)
	}
	// What was done before its answer turned out too long must not be told as refused.
	if e.refusal != nil && !errors.Is(err, chat.ErrNoGroup) && !errors.Is(err, errTooLong) {
		var unsent error
		if body, unsent = h.encode(c, e.refusal(c.req, err)); unsent != nil {
			err = errors.Join(err, unsent)
		}
	}
	kind := chat.KindOf(err)
	level, what := slog.LevelError, "failed"
	if chat.Refused(err) {
		level, what = slog.LevelInfo, "refused"
	}
	words := []any{"peer", c.peer.String(), "message", e.name, "kind", kind.String(), "reason", err.Error(),
		"answered", body != nil}
	if e.user != nil {
		words = append(words, "user", shown(e.user(c.req)))
	}
	h.note(level, what, words...)
	return body
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

// send finishes the request with the body of its answer; nil means none.
func (h *Handler) send(r reply, what Outcome, body []byte) {
	h.observe(r.entry.name, what, time.Since(r.begun))
	if body == nil {
		r.finish(pdu.Frame{}, false)
		return
	}
	if n := int64(len(body)); n > r.entry.longest.Load() {
		r.entry.longest.Store(n) // of two at once either will do
	}
	r.finish(pdu.Frame{Service: r.entry.Service, Command: r.entry.AnswerCommand, Seq: r.seq, Body: body}, true)
}

// attachData is the field of the caller's opaque routing data, in every message that has one.
const attachData = 20

// attach echoes the request's attach_data; the field is present in the answer even when the request had none.
func attach(answer, req proto.Message) {
	to := answer.ProtoReflect()
	field := to.Descriptor().Fields().ByNumber(attachData)
	if field == nil || req.ProtoReflect().Descriptor().Fields().ByNumber(attachData) == nil {
		return
	}
	data := attached(req)
	if data == nil {
		data = []byte{}
	}
	to.Set(field, protoreflect.ValueOfBytes(data))
}

// attached is the attach_data of a request, nil when it has none.
func attached(req proto.Message) []byte {
	field := req.ProtoReflect().Descriptor().Fields().ByNumber(attachData)
	if field == nil {
		return nil
	}
	return req.ProtoReflect().Get(field).Bytes()
}

// change is a command that changes something: it takes effect in its lane, in the order read.
func change[Q proto.Message](lane func(Q) chat.Lane, do func(ctx context.Context, s *chat.Service, req Q) (proto.Message, error)) action {
	return action{start: func(h *Handler, c *call, done func(proto.Message, error)) {
		h.chat.Ordered(c.ctx, lane(c.req.(Q)), guarded(h, c, do, done))
	}}
}

// refusing gives an action the answer that tells of an error.
func (a action) refusing(refusal func(req proto.Message, err error) proto.Message) action {
	a.refusal = refusal
	return a
}

// naming has the log name the user of requests that are refused.
func (a action) naming(user func(req proto.Message) string) action {
	a.user = user
	return a
}

// guarded is do for when its turn has come. A panic is a fault of ours that must not take the other requests along.
func guarded[Q proto.Message](h *Handler, c *call, do func(context.Context, *chat.Service, Q) (proto.Message, error), done func(proto.Message, error)) func(error) {
	return func(err error) {
		var answer proto.Message
		if err == nil {
			answer, err = recovered(func() (proto.Message, error) { return do(c.roomy(), h.chat, c.req.(Q)) })
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
