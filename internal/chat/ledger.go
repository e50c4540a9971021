package chat

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"
)

// MaxMsgID is the largest message id a talk can have: the column is a signed one in some databases, and the original
// server left 4294967295 behind where it failed.
const MaxMsgID = 1<<31 - 1

// Ledger keeps messages, durably and in order. It is the write path's view of the records.
//
// Its methods are safe for concurrent use. Batches of the same process that are under way together have no talk in common.
type Ledger interface {
	// Append stores a batch in one transaction: it locks the talks of the drafts, makes what is missing of them
	// (relation, sessions), gives every message the next id of its talk, in the order of the drafts, and commits rows,
	// counters and the commit record together.
	//
	// Its receipt has one Stored per draft. An error in a Stored refuses that draft alone, and nothing of it is kept. An
	// error of the call concerns them all: of kind Unavailable or Invalid nothing was stored (Invalid, or with
	// ErrRejected: some row can never be, so a smaller batch may do better); of kind UnknownOutcome it may have been, then as the receipt says,
	// and Outcome tells.
	Append(ctx context.Context, b Batch, seq Sequencer) (Receipt, error)
	// Outcome finds out what became of an Append of unknown outcome. When it answers false, that commit is not stored
	// and never will be. On an error the outcome is still unknown.
	Outcome(ctx context.Context, id CommitID) (stored bool, err error)
	// Unapplied returns up to max commits recorded longer ago than olderThan whose counters nobody has reported as
	// applied, oldest first.
	Unapplied(ctx context.Context, olderThan time.Duration, max int) ([]Commit, error)
	// Applied says that the counters of these commits need no more work, nor will Outcome be asked about them; their
	// records are deleted with a later commit. Of none: what waits for a later commit is deleted now.
	Applied(ctx context.Context, ids []CommitID) error
	// Swept says that the counters of these commits, found by Unapplied, need no more work. Whoever stored them may not
	// know it yet: Outcome goes on saying that they are stored.
	Swept(ctx context.Context, ids []CommitID) error
}

// Sequencer hands out message ids. The ledger calls it inside Append, with the talks locked.
type Sequencer interface {
	// Next reserves want[i].Count consecutive ids for each i and returns the first of each block, always above
	// want[i].Floor. It has no error: a sequencer whose store is away goes on from the floors. 0 instead of an id says
	// that nothing was reserved because the store's own counter is behind the floor, was lost or cannot be asked: then
	// Next is asked again, Checked, and does not answer 0.
	Next(ctx context.Context, want []Reserve) (first []uint32)
	// GiveBack returns ids that Next gave and nobody will use: those after Floor of each. It says of each whether others
	// have gone on from there: then they stay taken. It has no error: what cannot be returned stays a gap.
	GiveBack(ctx context.Context, unused []Reserve) (gone []bool)
}

// Reserve asks for ids of one talk.
type Reserve struct {
	Talk     Talk
	Relation uint32 // the relation's id, 0 in a group
	Count    uint32 // how many ids, at least 1
	Floor    uint32 // the last id that the ledger gave out
	Checked  bool   // Floor is also the largest id in the message tables, whoever wrote it
}

// Batch is what one commit stores.
type Batch struct {
	ID     CommitID
	Now    uint32 // Unix seconds
	Drafts []Draft
}

// Draft is one change of a talk, not yet stored: a message, or a user's word that it has read all there is.
type Draft struct {
	Talk Talk
	From uint32 // the sender, or the reader

	Read bool // a read ack: clears From's unread of the talk. What follows is for messages only.

	Type    MsgType
	Content string // the text; not used for voice
	Sound   *Sound // the stored sound of a voice message
	Time    uint32 // the client's time, Unix seconds
}

// Stored is what became of one draft.
type Stored struct {
	ID      uint32 // of the message; 0 for a read ack
	Created uint32 // of the message as stored: see BoundCreated
	Err     error  // the draft was refused, nothing of it was stored
}

// Receipt is what an Append did.
type Receipt struct {
	Stored  []Stored // as the drafts of the batch
	Changes []Change // how the counters moved, one per talk, in the order of their keys
}

// CommitID names a commit: random, unique for all time.
type CommitID [16]byte

// NewCommitID makes one.
func NewCommitID() (id CommitID) {
	rand.Read(id[:]) // never fails
	return id
}

// String is the id in hex, as it stands in the table.
func (id CommitID) String() string { return hex.EncodeToString(id[:]) }

// Commit is the record of a transaction and of what it moved that is also kept elsewhere (Redis).
type Commit struct {
	ID      CommitID
	Changes []Change
	Devices []Device
}

// Change is how a transaction moved the counters, members and mutes of one talk. Counters elsewhere follow by it: it
// says what the counts were and have become, and Rev tells which of two changes of a talk is the later one, so that
// changes may be applied twice, or in another order.
type Change struct {
	Talk     Talk
	Relation uint32 // a pair's
	// Rev counts the changes of the talk's counters, from 1. It is 0 where the records know nothing of the talk yet: then
	// what Users have unread is cleared, and nothing else is known.
	Rev    uint32
	LastID uint32
	New    bool // the group was made by this transaction
	// Before and Count are how many messages were ever sent in a group, before the transaction and after it.
	Before  uint32
	Count   uint32
	Users   []Moved
	Members []Member
	Mutes   []Mute
}

// Moved is how the unread counter of one user in one talk moved.
type Moved struct {
	User uint32
	// Clear: the user had read everything there was at some time in the transaction.
	Clear bool
	// Before and Unread are how many messages the user had not read, before the transaction and after it.
	Before uint32
	Unread uint32
}

// Member is somebody who joined or left a group.
type Member struct {
	User   uint32
	Joined uint32 // Unix seconds; 0: the user has left
}

// Mute is the mute value that a member has set for a group.
type Mute struct{ User, Value uint32 }

// Device is a user's push token as it was set: see Tokens.
type Device struct {
	User uint32
	// Rev counts how often the user's token was set, from 1.
	Rev    uint32
	Device string
	Token  string
}

// Known is a talk that the records begin to count.
type Known struct {
	Talk    Talk
	Members []uint32 // of a group
}

// Counted is what was counted of a talk elsewhere before the records did.
type Counted struct {
	Rev              uint32            // after which the records' revisions are to begin
	UnreadA, UnreadB uint32            // of a pair, how many messages each user had not read
	Count            uint32            // of a group, how many messages were ever sent
	Levels           map[uint32]uint32 // of those, how many members have seen
	Mutes            map[uint32]uint32 // members' mute values
}

// maxAhead is how far a client's clock may run before ours, in seconds.
const maxAhead = 5 * 60

// BoundCreated is the time a message is stored under: the client's, at most five minutes ahead of now, never below
// the talk's last message nor, in a group, the latest join. So paging by id and sorting by time agree, and no member
// misses a message because a message server's clock is behind. All are Unix seconds.
func BoundCreated(client, now, last, join uint32) uint32 {
	return max(min(client, now+maxAhead), last, join)
}
