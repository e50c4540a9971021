package bench

import (
	"fmt"
)

// Talk names a conversation in these tests: two users, the smaller first, or a group.
type Talk struct {
	Group     uint32
	Low, High uint32
}

func PairTalk(u, v uint32) Talk { return Talk{Low: min(u, v), High: max(u, v)} }

func GroupTalk(g uint32) Talk { return Talk{Group: g} }

func (t Talk) String() string {
	if t.Group != 0 {
		return fmt.Sprintf("group %d", t.Group)
	}
	return fmt.Sprintf("pair %d-%d", t.Low, t.High)
}
