package chat

import (
	"context"
	"fmt"
	"math"
)

// limitKey is the key of a context's limit.
type limitKey struct{}

// WithLimit returns a context with a limit: a list that is read with it may take so many bytes in
// an answer, as memory for so many was reserved. Like a deadline, the limit goes with a request
// through all that serves it. Without a limit, and with one of 0, a list may have any length.
func WithLimit(ctx context.Context, bytes int) context.Context {
	if bytes == 0 {
		return ctx
	}
	return context.WithValue(ctx, limitKey{}, bytes)
}

// LimitOf is the limit of a context in bytes, NoBound without one.
func LimitOf(ctx context.Context) int {
	if limit, ok := ctx.Value(limitKey{}).(int); ok {
		return limit
	}
	return NoBound
}

// NoBound is the limit of a list that may have any length.
const NoBound = math.MaxInt

// PageLimit is how many bytes a page may have: MaxAnswer, or the context's limit if that is less.
func PageLimit(ctx context.Context) int { return min(LimitOf(ctx), MaxAnswer) }

// TooLongError says that a list exceeds the limit of its request. Nothing of the list is returned,
// as nobody can ask for the rest of a list: whoever asked reserves more memory and asks again.
type TooLongError struct {
	List  string // what it lists, such as "users"
	Bytes int    // about how many it takes in an answer, rather more than fewer
	Limit int    // how many it may take
	// Cut says that the list is cut where there is not memory for all of it.
	Cut bool
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the list of %s takes %d bytes, %d are reserved", e.List, e.Bytes, e.Limit)
}

// Measure adds up how many bytes the items of a list take in an answer.
type Measure struct{ TooLongError }

// NewMeasure begins an empty list, with the limit of ctx.
func NewMeasure(ctx context.Context, list string) *Measure {
	return &Measure{TooLongError{List: list, Limit: LimitOf(ctx)}}
}

// Add counts an item of so many bytes. It reports whether the list still fits. If it does not, the
// items need not be kept any more, but all are to be added, so that the error says how long the
// list is.
func (m *Measure) Add(bytes int) (fits bool) {
	m.Bytes += bytes
	return m.Bytes <= m.Limit
}

// Err is a *TooLongError if the list did not fit, else nil.
func (m *Measure) Err() error {
	if m.Add(0) {
		return nil
	}
	return &m.TooLongError
}
