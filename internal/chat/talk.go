package chat

import "fmt"

// TalkKind tells the two kinds of talk apart. The values are those of the protocol's SessionType
// and of IMRecentSession.type.
type TalkKind uint8

// The kinds of talk.
const (
	Pair  TalkKind = 1
	Group TalkKind = 2
)

// Talk is a conversation: between two users, or in a group. It can be compared and be a map's key.
type Talk struct {
	Kind TalkKind
	A    uint32 // the smaller user id, or the group's id
	B    uint32 // the larger user id; 0 in a group
}

// PairTalk is the talk between two users, in whichever order they are given.
func PairTalk(u, v uint32) Talk { return Talk{Kind: Pair, A: min(u, v), B: max(u, v)} }

// GroupTalk is the talk in a group.
func GroupTalk(group uint32) Talk { return Talk{Kind: Group, A: group} }

// TalkOf is the talk that a user calls (kind, id): the id is the peer's or the group's.
func TalkOf(user uint32, kind TalkKind, id uint32) Talk {
	if kind == Group {
		return GroupTalk(id)
	}
	return PairTalk(user, id)
}

// Peer is what user calls the talk: the other user's id, or the group's.
func (t Talk) Peer(user uint32) uint32 {
	if t.Kind == Pair && user == t.A {
		return t.B
	}
	return t.A
}

// String is for logs.
func (t Talk) String() string {
	if t.Kind == Group {
		return fmt.Sprintf("group %d", t.A)
	}
	return fmt.Sprintf("pair %d-%d", t.A, t.B)
}

// MsgType is the protocol's MsgType, stored as it is in the type column of the message tables.
type MsgType uint8

// The types of message.
const (
	PairText   MsgType = 0x01
	PairVoice  MsgType = 0x02
	GroupText  MsgType = 0x11
	GroupVoice MsgType = 0x12
)

// TalkKind is the kind of talk that messages of this type belong to.
func (t MsgType) TalkKind() TalkKind {
	if t == GroupText || t == GroupVoice {
		return Group
	}
	return Pair
}

// Text reports whether a message of this type is a text of the protocol.
func (t MsgType) Text() bool { return t == PairText || t == GroupText }

// Voice reports whether a message of this type has a sound.
func (t MsgType) Voice() bool { return t == PairVoice || t == GroupVoice }

// Message is a stored message.
type Message struct {
	ID      uint32 // within its talk, from 1
	From    uint32 // the sender's user id
	Type    MsgType
	Created uint32 // Unix seconds
	// Data is what the reader gets: the text, or of a voice message four bytes of duration and the
	// sound, or the label. A voice message that comes from the Archive has the id of its Sound, in
	// decimal.
	Data string
}

// Sound is the file of a voice message (table IMAudio).
type Sound struct {
	Path     string // by which Voice loads it
	Size     uint32 // bytes of sound
	Duration uint32 // seconds
}
