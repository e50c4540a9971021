package lines

import (
	"fmt"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Talk is where messages go: a pair of users, the smaller id first, or a group. The other fields of
// a pair's, or of a group's, are 0.
type Talk struct {
	Group     uint32
	Low, High uint32
}

// PairTalk is the talk of two users.
func PairTalk(u, v uint32) Talk { return Talk{Low: min(u, v), High: max(u, v)} }

// GroupTalk is the talk of a group.
func GroupTalk(g uint32) Talk { return Talk{Group: g} }

// String names the talk for people.
func (t Talk) String() string {
	if t.Group != 0 {
		return fmt.Sprintf("group %d", t.Group)
	}
	return fmt.Sprintf("pair %d-%d", t.Low, t.High)
}

// Message is a message to the talk, of now, that has no text yet. In a pair the other user gets it.
func (t Talk) Message(from uint32) *impb.IMMsgData {
	kind, to := impb.MsgType_MSG_TYPE_GROUP_TEXT, t.Group
	if t.Group == 0 {
		kind, to = impb.MsgType_MSG_TYPE_SINGLE_TEXT, t.Low+t.High-from
	}
	return &impb.IMMsgData{
		FromUserId: &from, ToSessionId: &to, MsgType: kind.Enum(),
		MsgId: new(uint32(0)), CreateTime: new(uint32(time.Now().Unix())),
	}
}
