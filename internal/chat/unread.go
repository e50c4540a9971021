package chat

import (
	"bytes"
	"context"
	"slices"
	"strconv"
)

// Counters counts unread messages. In the records the counts are part of every commit. Counters
// that are kept elsewhere, because original servers count there, follow by Apply.
type Counters interface {
	// Apply has counters that are kept elsewhere follow commits. To apply one twice does no harm.
	Apply(ctx context.Context, commits []Commit) error
	// UnreadPairs returns the pairs in which user has unread messages, in any order.
	UnreadPairs(ctx context.Context, user uint32) ([]Count, error)
	// UnreadGroups returns the groups in which user is and has unread messages, the latest joined
	// first.
	UnreadGroups(ctx context.Context, user uint32) ([]Count, error)
	// UnreadTotals returns how many unread messages each user has, in pairs and groups together;
	// users without any may be missing.
	UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error)
}

// Count is how many messages of a talk a user has not read.
type Count struct {
	Talk   Talk
	Unread uint32
}

// UnreadTalk is a talk with unread messages and its last message.
type UnreadTalk struct {
	Count
	Last Message
}

// lastChunk is how many talks' last messages are read at a time.
const lastChunk = 256

// Unread returns the talks in which a user has unread messages, and how many these are in all:
// pairs in order of the peer's id as text, then groups, the latest joined first. Talks without a
// message are left out. Talks without one that can be shown, see Newest, are left out of the list,
// but counted in the total. A *TooLongError if the list exceeds the limit of ctx.
func (s *Service) Unread(
	ctx context.Context, user uint32,
) (unread []UnreadTalk, total uint32, err error) {
	counts, err := s.unreadCounts(ctx, user)
	if err != nil {
		return nil, 0, err
	}
	size := NewMeasure(ctx, "unread talks")
	for chunk := range slices.Chunk(counts, lastChunk) {
		talks := make([]Talk, len(chunk))
		for i, c := range chunk {
			talks[i] = c.Talk
		}
		last, err := s.lastShown(ctx, talks)
		if err != nil {
			return nil, 0, err
		}
		for _, c := range chunk {
			end, ok := last[c.Talk]
			if !ok {
				continue // no message in it
			}
			total += c.Unread
			if end.Shown.Type == 0 {
				continue // none that can be shown
			}
			if size.Add(len(end.Shown.Data) + 40) {
				unread = append(unread, UnreadTalk{Count: c, Last: end.Shown})
			} else {
				unread = nil
			}
		}
	}
	return unread, total, size.Err()
}

// unreadCounts returns how much user has unread of each talk, in the order of the answer.
func (s *Service) unreadCounts(ctx context.Context, user uint32) ([]Count, error) {
	counts, err := s.store.Counters.UnreadPairs(ctx, user)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return CompareAsText(a.Talk.Peer(user), b.Talk.Peer(user))
	})
	groups, err := s.store.Counters.UnreadGroups(ctx, user)
	return append(counts, groups...), err
}

// CompareAsText orders ids as text: 1, 10, 2. Clients do not need that order, but always had it.
func CompareAsText(a, b uint32) int {
	var x, y [10]byte
	return bytes.Compare(strconv.AppendUint(x[:0], uint64(a), 10),
		strconv.AppendUint(y[:0], uint64(b), 10))
}
