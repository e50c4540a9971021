package chat

import (
	"errors"
	"fmt"
	"slices"
)

// Kind says what an error means to the caller. By it the command package chooses the answer.
type Kind uint8

// The kinds of error.
const (
	// Unexpected: a fault of our own, or an error that nobody classified. It is answered like
	// Unavailable.
	Unexpected Kind = iota
	// NotFound: the user, group or session does not exist.
	NotFound
	// NotAllowed: it exists, but the asker may not do that.
	NotAllowed
	// Invalid: the request can never succeed, such as one with a text that is too long.
	Invalid
	// Unavailable: the store did not do it, and certainly nothing was stored.
	Unavailable
	// UnknownOutcome: it may have been stored or not, and nobody can tell yet.
	UnknownOutcome
)

// String is the kind's name in logs.
func (k Kind) String() string {
	switch k {
	case NotFound:
		return "not found"
	case NotAllowed:
		return "not allowed"
	case Invalid:
		return "invalid"
	case Unavailable:
		return "unavailable"
	case UnknownOutcome:
		return "unknown outcome"
	default:
		return "unexpected"
	}
}

// Error is an error of a known kind. Its text says what happened, for the log. It never contains
// what messages say, passwords or tokens.
type Error struct {
	Kind Kind
	Err  error // what happened; never nil
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a kind, its text as fmt.Errorf makes it.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// ErrDropped is in the chain of an error, of kind Unavailable, if a request was given up before its
// work began: its deadline passed while it waited, or the service is shutting down.
var ErrDropped = errors.New("dropped")

// ErrRejected is in the chain of an error, of kind Unavailable, if the rules allow a change and the
// database refuses it: by a trigger, a key, or a column that somebody else has added. It would
// refuse the same again, but may store what came with it in a batch.
var ErrRejected = errors.New("the storage refuses it, though it is as it should be")

// KindOf returns the kind of the first *Error in err's chain, Unexpected if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unexpected
}

// Refused reports whether err is a refusal by the rules, and not a failure of the store.
func Refused(err error) bool {
	switch KindOf(err) {
	case NotFound, NotAllowed, Invalid:
		return true
	default:
		return false
	}
}

// Result is what became of one of several requests that were served together.
type Result[T any] struct {
	Value T
	Err   error
}

// allFailed is the results of n requests that failed together.
func allFailed[T any](n int, err error) []Result[T] {
	return slices.Repeat([]Result[T]{{Err: err}}, n)
}
