package chat

import (
	"context"
	"fmt"
	"math"
)

// roomKey is the key of a context's room.
type roomKey struct{}

// WithRoom returns a context whose lists may take that many bytes in an answer: memory for so many
// was set aside. Like a deadline, a room goes with a request through everything that serves it.
// Without one a list may have any length.
func WithRoom(ctx context.Context, bytes int) context.Context {
	return context.WithValue(ctx, roomKey{}, bytes)
}

// RoomOf is the room of a context, NoBound without one.
func RoomOf(ctx context.Context) int {
	if room, ok := ctx.Value(roomKey{}).(int); ok {
		return room
	}
	return NoBound
}

// NoBound is the room of a list that may have any length.
const NoBound = math.MaxInt

// PageRoom is how many bytes a page may have: MaxAnswer, or less where the room is less.
func PageRoom(ctx context.Context) int { return min(RoomOf(ctx), MaxAnswer) }

// TooLongError says that a list does not fit the room of its request. Nothing of it is returned, as
// nobody can ask for the rest of a list: whoever asked makes more room, and asks again.
type TooLongError struct {
	List  string // what it lists, such as "users"
	Bytes int    // about how many it takes in an answer, rather more than fewer
	Room  int    // how many it may
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the list of %s takes %d bytes, and there is room for %d", e.List, e.Bytes, e.Room)
}

// Measure adds up what the items of a list take in an answer.
type Measure struct{ TooLongError }

// NewMeasure begins with an empty list, for the room of ctx.
func NewMeasure(ctx context.Context, list string) *Measure {
	return &Measure{TooLongError{List: list, Room: RoomOf(ctx)}}
}

// Add counts an item of so many bytes. It reports whether the list still fits. If it does not, it
// need not be kept any more, but is to be added up to its end.
func (m *Measure) Add(bytes int) (fits bool) {
	m.Bytes += bytes
	return m.Bytes <= m.Room
}

// Err is a *TooLongError if the list did not fit, else nil.
func (m *Measure) Err() error {
	if m.Add(0) {
		return nil
	}
	return &m.TooLongError
}
