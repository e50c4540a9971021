package newest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/newest"
)

var (
	pair = chat.PairTalk(1, 2)
	now  = time.Unix(1_700_000_000, 0)
)

// list is messages with ids from first down to last, each a second older than the one before.
func list(first, last uint32) (messages []chat.Message) {
	for id := first; id >= last; id-- {
		messages = append(messages,
			chat.Message{ID: id, Created: id, Data: fmt.Sprint("text ", id)})
	}
	return messages
}

// ascending is messages with ids from first up to last, as a batch has them.
func ascending(first, last uint32) []chat.Message {
	messages := list(last, first)
	slices.Reverse(messages)
	return messages
}

func keep(c *newest.Cache, messages []chat.Message) {
	c.Put(pair, &newest.Messages{Owner: 7, List: messages, Epoch: 3, Read: now}, c.Moment())
}

// counts says what is kept of the pair and counts, given its counter: "9-5" is messages 9 to 5.
func counts(c *newest.Cache, counter, epoch uint32) string {
	k, ok := c.Get(pair, now)
	if !ok || !k.Counts(k, counter, epoch) {
		return ""
	}
	return fmt.Sprint(k.List[0].ID, "-", k.List[len(k.List)-1].ID)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestWhatIsKeptCountsWhileNothingElseWasCounted(t *testing.T) {
	c := newest.New(1 << 20)
	want(t, "nothing was kept", counts(c, 0, 3), "")
	keep(c, list(9, 5))
	want(t, "its newest id is the counter", counts(c, 9, 3), "9-5")
	want(t, "somebody has counted one more", counts(c, 10, 3), "")
	want(t, "the counter was set back", counts(c, 8, 3), "")
	want(t, "there is no counter", counts(c, 0, 3), "")
	want(t, "Redis has lost something since", counts(c, 9, 4), "")
	if _, ok := c.Get(pair, now.Add(newest.Life+1)); ok {
		t.Error("it counts longer than its life")
	}
}

func TestWhatMayLackAMessageIsNotKept(t *testing.T) {
	for name, messages := range map[string][]chat.Message{
		"a hole":           append(list(9, 8), list(6, 5)...),
		"nothing":          nil,
		"ids out of order": {{ID: 8, Created: 9}, {ID: 9, Created: 8}},
		"times that rise":  {{ID: 9, Created: 8}, {ID: 8, Created: 9}},
	} {
		c := newest.New(1 << 20)
		keep(c, messages)
		if _, ok := c.Get(pair, now); ok {
			t.Errorf("%s was kept", name)
		}
	}
}

func TestOwnBatchesMoveWhatIsKept(t *testing.T) {
	c := newest.New(1 << 20)
	keep(c, list(9, 5))
	c.Reserved(pair, 10, 12)
	want(t, "a batch of ours is at work", counts(c, 12, 3), "9-5")
	want(t, "and somebody else counted, too", counts(c, 13, 3), "")
	before, _ := c.Get(pair, now)
	c.Stored(pair, ascending(10, 12))
	want(t, "it is stored", counts(c, 12, 3), "12-5")
	after, _ := c.Get(pair, now)
	if !after.Counts(before, 11, 3) || after.Counts(before, 8, 3) {
		t.Error("a counter that was asked for between two looks is misjudged")
	}

	c.Reserved(pair, 13, 13)
	c.Dropped(pair)
	want(t, "it is not stored, its id not given back yet", counts(c, 13, 3), "")
	want(t, "its id is given back", counts(c, 12, 3), "12-5")

	c.Reserved(pair, 13, 13)
	c.Forget(pair)
	want(t, "nobody knows whether it is stored", counts(c, 12, 3), "")

	keep(c, list(9, 5))
	c.Reserved(pair, 11, 11) // after an id of somebody else
	want(t, "a batch after somebody else's", counts(c, 11, 3), "")
	c.Stored(pair, ascending(11, 11))
	if _, ok := c.Get(pair, now); ok {
		t.Error("messages with a hole are kept")
	}
}

// TestWhatWasReadBeforeAMessageWasStoredIsNotKept: it may lack that message.
func TestWhatWasReadBeforeAMessageWasStoredIsNotKept(t *testing.T) {
	c := newest.New(1 << 20)
	other := chat.PairTalk(1, 3)
	before := c.Moment()
	c.Stored(pair, ascending(10, 10))
	for talk, want := range map[chat.Talk]uint32{pair: 0, other: 9} {
		c.Put(talk, &newest.Messages{Owner: 7, List: list(9, 5), Epoch: 3, Read: now}, before)
		if last, _ := c.Last(talk); last != want {
			t.Errorf("%s: %d is the last that is kept, want %d", talk, last, want)
		}
	}
	keep(c, list(10, 5))
	if last, _ := c.Last(pair); last != 10 {
		t.Errorf("%d is the last that is kept of what was read after it", last)
	}
}

func TestATalkHasAtMostSoManyMessages(t *testing.T) {
	c := newest.New(1 << 20)
	c.Put(pair, &newest.Messages{List: list(30, 1), Whole: true, Epoch: 3, Read: now}, c.Moment())
	c.Stored(pair, ascending(31, 32))
	if k, _ := c.Get(pair, now); !k.Whole || len(k.List) != 32 {
		t.Errorf("%d messages are kept, whole: %v", len(k.List), k.Whole)
	}
	c.Stored(pair, ascending(33, 100))
	k, _ := c.Get(pair, now)
	want(t, "the newest", counts(c, 100, 3), "100-69")
	if k.Whole || len(k.List) != newest.Most {
		t.Errorf("%d messages are kept, whole: %v", len(k.List), k.Whole)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	const talks, bytes = 1000, 100 << 10
	c := newest.New(bytes)
	long := strings.Repeat("x", 1000)
	for i := range uint32(talks) {
		c.Put(chat.PairTalk(1, 2+i), &newest.Messages{
			List: []chat.Message{{ID: 1, Data: long}}, Epoch: 3, Read: now}, c.Moment())
	}
	kept := 0
	for i := range uint32(talks) {
		if _, ok := c.Get(chat.PairTalk(1, 2+i), now); ok {
			kept++
		}
	}
	if kept == 0 || kept*len(long) > bytes {
		t.Errorf("%d talks of %d bytes are kept in %d", kept, len(long), bytes)
	}
	if _, ok := c.Get(chat.PairTalk(1, 1+talks), now); !ok {
		t.Error("the last one is not kept")
	}
}
