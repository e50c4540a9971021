package command

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// read is a command that only looks, and whose answer is rarely longer than that, in bytes. Reads
// run side by side, a bounded number of them. Each waits before its work until there is memory for
// such an answer. Where its list turns out to be longer, it lets go of the store and of that memory,
// waits for memory for all of it, and looks again: whoever waits keeps nothing from others.
func read[Q proto.Message](
	usual func(Q) int, do func(ctx context.Context, s *chat.Service, req Q) (proto.Message, error),
) action {
	return readAfter(nil, usual, do)
}

// readAfter is a read that counts unread messages of users, and so waits for the read acks sent before it.
func readAfter[Q proto.Message](
	users func(Q) []uint32, usual func(Q) int,
	do func(ctx context.Context, s *chat.Service, req Q) (proto.Message, error),
) action {
	return action{start: func(h *Handler, c *call, done func(proto.Message, error)) {
		h.tasks.Go(func() {
			req := c.req.(Q)
			err := c.reserve(c.first(usual(req)))
			if err == nil && users != nil {
				err = h.chat.AwaitAcks(c.ctx, users(req))
			}
			for err == nil {
				var answer proto.Message
				h.chat.Limited(c.ctx, guarded(h, c, do, func(a proto.Message, e error) { answer, err = a, e }))
				room := c.longer(err)
				if room == 0 {
					done(answer, err)
					return
				}
				answer = nil
				err = c.reserve(room)
			}
			done(nil, err)
		})
	}}
}

// bulky marks a change whose answer may be long: the connection is not read on before there is
// memory for a usual one. A change that only looks, and whose list turns out to be longer, is begun
// again when there is memory for all of it.
func bulky[Q proto.Message](usual func(Q) int, a action) action {
	start := a.start
	a.start = func(h *Handler, c *call, finished func(proto.Message, error)) {
		h.tasks.Add(1)
		done := func(answer proto.Message, err error) {
			defer h.tasks.Done()
			finished(answer, err)
		}
		if err := c.reserve(c.first(usual(c.req.(Q)))); err != nil {
			done(nil, err)
			return
		}
		var again func(answer proto.Message, err error)
		again = func(answer proto.Message, err error) {
			room := c.longer(err)
			if room == 0 {
				done(answer, err)
				return
			}
			h.tasks.Go(func() { // its lane must not wait for memory
				if err := c.reserve(room); err != nil {
					done(nil, err)
					return
				}
				start(h, c, again)
			})
		}
		start(h, c, again)
	}
	return a
}

// asLongAsBefore says that long answers of a command are all about as long.
func (a action) asLongAsBefore() action {
	a.alike = true
	return a
}

// Bounds of what one item of a list takes in an answer, bytes: what the tables allow, and what the
// encoding adds.
const (
	userBytes    = 3 << 10
	sessionBytes = 4*chat.MaxContent + 64
	shieldBytes  = 32
	tokenBytes   = 4*chat.MaxToken + 64
	memberBytes  = 6
)

// slack is what is reserved beside a list.
const slack = 4 << 10

// list is the room for a page, and a first one for lists of any length.
func list[Q proto.Message](Q) int { return chat.MaxAnswer + slack }

// items is the room for n items of so many bytes each, but no more than for a list of any length.
func items(n, bytes int) int { return min(n*bytes, chat.MaxAnswer) + slack }

// few is the room of an answer that is hardly longer than its request.
func few[Q proto.Message](Q) int { return 0 }

// first is how much is reserved at first for an answer that usually is no longer than that.
func (c *call) first(usual int) int {
	if c.entry.alike {
		usual = max(usual, int(c.entry.longest.Load())+slack)
	}
	return min(usual, c.most)
}

// longer returns how many bytes an answer needs, when err says that its list did not fit, and it may
// be short enough to be sent: how long it is exactly is seen when it is made. Else it is 0.
func (c *call) longer(err error) (room int) {
	var long *chat.TooLongError
	if !errors.As(err, &long) || long.Bytes > 2*c.most {
		return 0
	}
	return long.Bytes + long.Bytes/16 + slack // it may have grown when it is read again
}

// reserve waits until there is memory for so many bytes of the answer, and gives back first what was
// reserved before. The error is one of chat's, or server.ErrGone.
func (c *call) reserve(bytes int) error {
	err := c.peer.Reserve(c.ctx, int64(bytes))
	if err != nil && !errors.Is(err, server.ErrGone) {
		return chat.Errorf(chat.Unavailable, "%w waiting for memory for the answer; the peer may take its answers too slowly: %w",
			chat.ErrDropped, err)
	}
	c.room = bytes
	return err
}

// roomy is the context of a request's work: with as much room as was reserved, if any was.
func (c *call) roomy() context.Context {
	if c.room == 0 {
		return c.ctx
	}
	return chat.WithLimit(c.ctx, c.room)
}

// answerFields is enough for what an answer has beside its list and its attach data.
const answerFields = 64

// errTooLong is in the chain of errors of answers that are not sent, as they are longer than
// MaxFrame.
var errTooLong = errors.New("the answer is not sent")

func (h *Handler) tooLong(frame int) error {
	return chat.Errorf(chat.Unexpected, "%w: with %d bytes it is longer than MaxFrame (%d bytes), and nobody "+
		"could ask for the rest of it; raise MaxFrame to %dMiB or more", errTooLong, frame, h.maxFrame, frame>>20+1)
}

// encode makes the body of an answer; nil for none. The error says that it cannot be sent, as it is
// longer than MaxFrame, or that it cannot be encoded. A message that is answered with itself may
// always be as long as it came, and have an id.
func (h *Handler) encode(c *call, answer proto.Message) ([]byte, error) {
	if answer == nil {
		return nil, nil
	}
	if answer != c.req {
		attach(answer, c.req)
	}
	body, err := proto.Marshal(answer)
	if err != nil {
		return nil, chat.Errorf(chat.Unexpected, "the answer cannot be encoded: %w", err)
	}
	if n := pdu.HeaderLen + len(body); n > h.maxFrame && answer != c.req {
		return nil, h.tooLong(n)
	}
	return body, nil
}
