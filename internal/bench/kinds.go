package bench

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// kind is a kind of request: how one is made, and what its answer must be.
type kind struct {
	name    string
	request proto.Message // an empty one
	// body appends the body of a request to dst. about is what the check of its answer has to know.
	body func(dst []byte, rng *rand.Rand) (body []byte, about uint32)
	// glance checks every answer at the first look, and thorough each 64th, decoded. Their errors
	// say what is wrong; one that is errRefused says that the server has refused the request.
	list, value protowire.Number // the fields that are looked for
	glance      func(glance) error
	thorough    func(answer proto.Message, about uint32) error
}

// errRefused says that a request was refused.
var errRefused = errors.New("refused")

// mark is how all texts begin that a load writes, and the names of its groups.
const mark = "dbproxy bench "

// page is how many messages are asked for.
const pageLength = 20

func ringPages(b *Bench) kind   { return b.pages(b.Users.ring(), ringTextCount) }
func circlePages(b *Bench) kind { return b.pages(b.Users.circle(), circleTextCount) }

// pagesBack asks for messages of a talk with so many: for those up to some one of its older half.
func (b *Bench) pagesBack(talk pair, texts int) kind {
	oldest := min(max(1, texts/2), pageLength)
	k := b.pages([]pair{talk}, oldest)
	newest, checked := k.body, k.thorough
	k.name = "page-back"
	k.body = func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
		dst, which := newest(dst, rng)
		from := uint32(oldest + rng.IntN(max(1, texts/2-oldest+1)))
		return number(dst, 4, from), 2*from + which // of a field that comes twice the last counts
	}
	k.thorough = func(answer proto.Message, about uint32) error {
		got := answer.(*impb.IMGetMsgListRsp).GetMsgList()[0].GetMsgId()
		if from := about / 2; got != from {
			return fmt.Errorf("it begins with message %d, not %d", got, from)
		}
		return checked(answer, about%2)
	}
	return k
}

// pages asks for the newest messages of some talk, of which each has so many.
func (b *Bench) pages(talks []pair, texts int) kind {
	return kind{
		name: "page", request: &impb.IMGetMsgListReq{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			which := rng.Uint32N(uint32(2 * len(talks)))
			sides := talks[which/2].sides()
			dst = number(dst, 1, sides[which%2])
			dst = number(dst, 2, uint32(impb.SessionType_SESSION_TYPE_SINGLE))
			dst = number(dst, 3, sides[1-which%2])
			return number(number(dst, 4, 0), 5, pageLength), which
		},
		list: 5,
		glance: func(g glance) error {
			if g.entries > texts && g.entries <= pageLength {
				return nil // a profile that sends has sent more
			}
			return g.wants(min(pageLength, texts), "messages")
		},
		thorough: func(answer proto.Message, which uint32) error {
			m, sides := answer.(*impb.IMGetMsgListRsp), talks[which/2].sides()
			if m.GetUserId() != sides[which%2] || m.GetSessionId() != sides[1-which%2] {
				return fmt.Errorf("it is a page of users %d and %d, not of %d and %d",
					m.GetUserId(), m.GetSessionId(), sides[which%2], sides[1-which%2])
			}
			// Originals may store two messages of a second in another order than their ids have.
			before, seen := ^uint32(0), make(map[uint32]bool)
			for _, m := range m.GetMsgList() {
				switch {
				case m.GetCreateTime() > before:
					return fmt.Errorf("message %d is newer than the one before", m.GetMsgId())
				case seen[m.GetMsgId()]:
					return fmt.Errorf("message %d is in it twice", m.GetMsgId())
				case !slices.Contains(sides[:], m.GetFromSessionId()):
					return fmt.Errorf("user %d has no message in it", m.GetFromSessionId())
				case !b.ours(m.GetMsgData()):
					return fmt.Errorf("no load has sent %.40q", m.GetMsgData())
				}
				before, seen[m.GetMsgId()] = m.GetCreateTime(), true
			}
			return nil
		},
	}
}

// exactly checks how long a list is. In a store that has messages of others, too, it may be longer.
func (b *Bench) exactly(g glance, n int, what string) error {
	if b.Anyway && g.entries > n {
		return nil
	}
	return g.wants(n, what)
}

// ours says whether a text may stand in a store: others' may only if it was said so.
func (b *Bench) ours(data []byte) bool { return b.Anyway || bytes.HasPrefix(data, []byte(mark)) }

func ringSessions(b *Bench) kind   { return b.sessions(0, ringSize, 2) }
func circleSessions(b *Bench) kind { return b.sessions(circleFirst, circleSize, circleSize-1) }

// someone appends the id of one of n users as field 1.
func (b *Bench) someone(dst []byte, rng *rand.Rand, first, n int) ([]byte, uint32) {
	user := b.Users.at(first + rng.IntN(n))
	return number(dst, 1, user), user
}

// sessions asks for the recent sessions of one of n users, each of whom has so many.
func (b *Bench) sessions(first, n, has int) kind {
	return kind{
		name: "recent", request: &impb.IMRecentContactSessionReq{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			dst, user := b.someone(dst, rng, first, n)
			return number(dst, 2, 0), user
		},
		list:   2,
		glance: func(g glance) error { return b.exactly(g, has, "sessions") },
		thorough: func(answer proto.Message, user uint32) error {
			m := answer.(*impb.IMRecentContactSessionRsp)
			before := ^uint32(0)
			for _, s := range m.GetContactSessionList() {
				switch {
				case s.GetUpdatedTime() > before:
					return errors.New("its sessions are not in their order")
				case !b.ours(s.GetLatestMsgData()):
					return fmt.Errorf("no load has sent %.40q", s.GetLatestMsgData())
				}
				before = s.GetUpdatedTime()
			}
			return of(m.GetUserId(), user)
		},
	}
}

func ringUnread(b *Bench) kind   { return b.unread(0, ringSize, 2) }
func circleUnread(b *Bench) kind { return b.unread(circleFirst, circleSize, circleSize-1) }

// unread asks what one of n users has not read, of so many others.
func (b *Bench) unread(first, n, others int) kind {
	return kind{
		name: "unread", request: &impb.IMUnreadMsgCntReq{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			return b.someone(dst, rng, first, n)
		},
		list:   3,
		glance: func(g glance) error { return b.exactly(g, others, "talks") },
		thorough: func(answer proto.Message, user uint32) error {
			m := answer.(*impb.IMUnreadMsgCntRsp)
			var sum uint32
			for _, u := range m.GetUnreadinfoList() {
				if sum += u.GetUnreadCnt(); !b.ours(u.GetLatestMsgData()) {
					return fmt.Errorf("no load has sent %.40q", u.GetLatestMsgData())
				}
			}
			if sum != m.GetTotalCnt() {
				return fmt.Errorf("%d are unread in all its talks, and it says %d", sum,
					m.GetTotalCnt())
			}
			return of(m.GetUserId(), user)
		},
	}
}

// of returns an error if an answer is about another user.
func of(got, want uint32) error {
	if got != want {
		return fmt.Errorf("it is about user %d, not %d", got, want)
	}
	return nil
}

// logins logs users in.
func logins(b *Bench) kind {
	password := client.WirePassword(b.Password)
	return kind{
		name: "login", request: &impb.IMValidateReq{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			p := b.people[rng.IntN(len(b.people))]
			return text(text(dst, 1, p.name), 2, password), p.id
		},
		list: 4, value: 2,
		glance: func(g glance) error {
			if g.value != 0 {
				return refusedLogin(g.value)
			}
			return g.wants(1, "users")
		},
		thorough: func(answer proto.Message, user uint32) error {
			return of(answer.(*impb.IMValidateRsp).GetUserInfo().GetUserId(), user)
		},
	}
}

// refusedLogin says what the code of a login means.
func refusedLogin(code uint64) error {
	switch code {
	case 1:
		return fmt.Errorf("%w: the password is wrong (code 1)", errRefused)
	case 6:
		return fmt.Errorf("%w: locked out after failed logins (code 6): "+
			"\"dbproxy user unlock NAME\", or wait for half an hour", errRefused)
	}
	return fmt.Errorf("%w with code %d", errRefused, code)
}

// users asks for a user by id.
func users(b *Bench) kind {
	return kind{
		name: "users", request: &impb.IMUsersInfoReq{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			user := b.people[rng.IntN(len(b.people))].id
			return number(number(dst, 1, user), 2, user), user
		},
		list:   2,
		glance: func(g glance) error { return g.wants(1, "users") },
		thorough: func(answer proto.Message, user uint32) error {
			return of(answer.(*impb.IMUsersInfoRsp).GetUserInfoList()[0].GetUserId(), user)
		},
	}
}

// tokens asks for the push tokens of two users.
func tokens(b *Bench) kind {
	return kind{
		name: "tokens", request: &impb.IMGetDeviceTokenReq{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			at := rng.IntN(groupCount)
			user := b.Users.at(groupFirst + at)
			dst = number(dst, 1, user)
			return number(dst, 1, b.Users.at(groupFirst+(at+1)%groupCount)), user
		},
		list:   1,
		glance: func(g glance) error { return g.wants(2, "tokens") },
		thorough: func(answer proto.Message, user uint32) error {
			for _, t := range answer.(*impb.IMGetDeviceTokenRsp).GetUserTokenInfo() {
				if t.GetToken() != tokenOf(t.GetUserId()) {
					return fmt.Errorf("the token of user %d is %.40q", t.GetUserId(), t.GetToken())
				}
			}
			return nil
		},
	}
}

// tokenOf is the push token that a load gives to a user.
func tokenOf(user uint32) string { return fmt.Sprintf("dbproxy-bench-%d", user) }

// groupInfos asks for a group.
func groupInfos(b *Bench) kind {
	return kind{
		name: "group-info", request: &impb.IMGroupInfoListReq{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			g := rng.IntN(len(b.groups))
			dst = number(dst, 1, b.groups[g].members[0])
			var version [16]byte
			return text(dst, 2, number(number(version[:0], 1, b.groups[g].id), 2, 0)), uint32(g)
		},
		list:   2,
		glance: func(g glance) error { return g.wants(1, "groups") },
		thorough: func(answer proto.Message, g uint32) error {
			info := answer.(*impb.IMGroupInfoListRsp).GetGroupInfoList()[0]
			members, want := len(info.GetGroupMemberList()), b.groups[g]
			if info.GetGroupId() != want.id || members != len(want.members) {
				return fmt.Errorf("it is about group %d with %d members, not %d with %d",
					info.GetGroupId(), members, want.id, len(want.members))
			}
			return nil
		},
	}
}

func ringTexts(b *Bench) kind   { return b.texts(b.Users.ring()) }
func spreadTexts(b *Bench) kind { return b.texts(b.Users.spread()) }

// texts sends from one user of a talk to the other.
func (b *Bench) texts(talks []pair) kind {
	return b.sending("text", impb.MsgType_MSG_TYPE_SINGLE_TEXT,
		func(rng *rand.Rand) (from, to uint32) {
			which := rng.IntN(2 * len(talks))
			sides := talks[which/2].sides()
			return sides[which%2], sides[1-which%2]
		})
}

// groupTexts sends from a member to all others of a group.
func groupTexts(b *Bench) kind {
	return b.sending("group-text", impb.MsgType_MSG_TYPE_GROUP_TEXT,
		func(rng *rand.Rand) (from, to uint32) {
			g := b.groups[rng.IntN(len(b.groups))]
			return g.members[rng.IntN(len(g.members))], g.id
		})
}

// sending sends messages of a type, from and to whom draw draws.
func (b *Bench) sending(
	name string, typ impb.MsgType, draw func(*rand.Rand) (from, to uint32),
) kind {
	data := b.text()
	return kind{
		name: name, request: &impb.IMMsgData{},
		body: func(dst []byte, rng *rand.Rand) ([]byte, uint32) {
			from, to := draw(rng)
			return message(dst, from, to, typ, data), from
		},
		value: 3,
		glance: func(g glance) error {
			if g.value == 0 {
				return fmt.Errorf("%w: a message was answered with id 0: it is not stored",
					errRefused)
			}
			return nil
		},
		thorough: func(answer proto.Message, from uint32) error {
			m := answer.(*impb.IMMsgData)
			if !bytes.Equal(m.GetMsgData(), data) {
				return fmt.Errorf("its text is %.40q", m.GetMsgData())
			}
			return of(m.GetFromUserId(), from)
		},
	}
}

// message appends a message of now.
func message(dst []byte, from, to uint32, typ impb.MsgType, data []byte) []byte {
	dst = number(number(number(dst, 1, from), 2, to), 3, 0)
	dst = number(number(dst, 4, uint32(time.Now().Unix())), 5, uint32(typ))
	return text(dst, 6, data)
}

// text is what all messages of a load have.
func (b *Bench) text() []byte {
	data := append([]byte(mark), bytes.Repeat([]byte("x"), max(0, b.Size-len(mark)))...)
	return data[:max(b.Size, len(mark))]
}
