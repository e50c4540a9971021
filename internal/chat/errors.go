package chat

import (
	"errors"
	"fmt"
)

// Kind says what an error means to a caller. It decides what is answered; see the command package.
type Kind uint8

// The kinds. The zero value is what an error has that nobody classified.
const (
	// Unexpected is a fault of our own; it is answered like Unavailable.
	Unexpected Kind = iota
	// NotFound: the user, group or session does not exist.
	NotFound
	// NotAllowed: it exists, and the caller may not.
	NotAllowed
	// Invalid: the request itself can never succeed (text too long, no valid UTF-8, …).
	Invalid
	// Unavailable: the storage did not do it, and certainly nothing was stored.
	Unavailable
	// UnknownOutcome: it may have been stored or not; nobody can tell yet.
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

// Error is an error of a known kind. Its text says what happened, for the log; it never holds message content,
// passwords or tokens.
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

// ErrDropped is in the chain of errors, of kind Unavailable, of requests that were given up before their work began: their
// time was over while they waited for their turn, or the service is shutting down.
var ErrDropped = errors.New("dropped")

// ErrRejected is in the chain of errors, of kind Unavailable, of changes that the rules allow and the storage refuses: by a
// trigger, a key, or a column of somebody else's. It would refuse the same again, but may store what came beside it.
var ErrRejected = errors.New("the storage refuses it, though it is as it should be")

// KindOf returns the kind of the outermost classified error in err's chain, Unexpected when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unexpected
}

// Refused reports whether err is a refusal by the rules, as opposed to a failure of the storage.
func Refused(err error) bool {
	switch KindOf(err) {
	case NotFound, NotAllowed, Invalid:
		return true
	default:
		return false
	}
}
