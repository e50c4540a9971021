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
	// Unread returns the talks in which each user has unread messages: first pairs, in any order,
	// then the groups in which the user is, the latest joined first. The users are unique; those
	// who have read all may be missing.
	Unread(ctx context.Context, users []uint32) (map[uint32][]Count, error)
	// UnreadTotals returns how many unread messages each user has, in pairs and groups together;
	// users without any may be missing.
	UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error)
}

// UserGroup is a group that a user is in.
type UserGroup struct {
	Group uint32
	// What the records count, where that is asked for: how many messages the group has, how many of
	// them the user has seen, and at which revision of the talk that was; 0: they do not count it.
	Count, Level, Rev uint32
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

// UnreadAsked is a request for what a user has not read.
type UnreadAsked struct {
	User  uint32
	Limit int // how many bytes the list may take in the answer, 0: any
}

// Unread is what a user has not read.
type Unread struct {
	// Talks are pairs in order of the peer's id as text, then groups, the latest joined first.
	// Talks without a message that can be shown, see Newest, are left out.
	Talks []UnreadTalk
	// Total is how many messages it is in all. Talks without a message are left out.
	Total uint32
}

// Unread returns what the user of each request has not read. A *TooLongError if the list exceeds
// the request's limit.
func (s *Service) Unread(ctx context.Context, asked []UnreadAsked) []Result[Unread] {
	counts, err := s.unreadCounts(ctx, asked)
	results := make([]Result[Unread], len(asked))
	sizes := make([]*Measure, len(asked))
	for i, a := range asked {
		sizes[i] = NewMeasure(WithLimit(ctx, a.Limit), "unread talks")
	}
	if err == nil {
		err = eachEnd(ctx, s, counts, func(c Count) Talk { return c.Talk },
			func(list int, c Count, end Newest) {
				u := &results[list].Value
				if u.Total += c.Unread; end.Shown.Type == 0 {
					return // nothing that can be shown
				}
				if sizes[list].Add(len(end.Shown.Data) + 40) {
					u.Talks = append(u.Talks, UnreadTalk{Count: c, Last: end.Shown})
				} else {
					u.Talks = nil
				}
			})
	}
	if err != nil {
		return allFailed[Unread](len(asked), err)
	}
	for i := range results {
		results[i].Err = sizes[i].Err()
	}
	return results
}

// unreadCounts returns how much the user of each request has unread of each talk, in the order of
// the answer.
func (s *Service) unreadCounts(ctx context.Context, asked []UnreadAsked) ([][]Count, error) {
	users := make([]uint32, len(asked))
	for i, a := range asked {
		users[i] = a.User
	}
	unread, err := s.store.Counters.Unread(ctx, SortedSet(users))
	counts := make([][]Count, len(asked))
	for i, user := range users {
		counts[i] = unread[user]
		pairs := slices.IndexFunc(counts[i], func(c Count) bool { return c.Talk.Kind != Pair })
		if pairs < 0 {
			pairs = len(counts[i])
		}
		slices.SortFunc(counts[i][:pairs], func(a, b Count) int {
			return CompareAsText(a.Talk.Peer(user), b.Talk.Peer(user))
		})
	}
	return counts, err
}

// lastChunk is how many talks of one list are shown at a time.
const lastChunk = 256

// eachEnd calls with for the items of several lists whose talks have a message, those of each list
// in their order, with the end of the talk as lists show it. It reads few ends of each list at a
// time, so that with can drop those of a list that gets too long.
func eachEnd[T any](
	ctx context.Context, s *Service, lists [][]T, talk func(T) Talk,
	with func(list int, item T, end Newest),
) error {
	for from := 0; ; from += lastChunk {
		chunk := func(list []T) []T {
			return list[min(from, len(list)):min(from+lastChunk, len(list))]
		}
		var talks []Talk
		for _, list := range lists {
			for _, item := range chunk(list) {
				talks = append(talks, talk(item))
			}
		}
		if len(talks) == 0 {
			return nil
		}
		last, err := s.lastShown(ctx, talks)
		if err != nil {
			return err
		}
		for i, list := range lists {
			for _, item := range chunk(list) {
				if end, ok := last[talk(item)]; ok {
					with(i, item, end)
				}
			}
		}
	}
}

// CompareAsText orders ids as text: 1, 10, 2. Clients do not need that order, but always had it.
func CompareAsText(a, b uint32) int {
	var x, y [10]byte
	return bytes.Compare(strconv.AppendUint(x[:0], uint64(a), 10),
		strconv.AppendUint(y[:0], uint64(b), 10))
}
