package command

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// bulky is for a change whose answer may be long: its connection is not read on before there is
// memory for a usual answer. If a change that only reads has a list that turns out to be longer, it
// begins again when there is memory for all of it.
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
			bytes := c.longer(err)
			if bytes == 0 {
				done(answer, err)
				return
			}
			h.tasks.Go(func() { // its lane must not wait for memory
				if err := c.reserve(bytes); err != nil {
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

// asLongAsBefore says that all long answers of an action are about as long.
func (a action) asLongAsBefore() action {
	a.alike = true
	return a
}

// How many bytes one item of a list takes in an answer at the most: what the tables allow, and what
// the encoding adds.
const (
	userBytes   = 3 << 10
	shieldBytes = 32
	tokenBytes  = 4*chat.MaxToken + 64
	memberBytes = 6
)

// groupBytes is how many bytes a group rarely exceeds: its names, and some hundred members.
const groupBytes = 4 << 10

// The following say how many bytes an answer usually takes at the most, for read and bulky.

// slack is reserved beside a list, for what else the answer has.
const slack = 4 << 10

// list is at first for a list of any length.
func list[Q proto.Message](Q) int { return chat.MaxAnswer + slack }

// short is for a list that may be long, but rarely is: then it is asked for once more.
func short[Q proto.Message](Q) int { return 32 << 10 }

// items is for n items of so many bytes each, but no more than for a list of any length.
func items(n, bytes int) int { return min(n*bytes, chat.MaxAnswer) + slack }

// few is for an answer that is hardly longer than its request.
func few[Q proto.Message](Q) int { return 0 }

// first is how many bytes are reserved at first for an answer that usually has no more than usual.
func (c *call) first(usual int) int {
	if c.entry.alike {
		usual = max(usual, int(c.entry.longest.Load())+slack)
	}
	return min(usual, c.most)
}

// longer returns how many bytes to reserve for an answer, if err says that its list did not fit and
// the answer may be short enough to be sent. (How long it is exactly is known when it is made.)
// Else 0.
func (c *call) longer(err error) (bytes int) {
	var long *chat.TooLongError
	switch {
	case !errors.As(err, &long):
		return 0
	case long.Cut:
		return min(long.Bytes+slack, c.most)
	case long.Bytes > 2*c.most:
		return 0
	}
	return long.Bytes + long.Bytes/16 + slack // the list may have grown when it is read again
}

// reserve releases what was reserved before, and waits until there is memory for so many bytes of
// the answer. The error is one of chat's, or server.ErrGone.
func (c *call) reserve(bytes int) error {
	err := c.peer.Reserve(c.ctx, int64(bytes))
	if err != nil && !errors.Is(err, server.ErrGone) {
		return chat.Errorf(chat.Unavailable, "%w waiting for memory for the answer; "+
			"the peer may take its answers too slowly: %w", chat.ErrDropped, err)
	}
	c.reserved = bytes
	return err
}

// limited is the context of a request's work: its lists are limited to what was reserved, if
// anything was.
func (c *call) limited() context.Context { return chat.WithLimit(c.ctx, c.reserved) }

// answerFields is how many bytes are enough for what an answer has beside its list and attach data.
const answerFields = 64

// errTooLong is in the chain of an error if an answer is not sent because it is longer than
// MaxFrame.
var errTooLong = errors.New("the answer is not sent")

func (h *Handler) tooLong(frame int) error {
	return chat.Errorf(chat.Unexpected,
		"%w: with %d bytes it is longer than MaxFrame (%d bytes), and nobody "+
			"could ask for the rest of it; raise MaxFrame to %dMiB or more", errTooLong, frame,
		h.maxFrame, frame>>20+1)
}

// encode makes the body of an answer; nil for none. The error says that the answer is longer than
// MaxFrame, or cannot be encoded. A request that is answered with itself may always be as long as
// it came, with an id added.
func (h *Handler) encode(c *call, answer proto.Message) ([]byte, error) {
	if answer == nil {
		return nil, nil
	}
	if e, ok := answer.(encoded); ok {
		e.body.text(attachData, string(attached(c.req)))
		return h.fitting(e.body)
	}
	if answer != c.req {
		attach(answer, c.req)
	}
	body, err := proto.Marshal(answer)
	if err != nil {
		return nil, chat.Errorf(chat.Unexpected, "the answer cannot be encoded: %w", err)
	}
	if answer == c.req {
		return body, nil
	}
	return h.fitting(body)
}

// fitting returns the body of an answer, or an error that says that it is longer than MaxFrame.
func (h *Handler) fitting(body []byte) ([]byte, error) {
	if n := pdu.HeaderLen + len(body); n > h.maxFrame {
		return nil, h.tooLong(n)
	}
	return body, nil
}
