// Package talk keeps the row that is a talk's lock. By it many processes may write to one talk,
// without knowing of each other, and nothing is made twice.
//
// Two people write their first messages to each other at the same moment, through different
// proxies. The original makes two relations then, and the talk is split for good. The original's
// tables cannot have unique keys, since originals write there. IMProxyTalk has one: a row of it is
// a talk, with its relation, its sessions, its last id and time, and what was sent and read.
// Whoever changes a talk's relation, messages, sessions or members holds its row:
//
//  1. Lock the rows of all talks of a transaction, in the order of their keys (Compare), so that no
//     two transactions wait for each other in a circle. Whoever comes second waits.
//  2. Where a row is missing, the transaction releases all it has locked, makes an empty row
//     (ClaimAnew), commits that, and locks anew. Several may do that; there will be one row.
//  3. Whoever finds the row empty (Rev is 0) is the first, and may Adopt the talk: find what the
//     original's tables have of it (of duplicates the one in use), create what is missing, take
//     over the largest id and what is counted elsewhere. Whoever waited for the row finds it
//     filled.
//  4. Number gives out ids, which originals count in Redis, and asks the message tables where the
//     count may be behind.
//  5. Save writes the rows that were changed, and Record what the commit moved, so that counters
//     elsewhere can follow, and so that whoever was not told whether the commit was stored can ask.
//
// All who make or change relations, sessions, members or ids of a talk take this lock: those who
// send, create groups, change their members or remove sessions, the group sync, and the repairs of
// the doctor. A transaction never waits for another connection. A deadlock that the database finds
// nevertheless is tried again.
//
// On a cluster whose nodes are all written to, such as Galera, a lock is known to one node only.
// Two transactions that hold one talk's row at different nodes are told apart at the COMMIT, by
// what both have written: the second is undone, and runs again. So whoever locks a row also writes
// it; those who change nothing else there write the column turn.
//
// Originals know nothing of these rows. What they write is honoured when the talk is next written
// to: sessions and relations that were removed are brought back to life, ids go on from what Redis
// and the message tables have, and members are looked up in IMGroupMember each time. What originals
// make twice stays twice until the doctor merges it; meanwhile the talk keeps the relation that it
// has.
//
// On the embedded store one transaction writes at a time. Nothing is locked or claimed there, and
// rows are made when they are first needed.
package talk

import (
	"cmp"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// Row is a row of IMProxyTalk. Whoever holds its lock may change the talk's relation, sessions, ids
// and members. It belongs to the transaction that has read it.
type Row struct {
	Relation           uint32 // a pair's; says in which shard its messages are
	SessionA, SessionB uint32 // a pair's sessions: of A and of B
	LastID             uint32 // the largest message id given out
	LastCreated        uint32 // the greatest created time given out, Unix seconds
	Counts
	// Rev is how often the counts were changed; 0: the row was only made to be locked, and says
	// nothing yet.
	Rev uint32

	Before  Counts // as they were when the transaction began
	Dirty   bool   // changed since it was read
	Checked bool   // LastID is also the largest in the message table
}

// Counted reports whether there is a row, and it says something.
func (t *Row) Counted() bool { return t != nil && t.Rev > 0 }

// Counts are the counters in a row.
type Counts struct {
	SentA, SentB uint32 // messages sent by A and by B; in a group SentA counts all
	ReadA, ReadB uint32 // how many of SentB A has seen, and how many of SentA B has
}

// Unread is how many messages a user has not seen of a pair.
func (c Counts) Unread(talk chat.Talk, user uint32) uint32 {
	if user == talk.A {
		return c.SentB - c.ReadA
	}
	return c.SentA - c.ReadB
}

// Owner is what a talk's messages are stored under.
func (t *Row) Owner(talk chat.Talk) tables.Owner {
	if talk.Kind == chat.Group {
		return tables.Owner{Kind: chat.Group, ID: talk.A}
	}
	return tables.Owner{Kind: chat.Pair, ID: t.Relation}
}

// Key are the columns of the key of IMProxyTalk, counted all its other columns.
var (
	Key     = []string{"kind", "a", "b"}
	counted = []string{"relateId", "sessionA", "sessionB", "lastId", "lastCreated",
		"sentA", "sentB", "readA", "readB", "rev"}
)

const columns = "kind,a,b,relateId,sessionA,sessionB,lastId,lastCreated,sentA,sentB,readA,readB,rev"

// KeyArgs are the keys of talks, as arguments of a statement.
func KeyArgs(talks []chat.Talk) []any {
	return sqldb.ArgsOf(talks, func(t chat.Talk) []any { return []any{uint32(t.Kind), t.A, t.B} })
}

// appendValues appends those of columns.
func (t *Row) appendValues(values []any, talk chat.Talk) []any {
	return append(values, uint32(talk.Kind), talk.A, talk.B, t.Relation, t.SessionA, t.SessionB,
		t.LastID, t.LastCreated, t.SentA, t.SentB, t.ReadA, t.ReadB, t.Rev)
}

// Compare orders talks as the keys of their rows are.
func Compare(x, y chat.Talk) int {
	return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B))
}

// Change is how the counts of a talk moved in the transaction. read are the users who had read
// everything at some time; levels says how many messages members of groups have seen.
func (t *Row) Change(talk chat.Talk, read []uint32, levels map[Member]uint32) chat.Change {
	c := chat.Change{Talk: talk, Relation: t.Relation, Rev: t.Rev, LastID: t.LastID}
	if talk.Kind == chat.Group {
		c.Before, c.Count = t.Before.SentA, t.SentA
		for _, user := range read {
			m := chat.Moved{User: user, Clear: true}
			if level, known := levels[Member{Group: talk.A, User: user}]; known {
				m.Unread = t.SentA - level
			}
			c.Users = append(c.Users, m)
		}
		return c
	}
	for _, user := range []uint32{talk.A, talk.B} {
		m := chat.Moved{User: user, Clear: slices.Contains(read, user),
			Before: t.Before.Unread(talk, user), Unread: t.Unread(talk, user)}
		if m.Clear || m.Before != m.Unread {
			c.Users = append(c.Users, m)
		}
	}
	return c
}
