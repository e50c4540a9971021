// Package counters is the choice of who counts: message ids, unread counters, failed logins.
//
// On the embedded store the records count everything themselves, in the transaction that stores a
// message: see Embedded. That is all there is to counters there.
//
// On MySQL the records count as well, and a copy stands in Redis, where original servers look and
// count too: see Shared, and package redis for the copy. What is asked is answered by Redis. Where
// Redis is away, is behind, or has lost what it had, the records answer. What is changed is stored
// by the records, and the copy follows.
//
// On MySQL without Redis the records count alone, as on the embedded store. Package takeover has
// the way there, and back.
//
// # Failed logins
//
// Eleven failures of a login name within 30 minutes lock it out. They are counted by name, whether
// or not anybody has it.
//
// On the embedded store one process serves, and they are counted in its memory (Failures). It
// writes them to a table, for the commands beside it and for the next start. A name that is locked
// out is written before its login is answered, and is looked up in the table at each further try.
// So a "user unlock" in another process holds at once; all else follows within a second or two.
//
// On MySQL with Redis they are counted in Redis, for all proxies together (SharedFailures). While
// Redis is away each proxy counts for itself.
//
// On MySQL without Redis they are counted in the table, for all proxies together (Failures, with
// Shared). Each login asks the table first, a batch of them in one query. A login that fails is in
// the table before it is answered, added under the locks of its names' rows, so that nothing is
// lost of what several proxies count at once. A good login, or "user unlock", deletes the row. A
// proxy writes nothing but what it has counted itself and the table may lack: so it never brings
// back what another has deleted. What it cannot write, it counts for itself until it can. On a
// cluster a node may see some milliseconds late what was counted at another.
//
// A failure in the table is a number that no other failure of its name has: its time, and random
// digits. So it counts once however often it is written, as after a COMMIT without an answer.
//
// Anybody can make up names. So at most a million are remembered, in memory as in Redis. Beyond
// that the names with the fewest failures are forgotten first, and of these the ones whose last
// failure is the oldest: a flood of names that fail once each never pushes out one that is locked
// out. And a process writes at most 100 rows to the table in a second, those of locked names before
// others, which makes 180,000 in 30 minutes, after which they are deleted. What is beyond that
// waits for nothing: as much as there is room for is written in the next second, and the rest stays
// in memory until its name fails again.
package counters

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
)

// Records is what the records count: chat.Counters but for Apply.
type Records interface {
	Unread(ctx context.Context, users []uint32) (map[uint32][]chat.Count, error)
	UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error)
}

// AllRecords is all that the rules need of the records, on any engine.
type AllRecords interface {
	SharedRecords
	chat.Ledger
	chat.Directory
	chat.Archive
	chat.Sessions
	chat.Groups
	chat.Files
}

// OnRecords is what the rules work on where the records count alone. Voice and Failures, which are
// no records, are left to the caller.
func OnRecords(r AllRecords) chat.Store {
	counted := Embedded{r}
	return chat.Store{Ledger: r, Sequencer: counted, Counters: counted, Directory: r, Profiles: r,
		Archive: r, Sessions: r, Groups: r, Mutes: r, Tokens: r, Files: r}
}

// OnCopy is OnRecords where the records have a copy in Redis.
func OnCopy(r AllRecords, copied *redis.Copy) chat.Store {
	rules, counted := OnRecords(r), Shared{r, copied}
	rules.Sequencer, rules.Counters = copied, counted
	rules.Mutes, rules.Tokens, rules.Profiles = counted, counted, counted
	return rules
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
