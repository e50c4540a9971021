package chat

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"
)

// MaxMsgID is the largest message id that a talk can have. In some databases the column is signed,
// and original servers left 4294967295 behind where they failed.
const MaxMsgID = 1<<31 - 1

// Ledger keeps messages, durably and in order. It is the write path's view of the records.
//
// Its methods are safe for concurrent use. Of the batches that a process stores at the same time no
// two have a talk in common.
type Ledger interface {
	// Append stores a batch in one transaction. It locks the talks of the drafts, makes what they
	// lack (relation, sessions), gives every message the next id of its talk, in the order of the
	// drafts, and commits rows, counters and the commit record together.
	//
	// The receipt has one Stored for each draft. An error in a Stored refuses that draft alone, and
	// nothing of it is kept. An error of the call concerns all drafts. Of kind Unavailable or
	// Invalid: nothing was stored. If the kind is Invalid, or ErrRejected is in its chain, there is
	// a row that can never be stored, and a smaller batch may do better. Of kind UnknownOutcome:
	// the batch may have been stored, and then as the receipt says; Outcome tells.
	Append(ctx context.Context, b Batch, seq Sequencer) (Receipt, error)
	// Outcome finds out what became of an Append of unknown outcome. If it answers false, that
	// commit is not stored and never will be. After an error the outcome is still unknown.
	Outcome(ctx context.Context, id CommitID) (stored bool, err error)
	// Unapplied returns up to max commits, the oldest first, that were recorded longer ago than
	// olderThan and neither Applied nor Swept.
	Unapplied(ctx context.Context, olderThan time.Duration, max int) ([]Commit, error)
	// Applied says that these commits of this process are done: their counters are applied, and
	// Outcome will not be asked about them. Their records are deleted with a later commit. Without
	// ids it deletes at once what waits for a later commit.
	Applied(ctx context.Context, ids []CommitID) error
	// Swept says that the counters of these commits, which Unapplied returned, are applied. Outcome
	// still says that they are stored: whoever stored them may not know it yet.
	Swept(ctx context.Context, ids []CommitID) error
}

// Sequencer gives out message ids. The ledger calls it inside Append, with the talks locked.
type Sequencer interface {
	// Next reserves want[i].Count consecutive ids for each i, and returns the first of each block,
	// which is above want[i].Floor. It has no error: a sequencer whose store is away goes on from
	// the floors. 0 instead of an id says that nothing was reserved, because the store's own
	// counter is below the floor, was lost or cannot be asked. Then the caller asks again, with
	// Checked set, and Next does not answer 0.
	Next(ctx context.Context, want []Reserve) (first []uint32)
	// GiveBack returns ids that Next gave and nobody will use: the Count ids after each Floor. It
	// says of each whether others have gone on from there; then the ids stay taken. It has no
	// error: what cannot be returned stays a gap.
	GiveBack(ctx context.Context, unused []Reserve) (gone []bool)
}

// Reserve asks for ids of one talk.
type Reserve struct {
	Talk     Talk
	Relation uint32 // the relation's id, 0 in a group
	Count    uint32 // how many ids, at least 1
	Floor    uint32 // the last id that the ledger gave out
	Checked  bool   // no id in the message tables is above Floor, whoever wrote it
}

// Batch is what one commit stores.
type Batch struct {
	ID     CommitID
	Now    uint32 // Unix seconds
	Drafts []Draft
}

// Draft is one change of a talk that is not yet stored: a message, or a read ack.
type Draft struct {
	Talk Talk
	From uint32 // the sender, or the reader

	// Read: it is a read ack, which clears what From has unread of the talk. What follows is for
	// messages only.
	Read bool

	Type    MsgType
	Content string // the text; not used for voice
	Sound   *Sound // the stored sound of a voice message
	Time    uint32 // the client's time, Unix seconds
}

// Stored is what became of one draft.
type Stored struct {
	ID      uint32 // of the message; 0 for a read ack
	Created uint32 // the time under which the message is stored: see BoundCreated
	Err     error  // not nil: the draft was refused, and nothing of it was stored
}

// Receipt is what an Append did.
type Receipt struct {
	Stored  []Stored // as the drafts of the batch
	Changes []Change // how the counters moved, one for each talk, in the order of their keys
}

// CommitID names a commit: random, unique for all time.
type CommitID [16]byte

// NewCommitID makes a new id.
func NewCommitID() (id CommitID) {
	rand.Read(id[:]) // never fails
	return id
}

// String is the id in hex, as it stands in the table.
func (id CommitID) String() string { return hex.EncodeToString(id[:]) }

// Commit is a transaction, with how it moved what is also kept elsewhere (in Redis).
type Commit struct {
	ID      CommitID
	Changes []Change
	Devices []Device
}

// Change is how a transaction moved the counters, members and mutes of one talk. Counters that are
// kept elsewhere follow by it. It says what the counts were and have become, and by Rev one knows
// which of two changes of a talk is the later one; so changes may be applied twice, or in another
// order.
type Change struct {
	Talk     Talk
	Relation uint32 // a pair's
	// Rev counts the changes of the talk's counters, from 1. It is 0 if the records know nothing of
	// the talk yet: then what Users have unread is cleared, and nothing else is known.
	Rev    uint32
	LastID uint32
	New    bool // the group was made by this transaction
	// Before and Count are how many messages were ever sent in a group, before the transaction and
	// after it.
	Before  uint32
	Count   uint32
	Users   []Moved
	Members []Member
	Mutes   []Mute
}

// Moved is how the unread counter of one user in one talk moved.
type Moved struct {
	User uint32
	// Clear: at some moment in the transaction the user had read all that there was.
	Clear bool
	// Before and Unread are how many messages the user had not read, before the transaction and
	// after it.
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

// Known is a talk whose messages the records begin to count.
type Known struct {
	Talk    Talk
	Members []uint32 // of a group
}

// Counted is what was counted of a talk elsewhere before the records began to.
type Counted struct {
	Rev              uint32            // the records' revisions are to begin after it
	UnreadA, UnreadB uint32            // of a pair: how many messages each user had not read
	Count            uint32            // of a group: how many messages were ever sent
	Levels           map[uint32]uint32 // of a group: how many of those each member has seen
	Mutes            map[uint32]uint32 // of a group: the members' mute values
}

// maxAhead is how many seconds a client's clock may be ahead of ours.
const maxAhead = 5 * 60

// BoundCreated is the time under which a message is stored: the client's, but at most five minutes
// ahead of now, and never before the talk's last message or, in a group, before the latest join. So
// pages by id and lists sorted by time agree, and no member misses a message because the clock of a
// message server is behind. All are Unix seconds.
func BoundCreated(client, now, last, join uint32) uint32 {
	return max(min(client, now+maxAhead), last, join)
}
