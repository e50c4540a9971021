package command

import (
	"errors"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// Outcome is what became of a request, in one word, for metrics.
type Outcome string

// The outcomes.
const (
	// Answered: it was done, and answered where it has an answer.
	Answered Outcome = "answered"
	// Refused: the rules forbid it, or what it names does not exist.
	Refused Outcome = "refused"
	// Failed: the store, or a fault of ours, kept it from being done.
	Failed Outcome = "failed"
	// Uncertain: it may have been stored or not; nobody could tell in time.
	Uncertain Outcome = "uncertain"
	// TooLong: its answer would be longer than MaxFrame. If it is a change, it was done.
	TooLong Outcome = "too_long"
	// Dropped: its deadline passed before its turn came, or the proxy was stopping. Nothing was
	// done.
	Dropped Outcome = "dropped"
	// Gone: its connection was closed while it waited for memory for its answer. Nothing was done.
	Gone Outcome = "gone"
	// Unparsable: its body cannot be decoded.
	Unparsable Outcome = "unparsable"
	// Unknown: there is no request of that number.
	Unknown Outcome = "unknown"
)

// UnknownName is the name of all requests that do not exist. Their only outcome is Unknown.
const UnknownName = "unknown"

// Outcomes are the outcomes that a request of the protocol can have: all but Unknown.
func Outcomes() []Outcome {
	return []Outcome{Answered, Refused, Failed, Uncertain, TooLong, Dropped, Gone, Unparsable}
}

// Names are the names of all requests of the protocol.
func Names() (names []string) {
	for _, e := range catalog.Entries() {
		names = append(names, e.Name())
	}
	return names
}

// outcomeOf is the outcome of a request that was decoded, and then had that error or none.
func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Answered
	case errors.Is(err, server.ErrGone):
		return Gone
	case errors.Is(err, errTooLong), errors.As(err, new(*chat.TooLongError)):
		return TooLong
	case errors.Is(err, chat.ErrDropped):
		return Dropped
	case chat.Refused(err):
		return Refused
	case chat.KindOf(err) == chat.UnknownOutcome:
		return Uncertain
	default:
		return Failed
	}
}
