package command

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// mostTogether is how many reads of one kind are served together at most.
const mostTogether = 64

// reading is how requests of one kind are read.
type reading struct {
	// usual is how many bytes an answer rarely exceeds.
	usual func(req proto.Message) int
	// acksOf are the users whose unread messages are counted: the read acks that they sent before
	// are awaited. Nil: none are counted.
	acksOf func(req proto.Message) []uint32
	// together is how many requests are served together at most.
	together int
	// serve answers requests: as many answers, in their order.
	serve func(ctx context.Context, s *chat.Service, batch []*call) []reply
}

// reply is an answer, or why there is none.
type reply struct {
	answer proto.Message
	err    error
	// alone makes the answer, with the request's own context and a slot of reads for itself, where
	// that may take longer than others of the batch are to wait. Nil: the answer is there.
	alone func(ctx context.Context) (proto.Message, error)
}

// answers makes replies of results. answer makes the answer of the i-th request.
func answers[T any](
	results []chat.Result[T], answer func(i int, value T) proto.Message,
) []reply {
	replies := make([]reply, len(results))
	for i, r := range results {
		if replies[i].err = r.Err; r.Err == nil {
			replies[i].answer = answer(i, r.Value)
		}
	}
	return replies
}

// asked is one of the requests that are served together.
type asked[Q proto.Message] struct {
	req   Q
	limit int  // how many bytes its list may take in the answer, 0: any
	last  bool // no more memory than that can be had
}

// read is an action that changes nothing: see package command. Requests are served one by one, side
// by side. usual is how many bytes an answer rarely exceeds.
func read[Q proto.Message](usual func(Q) int, do work[Q]) action {
	return reads(1, usual, func(ctx context.Context, s *chat.Service, batch []asked[Q]) []reply {
		answer, err := do(chat.WithLimit(ctx, batch[0].limit), s, batch[0].req)
		return []reply{{answer: answer, err: err}}
	})
}

// together is a read whose requests are served together: do answers them all, in their order.
func together[Q proto.Message](
	usual func(Q) int, do func(ctx context.Context, s *chat.Service, batch []asked[Q]) []reply,
) action {
	return reads(mostTogether, usual, do)
}

func reads[Q proto.Message](
	most int, usual func(Q) int,
	do func(ctx context.Context, s *chat.Service, batch []asked[Q]) []reply,
) action {
	return action{reading: &reading{
		usual:    func(req proto.Message) int { return usual(req.(Q)) },
		together: most,
		serve: func(ctx context.Context, s *chat.Service, batch []*call) []reply {
			all := make([]asked[Q], len(batch))
			for i, c := range batch {
				all[i] = asked[Q]{c.req.(Q), c.reserved, c.reserved == c.most}
			}
			return do(ctx, s, all)
		},
	}}
}

// counting says whose unread messages a read counts.
func counting[Q proto.Message](users func(Q) []uint32, a action) action {
	a.acksOf = func(req proto.Message) []uint32 { return users(req.(Q)) }
	return a
}

// begin has a request read, as soon as there is memory for its usual answer, and the read acks have
// taken effect that it must see. It does not wait.
func (h *Handler) begin(c *call) {
	h.tasks.Add(1)
	e := c.entry
	bytes := c.first(e.usual(c.req))
	var users []uint32
	if e.acksOf != nil {
		users = e.acksOf(c.req)
	}
	if !h.chat.AcksPending(users) && c.peer.TryReserve(int64(bytes)) {
		c.reserved = bytes
		e.stage.Serve(c)
		return
	}
	h.waits.Go(func() {
		err := c.reserve(bytes)
		if err == nil {
			err = h.chat.AwaitAcks(c.ctx, users)
		}
		c.serve(err)
	})
}

// serve has a request served whose memory is reserved, unless err says why it must not be.
func (c *call) serve(err error) {
	if err != nil {
		c.done(nil, err)
		return
	}
	c.left.Store(false)
	c.entry.stage.Serve(c)
}

// serveAll answers the requests of a batch. A panic is a fault of ours that must not end other
// requests: after one each request is served alone.
func (h *Handler) serveAll(ctx context.Context, batch []*call) {
	replies, err := recovered(func() ([]reply, error) {
		return batch[0].entry.serve(ctx, h.chat, batch), nil
	})
	if err != nil && len(batch) > 1 {
		for _, c := range batch {
			h.serveAll(ctx, []*call{c})
		}
		return
	}
	for i, c := range batch {
		r := reply{err: err}
		if err == nil {
			r = replies[i]
		}
		h.replied(c, r)
	}
}

// replied answers a request. If its list was longer than the memory that was reserved, that is
// released, and the request is served again when there is memory for all of the list. So while it
// waits, it holds nothing that others need.
func (h *Handler) replied(c *call, r reply) {
	if c.left.Swap(true) {
		return // it was dropped meanwhile
	}
	if r.alone != nil {
		h.waits.Go(func() { h.grown(c, h.alone(c, r.alone)) })
		return
	}
	h.grown(c, r)
}

// alone has a request served alone, in its connection's turn.
func (h *Handler) alone(c *call, do func(context.Context) (proto.Message, error)) (r reply) {
	if err := h.chat.Reads().Acquire(c.ctx); err != nil {
		return reply{err: dropped(err)}
	}
	defer h.chat.Reads().Release()
	r.answer, r.err = recovered(func() (proto.Message, error) { return do(c.limited()) })
	return r
}

// grown answers a request, or has it served again if its list was longer than its memory.
func (h *Handler) grown(c *call, r reply) {
	if bytes := c.longer(r.err); bytes > 0 {
		h.waits.Go(func() { c.serve(c.reserve(bytes)) })
		return
	}
	c.done(r.answer, r.err)
}

// dropped is the error of a request that nobody served in time, for that cause.
func dropped(cause error) error {
	return chat.Errorf(chat.Unavailable, "%w waiting for the store: %w", chat.ErrDropped, cause)
}

// Context implements turns.Request.
func (c *call) Context() context.Context { return c.ctx }

// Drop implements turns.Request.
func (c *call) Drop(waited bool, cause error) {
	if c.left.Swap(true) {
		return // it is answered
	}
	err := chat.Errorf(chat.Unavailable, "the store is slow: %w", cause)
	if waited {
		err = dropped(cause)
	}
	c.done(nil, err)
}
