// Package command is the edge where protobuf ends. It has a table with one entry for each request
// of the protocol: the entry decodes the request, calls chat once, and encodes the answer.
//
// # The way of a request
//
// The server calls Handler.Start with a frame. Start finds the request's entry by the frame's
// command number and decodes the body (decode.go adds how proto2 treats unknown enum values). Then
// it starts the entry's action, of which there are three kinds:
//
//   - A read (read.go) goes to the stage of its kind, where those that wait are served together:
//     see turns.Stage. Before that it reserves memory for its longest usual answer: so nothing is
//     read for a peer that does not take its answers. If its list turns out to be longer, it
//     releases that memory and is served again with more: a list is told whole or not at all. What
//     it does not need it releases with the answer.
//   - A change goes into its lane: see chat.Lane.
//   - Messages and read acks wait in the lane of their talk, and are stored by chat's committer.
//
// Whose request it is, Start says in the context (turns.AskedBy): by that connections take turns.
//
// # Errors
//
// One function, Handler.fail, turns an error into an answer, by the error's kind, and logs it:
//
//	NotFound, NotAllowed, Invalid   what docs/protocol.md says: code 1, msg_id 0, or no answer
//	Unavailable (nothing stored)    login code 2, result_code 1, msg_id 0, or no answer
//	UnknownOutcome                  result_code 1, or no answer; never msg_id 0
//
// An entry has a function refusal, which makes its answer to an error.
//
// # A new request
//
// Add its message to proto/ and to catalog, its rule to chat, and here an entry to the file of its
// area: people.go, groups.go, and so on.
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
	"github.com/teamtalk-go/dbproxy/internal/turns"
)

// Handler answers the requests of the protocol. It implements server.Handler. Its methods are safe
// for concurrent use.
type Handler struct {
	// Never changed after New.
	chat     *chat.Service
	log      *slog.Logger
	commands map[uint16]*entry // by command number
	maxFrame int               // bytes
	observe  func(request string, what Outcome, took time.Duration)

	tasks   sync.WaitGroup // of requests that are at work, but for changes that are not bulky
	waits   sync.WaitGroup // of the goroutines of reads that wait for memory or for read acks
	refused atomic.Int64   // requests that were refused, unparsable and unknown ones included
	failed  atomic.Int64   // requests that the store, or a fault of ours, kept from being served
}

// Options of a Handler.
type Options struct {
	// Log gets a line for each request that is not served. (Package repeats keeps these from
	// flooding the log.)
	Log *slog.Logger
	// MaxFrame is how long an answer may be, in bytes, header included; 0 means 16 MiB. A longer
	// one is not sent.
	MaxFrame int
	// Observe is told of every request, just before it is finished: the name of its message
	// (UnknownName if there is no such request), what became of it, and how long that took since
	// Start. It is called from many goroutines and must be quick. Nil means that nobody wants to
	// know.
	Observe func(request string, what Outcome, took time.Duration)
}

// entry is one row of the table of requests.
type entry struct {
	catalog.Entry
	action
	name    string              // of the request's message
	longest atomic.Int64        // how many bytes the longest answer so far had
	stage   *turns.Stage[*call] // of a read
}

// action is what is done for a request.
type action struct {
	*reading // of a read, which has no start
	// start begins the work of one request. It waits only while a queue is full, and calls done
	// once.
	start func(h *Handler, c *call, done func(answer proto.Message, err error))
	// refusal makes the answer to an error, nil for no answer. If the function is nil, errors have
	// no answer.
	refusal func(req proto.Message, err error) proto.Message
	// user is the user's name in a request, for the log when it is refused. If the function is nil,
	// the request has none.
	user func(req proto.Message) string
	// alike says that all long answers are about as long: then memory for the longest one so far is
	// reserved at once.
	alike bool
}

// call is one request at work. It belongs to the goroutine that works on it.
type call struct {
	ctx      context.Context
	peer     server.Peer
	entry    *entry
	seq      uint16
	begun    time.Time
	finish   func(answer pdu.Frame, ok bool)
	req      proto.Message
	most     int // bytes of the longest answer that may be sent, without its frame and attach data
	reserved int // bytes of memory for the answer
	// Of a read: done finishes it, and is called once. While it is with its stage, who may do so is
	// the one who sets left.
	done func(answer proto.Message, err error)
	left atomic.Bool
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
		row := &entry{Entry: e, action: table[e.Name()], name: e.Name()}
		if row.reading != nil {
			row.stage = turns.NewStage(svc.Reads(), row.together, h.serveAll)
		}
		h.commands[e.Command] = row
	}
	return h
}

// Counts returns how many requests were refused, unparsable and unknown ones included, and how many
// failed.
func (h *Handler) Counts() (refused, failed int64) { return h.refused.Load(), h.failed.Load() }

// Wait returns when nothing that was started is pending any more.
func (h *Handler) Wait() {
	h.tasks.Wait()
	h.waits.Wait()
	for _, e := range h.commands {
		if e.stage != nil {
			e.stage.Wait()
		}
	}
}

// Start implements server.Handler.
func (h *Handler) Start(
	ctx context.Context, p server.Peer, f pdu.Frame, finish func(answer pdu.Frame, ok bool),
) {
	begun := time.Now()
	e := h.commands[f.Command]
	if e == nil {
		h.note(slog.LevelInfo, "refused", "peer", p.String(), "command", hex(f.Command),
			"reason", "unknown command", "bytes", len(f.Body))
		h.observe(UnknownName, Unknown, time.Since(begun))
		finish(pdu.Frame{}, false)
		return
	}
	c := &call{ctx: turns.AskedBy(ctx, turns.Asker(p.Conn())), peer: p, entry: e, seq: f.Seq,
		begun: begun, finish: finish}
	req, err := decode(e.Request, f.Body)
	if err != nil {
		h.note(slog.LevelInfo, "refused", "peer", p.String(), "command", hex(f.Command),
			"message", e.Name(), "reason", "the body does not parse: "+
				err.Error(), "bytes", len(f.Body))
		// Only an unparsable login has an answer, which lacks required fields on purpose. The body
		// of no answer is nil.
		body, _ := proto.MarshalOptions{AllowPartial: true}.Marshal(unparsable(e))
		h.send(c, Unparsable, body)
		return
	}
	c.req, c.most = req, max(1, h.maxFrame-pdu.HeaderLen-len(attached(req))-answerFields)
	done := func(answer proto.Message, err error) {
		var body []byte
		if err == nil {
			body, err = h.encode(c, answer)
		}
		// When a connection is gone, its own last line in the log says how many requests have no
		// answer.
		if err != nil && !errors.Is(err, server.ErrGone) {
			body = h.fail(c, err)
		}
		h.send(c, outcomeOf(err), body)
	}
	if e.reading == nil {
		e.start(h, c, done)
		return
	}
	c.done = func(answer proto.Message, err error) {
		defer h.tasks.Done()
		done(answer, err)
	}
	h.begin(c)
}

// fail logs an error and makes the body of the answer to it; nil for none.
func (h *Handler) fail(c *call, err error) (body []byte) {
	e := c.entry
	var long *chat.TooLongError
	if errors.As(err, &long) {
		err = h.tooLong(long.Bytes + h.maxFrame - c.most)
	}
	// A change whose answer is too long was done, so it must not be answered as refused.
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
	words := []any{"peer", c.peer.String(), "message", e.name, "kind", kind.String(),
		"reason", err.Error(), "answered", body != nil}
	if e.user != nil {
		words = append(words, "user", shown(e.user(c.req)))
	}
	h.note(level, what, words...)
	return body
}

// note counts and logs a request that was not served.
func (h *Handler) note(level slog.Level, what string, args ...any) {
	if level == slog.LevelError {
		h.failed.Add(1)
	} else {
		h.refused.Add(1)
	}
	h.log.Log(context.Background(), level, what, args...)
}

// send finishes the request with the body of its answer; nil means none.
func (h *Handler) send(c *call, what Outcome, body []byte) {
	h.observe(c.entry.name, what, time.Since(c.begun))
	if body == nil {
		c.finish(pdu.Frame{}, false)
		return
	}
	if n := int64(len(body)); n > c.entry.longest.Load() {
		c.entry.longest.Store(n) // if two store at once, either will do
	}
	c.finish(pdu.Frame{
		Service: c.entry.Service, Command: c.entry.AnswerCommand, Seq: c.seq, Body: body,
	}, true)
}

// attaching is what every message has that has the caller's routing data.
type attaching interface{ GetAttachData() []byte }

// attachData is the number of the field with that data.
const attachData = 20

// attach echoes the request's attach_data. The answer has the field even if the request had none.
func attach(answer, req proto.Message) {
	_, echoes := answer.(attaching)
	_, sent := req.(attaching)
	if !echoes || !sent {
		return
	}
	data := attached(req)
	if data == nil {
		data = []byte{}
	}
	m := answer.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByNumber(attachData), protoreflect.ValueOfBytes(data))
}

// attached is the attach_data of a request, nil when it has none.
func attached(req proto.Message) []byte {
	if m, ok := req.(attaching); ok {
		return m.GetAttachData()
	}
	return nil
}

// work is what an action does once its turn has come. Q is the type of its request.
type work[Q proto.Message] func(ctx context.Context, s *chat.Service, req Q) (proto.Message, error)

// change is an action that changes something: it takes effect in its lane, in the order read.
func change[Q proto.Message](lane func(Q) chat.Lane, do work[Q]) action {
	return action{start: func(h *Handler, c *call, done func(proto.Message, error)) {
		h.chat.Ordered(c.ctx, lane(c.req.(Q)), guarded(h, c, do, done))
	}}
}

// refusing gives an action its answer to errors.
func (a action) refusing(refusal func(req proto.Message, err error) proto.Message) action {
	a.refusal = refusal
	return a
}

// naming has the log name the user when a request is refused.
func (a action) naming(user func(req proto.Message) string) action {
	a.user = user
	return a
}

// guarded returns a function that does the work, unless it is given an error, and then calls done.
// A panic is a fault of ours that must not end the other requests: it becomes an error.
func guarded[Q proto.Message](
	h *Handler, c *call, do work[Q], done func(proto.Message, error),
) func(error) {
	return func(err error) {
		var answer proto.Message
		if err == nil {
			answer, err = recovered(func() (proto.Message, error) {
				return do(c.limited(), h.chat, c.req.(Q))
			})
		}
		done(answer, err)
	}
}

func recovered[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = chat.Errorf(chat.Unexpected, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

func hex(command uint16) string { return fmt.Sprintf("0x%04x", command) }
