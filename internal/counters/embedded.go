// Package counters keeps what is counted outside of the records: message ids, unread counters, failed logins. On the
// embedded store the records count everything themselves, within the transaction that stores a message, so little is
// left to do here; a store shared by several proxies slots in behind the same interfaces of chat.
package counters

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Records is what the records count: chat.Counters but for Apply.
type Records interface {
	UnreadPairs(ctx context.Context, user uint32) ([]chat.Count, error)
	UnreadGroups(ctx context.Context, user uint32) ([]chat.Count, error)
	UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error)
}

// Embedded implements chat.Counters and chat.Sequencer on the records alone.
type Embedded struct{ Records }

// Apply has nothing to do: the records counted the commits as they were stored.
func (Embedded) Apply(context.Context, []chat.Commit) error { return nil }

// Next goes on from the floors: the talks are locked, and nobody else gives out ids.
func (Embedded) Next(_ context.Context, want []chat.Reserve) []uint32 {
	first := make([]uint32, len(want))
	for i, r := range want {
		first[i] = r.Floor + 1
	}
	return first
}

// GiveBack has nothing to do: the floors are where they were.
func (Embedded) GiveBack(_ context.Context, unused []chat.Reserve) (gone []bool) {
	return make([]bool, len(unused))
}
