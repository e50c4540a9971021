package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// The kinds of requests beside messages, by which they are counted.
const (
	Read   = "read"
	Login  = "login"
	Change = "change of members"
)

// crowd is a group in which users come and go. It does not change once it is made.
type crowd struct {
	group    uint32
	members  []uint32 // who stay, and send
	changing []uint32 // who come and go, each on one line
}

// work starts all lines.
func (l *Load) work() {
	begin := func(n int, work func(c *lines.Line, i int)) {
		for i := range n {
			l.Go(func(c *lines.Line) { work(c, i) })
		}
	}
	begin(l.Profile.Pairs, func(c *lines.Line, _ int) { c.Volley(l.Volley, l.somePair) })
	begin(l.Profile.Groups, func(c *lines.Line, _ int) { c.Volley(l.Volley, l.someGroup) })
	begin(len(l.readers), func(c *lines.Line, i int) { l.read(c, l.readers[i]) })
	begin(l.Speakers, func(c *lines.Line, i int) {
		k := lines.PairTalk(12000+uint32(i), 13000+uint32(i))
		m := k.Message(k.Low)
		m.MsgType = impb.MsgType_MSG_TYPE_SINGLE_AUDIO.Enum()
		c.Store(k, m)
	})
	begin(l.Changers, func(c *lines.Line, i int) { l.change(c, l.crowd.changing[i]) })
	begin(l.Lookers, func(c *lines.Line, _ int) { l.look(c) })
}

// somePair draws a pair, and a message between its users.
func (l *Load) somePair() (lines.Talk, *impb.IMMsgData) {
	k := Pairs[rand.IntN(len(Pairs))]
	if l.MorePairs > 0 && rand.IntN(2) == 0 {
		n := rand.Uint32N(uint32(l.MorePairs))
		k = lines.PairTalk(10000+n, 11000+n)
	}
	return k, k.Message([]uint32{k.Low, k.High}[rand.IntN(2)])
}

// someGroup draws a group, and a message to it.
func (l *Load) someGroup() (lines.Talk, *impb.IMMsgData) {
	k, members := lines.GroupTalk(l.Groups[rand.IntN(len(l.Groups))]), Members
	if l.Changers > 0 && rand.IntN(4) == 0 {
		k, members = lines.GroupTalk(l.crowd.group), l.crowd.members
	}
	return k, k.Message(members[rand.IntN(len(members))])
}

// reader is a user who reads a talk in which one line does everything, one by one: so it is known
// which messages an ack that took effect has covered. It belongs to the goroutine of that line.
type reader struct {
	talk       lines.Talk
	from, user uint32
	marks      []mark // the last ack that certainly took effect, and those since
	open       int    // messages whose outcome is not known: they may be stored at any time
	doubt      int    // of those, the ones since a message was answered with an id
	clean      bool   // the last turn has left nothing unread
}

// mark is an ack: the user has read up to an id that lies from low to high.
type mark struct{ low, high uint32 }

// unsure is the upper end of a mark before which there may be messages whose outcome is not known.
const unsure = ^uint32(0)

func newReader(k lines.Talk, from, user uint32) *reader {
	return &reader{talk: k, from: from, user: user, marks: []mark{{0, unsure}}}
}

// kind and peer are how the user sees the talk.
func (r *reader) kind() impb.SessionType {
	if r.talk.Group != 0 {
		return rig.Group
	}
	return rig.Pair
}

func (r *reader) peer() uint32 {
	if r.talk.Group != 0 {
		return r.talk.Group
	}
	return r.from
}

// read is one turn of a reader: it sends a few messages, sees that they are unread, acks, and sees
// that they no longer are. What has no answer may have taken effect or not.
func (l *Load) read(c *lines.Line, r *reader) {
	turn := time.Now()
	// What takes so long may have been refused, or an ack given up.
	exact := func() bool { return l.Exact && !l.Unsure && time.Since(turn) < overdue }
	stored, clean := 0, r.clean
	r.clean = false
	for range 1 + rand.IntN(5) {
		if !c.On() {
			return
		}
		id, known := c.Store(r.talk, r.talk.Message(r.from))
		switch {
		case id != 0:
			r.learned(id)
			stored++
		case !known:
			r.open, r.doubt = r.open+1, r.doubt+1
		}
	}
	if !c.On() {
		return
	}
	if l.Strict {
		n, ok := l.unread(c, r)
		if ok && (n < stored || n > stored && clean) && exact() {
			l.Sent.Fault(fmt.Sprintf("%v: %d unread after %d new messages", r.talk, n, stored))
		}
	}
	m := mark{low: l.Sent.Highest(r.talk), high: unsure}
	if r.doubt == 0 {
		m.high = m.low
	}
	r.marks = append(r.marks, m)
	if err := c.Post(l.Ctx, rig.ReadAck(r.user, r.kind(), r.peer())); err != nil {
		return
	}
	n, ok := l.unread(c, r)
	most := r.open
	if l.Strict { // what a killed proxy had is stored by now, or never
		most = r.doubt
	}
	switch {
	case !ok:
	case n == 0 || l.Unsure:
		r.marks, r.clean = []mark{m}, n == 0
	case n > most && exact():
		l.Sent.Fault(
			fmt.Sprintf("%v: %d unread right after an ack, of %d messages the outcome is not "+
				"known", r.talk, n, most))
	}
}

// learned ends the doubt about what came before a message.
func (r *reader) learned(id uint32) {
	r.doubt = 0
	for i := range r.marks {
		if r.marks[i].high == unsure {
			r.marks[i].high = id - 1
		}
	}
}

// unread asks how much of the talk the user has not read.
func (l *Load) unread(c *lines.Line, r *reader) (n int, ok bool) {
	m, ok := c.Ask(Read, rig.Unread(r.user), func(proto.Message) bool { return true })
	if !ok {
		return 0, false
	}
	return audit.UnreadIn(m.(*impb.IMUnreadMsgCntRsp), r.peer(), r.kind()), true
}

// change has a user join the crowd, and leave it.
func (l *Load) change(c *lines.Line, user uint32) {
	for _, kind := range []impb.GroupModifyType{
		impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD, impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL,
	} {
		if !c.On() {
			return
		}
		req := &impb.IMGroupChangeMemberReq{UserId: &l.crowd.members[0], GroupId: &l.crowd.group,
			ChangeType: kind.Enum(), MemberIdList: []uint32{user}}
		c.Ask(Change, req, func(m proto.Message) bool {
			answer := m.(*impb.IMGroupChangeMemberRsp)
			if answer.GetResultCode() != 0 {
				return false
			}
			in := slices.Contains(answer.GetCurUserIdList(), user)
			if in != (kind == impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD) {
				l.Sent.Fault(fmt.Sprintf("change of user %d by %v was answered %v", user, kind,
					answer))
			}
			return true
		})
	}
}

// look sees that a page has what was answered, and asks for a few other things.
func (l *Load) look(c *lines.Line) {
	k := Pairs[rand.IntN(len(Pairs))]
	id := l.Sent.Highest(k)
	if l.Own {
		if rand.IntN(4) > 0 {
			k = lines.PairTalk(22000+uint32(c.Number), 23000)
		}
		id, _ = c.Store(k, k.Message(k.Low))
	}
	l.Shows(c, k, id)
	reads := l.reads(k.Low, k.High)
	for range 3 {
		if !c.On() {
			return
		}
		if n := rand.IntN(len(reads) + 1); n < len(reads) {
			c.Ask(Read, reads[n], func(proto.Message) bool { return true })
			continue
		}
		password := client.WirePassword("carol-secret")
		c.Ask(Login, &impb.IMValidateReq{UserName: proto.String("carol"), Password: &password},
			func(m proto.Message) bool { return m.(*impb.IMValidateRsp).GetResultCode() == 0 })
	}
}

// Shows says whether a page of a pair came, which must have a message, or a newer one.
func (l *Load) Shows(c *lines.Line, k lines.Talk, id uint32) bool {
	_, ok := c.Ask(Read, rig.Page(k.Low, rig.Pair, k.High, 0, 10), func(m proto.Message) bool {
		list := m.(*impb.IMGetMsgListRsp).GetMsgList()
		newer := func(m *impb.MsgInfo) bool { return m.GetMsgId() >= id }
		if id != 0 && !slices.ContainsFunc(list, newer) {
			l.Sent.Fault(fmt.Sprintf("%v: id %d was answered, and a page of %d has it not",
				k, id, len(list)))
		}
		return true
	})
	return ok
}

// reads are requests that ask for something, one of every kind.
func (l *Load) reads(user, peer uint32) []proto.Message {
	g, one := l.Groups[rand.IntN(len(l.Groups))], proto.Uint32(1)
	return []proto.Message{
		rig.Unread(user), rig.UsersInfo(1, 1, 2, 3),
		rig.Page(Members[0], rig.Group, g, 0, 20),
		&impb.IMRecentContactSessionReq{UserId: &user, LatestUpdateTime: zero},
		&impb.IMGetMsgByIdReq{UserId: &user, SessionType: rig.Pair.Enum(), SessionId: &peer,
			MsgIdList: []uint32{1, 2, 3}},
		&impb.IMGetLatestMsgIdReq{UserId: &user, SessionType: rig.Pair.Enum(), SessionId: &peer},
		&impb.IMAllUserReq{UserId: one, LatestUpdateTime: zero},
		&impb.IMDepartmentReq{UserId: one, LatestUpdateTime: zero},
		&impb.IMNormalGroupListReq{UserId: &Members[0]},
		&impb.IMGroupInfoListReq{UserId: &Members[0],
			GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &g, Version: zero}}},
		&impb.IMGroupGetShieldReq{GroupId: &g, UserId: Members},
		&impb.IMGetDeviceTokenReq{UserId: Members},
		&impb.IMQueryPushShieldReq{UserId: one},
		&impb.IMFileHasOfflineReq{UserId: one},
	}
}
