// Package newest keeps the newest messages of talks in memory, so that what most readers ask for
// costs no query: the first page of a talk, and the last message in a list of talks.
//
// # When they are believed
//
// Others write to the same talks: other proxies, and original servers, which take no locks of ours.
// But all of them count a message before they insert it. So whoever reads asks for the counters of
// the talks, after the request came, and what is kept counts only if nothing can be missing:
//
//   - Its newest id is the counter, and its ids go down by one each, from the first message to the
//     last. (An original may insert n+1 before n: then there is a hole, and nothing is kept.) Its
//     newest id may also be above the counter, if it was not when the counter was asked for.
//   - It was read in the epoch in which the counters are now: Redis has lost nothing since.
//
// While this process commits to a talk, the counter is ahead of what is kept, by the ids that its
// own batch has reserved (Reserved). These messages are not there yet for anybody, so what is kept
// still counts. When they are stored they are added (Stored), before their senders learn of it. If
// they are not, the ids are given back, and before that the reservation ends (Dropped). When nobody
// knows, the talk is forgotten.
//
// Without Redis there is no such counter. On the embedded store no other process stores messages,
// so the newest id that is kept is the counter (Last). So it is on MySQL as long as no other proxy
// has stored anything: proxies count their batches there, and an epoch ends when one of the others
// has stored one (see package fleet). After that the talk's row is asked for the last id,
// and what is still the newest counts in the new epoch, too (Renew). In both cases what was read of
// a talk must not be kept if this process stored a message in it meanwhile (Moment). For a moment a
// count of unread messages may be ahead of what is kept: the sender of the message that it counts
// has no answer yet.
//
// What changes without a counter must not be kept for long: messages that somebody removes by hand,
// a relation that somebody removes, what the doctor merges. So what was read from the tables counts
// for Life at most, and then it is read again.
package newest

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

const (
	// Most is how many messages of a talk are kept at most.
	Most = 32
	// Life is how long messages count at most after they were read from the tables. Those of each
	// talk count for a time of their own, between three quarters of it and all, so that talks read
	// together are not all read again together, which their readers would have to wait for.
	Life = time.Second
)

// Messages are the newest messages of a talk, as they were read at some time. They are never
// changed once they are kept.
type Messages struct {
	// Owner is the relation of a pair, or the group.
	Owner uint32
	// List is in paging order. All of its types are told to peers.
	List []chat.Message
	// Whole says that the talk has no others.
	Whole bool
	// Epoch is the epoch of the counters in which they were read.
	Epoch uint32
	// Read is when the query for them began.
	Read time.Time

	until time.Time // they count; set when they are kept
}

// keepable says whether messages may be kept: there are some, no id is missing, and times do not
// fall, so that paging order is the order of ids.
func (m *Messages) keepable() bool {
	for i := range m.List {
		if m.List[i].ID != m.List[0].ID-uint32(i) ||
			i > 0 && m.List[i].Created > m.List[i-1].Created {
			return false
		}
	}
	return len(m.List) > 0
}

// size is how many bytes of memory they take, about.
func (m *Messages) size() int {
	n := 256
	for i := range m.List {
		n += 48 + len(m.List[i].Data)
	}
	return n
}

// Kept is what a Cache has of a talk.
type Kept struct {
	*Messages // never nil
	// reserved is what a batch at work had reserved when this was looked up.
	reserved reservation
}

// Counts says whether it counts, given the talk's counter and the epoch. These were asked for after
// before was looked up, and k was looked up after that.
func (k Kept) Counts(before Kept, counter, epoch uint32) bool {
	if k.Owner != before.Owner || epoch != k.Epoch {
		return false
	}
	newest := k.List[0].ID
	return before.List[0].ID <= counter && counter <= newest || k.reserved.follows(newest, counter)
}

// reservation is the ids that a batch at work has reserved.
type reservation struct{ first, last uint32 }

// follows says whether a counter is where it is because of the reservation alone.
func (r reservation) follows(newest, counter uint32) bool {
	return r.first == newest+1 && r.last == counter
}

// Cache is the newest messages of many talks. It is safe for concurrent use.
type Cache struct {
	max int // bytes

	mu sync.Mutex // guards all that follows
	// young has what was used lately, old what was used before that. When young has half of the
	// bytes, old is forgotten, and young becomes old.
	young, old map[chat.Talk]*Messages
	size       int                       // bytes in young
	reserved   map[chat.Talk]reservation // of the batches at work
	// ends is how many reservations have ended, and ended, by the place of a talk, how many had
	// when the last of that talk did, or of another with the same place.
	ends  uint64
	ended [4096]uint64
}

// place is where ended has a talk.
func place(talk chat.Talk) uint32 {
	return (talk.A*31 + talk.B*17 + uint32(talk.Kind)) % 4096
}

// New makes a cache of at most so many bytes.
func New(bytes int) *Cache {
	return &Cache{max: bytes, young: make(map[chat.Talk]*Messages),
		reserved: make(map[chat.Talk]reservation)}
}

// Get returns what is kept of a talk and still counts at a time; ok is false if there is nothing.
func (c *Cache) Get(talk chat.Talk, now time.Time) (k Kept, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.young[talk]
	if m == nil {
		if m = c.old[talk]; m != nil {
			delete(c.old, talk)
			c.put(talk, m)
		}
	}
	if m == nil {
		return Kept{}, false
	}
	if now.Before(m.Read) || now.After(m.until) { // a clock may go back
		return Kept{}, false
	}
	return Kept{m, c.reserved[talk]}, true
}

// Moment is now, for Put.
func (c *Cache) Moment() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ends
}

// Last is the id of the newest message that is kept of a talk, and the epoch of what is kept; 0:
// nothing is kept.
func (c *Cache) Last(talk chat.Talk) (id, epoch uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.find(talk); m != nil {
		return m.List[0].ID, m.Epoch
	}
	return 0, 0
}

// Renew says that what is kept of a talk lacks nothing in a later epoch either, if its newest
// message still is the one with that id.
func (c *Cache) Renew(talk chat.Talk, id, epoch uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.find(talk); m != nil && m.List[0].ID == id && m.Epoch < epoch {
		later := *m
		later.Epoch = epoch
		c.put(talk, &later)
	}
}

// find returns what is kept of a talk, or nil. The caller holds mu.
func (c *Cache) find(talk chat.Talk) *Messages {
	if m := c.young[talk]; m != nil {
		return m
	}
	return c.old[talk]
}

// Put keeps what was read of a talk, if it can be told later whether it still counts. Moment was
// called before it was read: what this process has stored in the talk since may be missing.
func (c *Cache) Put(talk chat.Talk, m *Messages, moment uint64) {
	if !m.keepable() {
		return
	}
	m.until = m.Read.Add(Life*3/4 + rand.N(Life/4))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended[place(talk)] <= moment {
		c.put(talk, m)
	}
}

// end ends the reservation of a talk. The caller holds mu.
func (c *Cache) end(talk chat.Talk) {
	c.ends++
	c.ended[place(talk)] = c.ends
	delete(c.reserved, talk)
}

// put keeps messages. The caller holds mu.
func (c *Cache) put(talk chat.Talk, m *Messages) {
	c.drop(talk)
	c.young[talk] = m
	if c.size += m.size(); c.size > c.max/2 {
		c.old, c.young, c.size = c.young, make(map[chat.Talk]*Messages), 0
	}
}

// drop forgets what is kept of a talk, and returns it. The caller holds mu.
func (c *Cache) drop(talk chat.Talk) *Messages {
	m := c.young[talk]
	if m == nil {
		m = c.old[talk]
		delete(c.old, talk)
		return m
	}
	c.size -= m.size()
	delete(c.young, talk)
	return m
}

// Reserved says that a batch of this process, which is about to be stored, has reserved ids of a
// talk. Of one talk there is one batch at a time. Stored, Dropped or Forget ends it.
func (c *Cache) Reserved(talk chat.Talk, first, last uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved[talk] = reservation{first, last}
}

// Stored says that the batch was stored: its messages, in the order of their ids, are added to what
// is kept.
func (c *Cache) Stored(talk chat.Talk, messages []chat.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(talk)
	m := c.drop(talk)
	if m == nil {
		return
	}
	longer := *m
	longer.List = make([]chat.Message, 0, min(len(messages)+len(m.List), Most))
	for i := len(messages) - 1; i >= 0 && len(longer.List) < Most; i-- {
		longer.List = append(longer.List, messages[i])
	}
	fits := min(len(m.List), Most-len(longer.List))
	longer.List = append(longer.List, m.List[:fits]...)
	longer.Whole = m.Whole && len(messages)+len(m.List) == len(longer.List)
	if longer.keepable() {
		c.put(talk, &longer)
	}
}

// Dropped says that the batch is certainly not stored. Its ids are given back after this.
func (c *Cache) Dropped(talk chat.Talk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(talk)
}

// Clear forgets everything: messages were stored, and nobody knows any more of which talks.
func (c *Cache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends++
	for i := range c.ended {
		c.ended[i] = c.ends
	}
	c.young, c.old, c.size = make(map[chat.Talk]*Messages), nil, 0
}

// Forget says that nobody knows whether the batch was stored: nothing is kept of the talk.
func (c *Cache) Forget(talk chat.Talk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(talk)
	c.drop(talk)
}
