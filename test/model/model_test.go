// Package model_test holds the proxy to a model of it: the simplest program that could answer as
// docs/protocol.md says, in memory, one request after the other. Random requests go to both, and
// every answer must be the same.
package model_test

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// model is what a proxy should know.
type model struct {
	now         uint32 // Unix seconds
	users       map[uint32]*user
	departments map[uint32]department
	failed      map[string][]uint32 // when logins of a name failed

	said     map[talk][]said // the first one has id 1
	unread   map[userTalk]uint32
	sessions map[userTalk]*session
	groups   map[uint32]*group
	synced   uint32 // when the group sync last looked; 0: never
	rows     uint32 // sessions and members ever made: a later one has a greater row id

	devices map[uint32]string // push tokens, with their platform, by user
	files   []*impb.IMFileAddOfflineReq
}

func newModel(now uint32) *model {
	return &model{
		now: now, users: make(map[uint32]*user), departments: make(map[uint32]department),
		failed: make(map[string][]uint32),
		said:   make(map[talk][]said), unread: make(map[userTalk]uint32),
		sessions: make(map[userTalk]*session),
		groups:   make(map[uint32]*group), devices: make(map[uint32]string),
	}
}

// The kinds of talk.
const (
	inPair  = impb.SessionType_SESSION_TYPE_SINGLE
	inGroup = impb.SessionType_SESSION_TYPE_GROUP
)

// talk is between two users, a the smaller one, or in a group, which is a.
type talk struct {
	kind impb.SessionType
	a, b uint32
}

func talkOf(user uint32, kind impb.SessionType, id uint32) talk {
	if kind == inGroup {
		return talk{kind, id, 0}
	}
	return talk{kind, min(user, id), max(user, id)}
}

// peer is what user calls the talk.
func (t talk) peer(user uint32) uint32 {
	if t.kind == inPair && t.a == user {
		return t.b
	}
	return t.a
}

type userTalk struct {
	user uint32
	talk talk
}

// said is a message.
type said struct {
	from, created uint32
	typ           impb.MsgType
	data          []byte
	removed       bool // by the back office
}

// session is a talk in a user's list of recent ones.
type session struct {
	live    bool
	updated uint32
	row     uint32
}

// newRow numbers a row.
func (m *model) newRow() uint32 {
	m.rows++
	return m.rows
}

// The result codes of answers that have one.
var ok, refused = new(uint32(0)), new(uint32(1))

// answer does what a request asks for, and returns the answer to it, nil for none.
func (m *model) answer(req proto.Message) proto.Message {
	answer := m.do(req)
	if _, itself := req.(*impb.IMMsgData); answer != nil && !itself {
		echoAttached(answer, req)
	}
	return answer
}

// do is answer without attach_data.
func (m *model) do(req proto.Message) proto.Message {
	switch r := req.(type) {
	case *impb.IMMsgData:
		return m.send(r)
	case *impb.IMMsgDataReadAck:
		return m.read(r)
	case *impb.IMRemoveSessionReq:
		return m.removeSession(r)
	case *impb.IMGroupCreateReq:
		return m.createGroup(r)
	case *impb.IMGroupChangeMemberReq:
		return m.changeMembers(r)
	case *impb.IMGroupShieldReq:
		return m.mute(r)
	case *impb.IMValidateReq:
		return m.login(r)
	case *impb.IMChangeSignInfoReq:
		return m.setSignature(r)
	case *impb.IMChangeAvatarReq:
		return m.setAvatar(r)
	case *impb.IMPushShieldReq:
		return m.setShield(r)
	case *impb.IMDeviceTokenReq:
		return m.setToken(r)
	case *impb.IMFileAddOfflineReq:
		return m.addFile(r)
	case *impb.IMFileDelOfflineReq:
		return m.removeFile(r)
	}
	return m.look(req)
}

// look is do for the requests that change nothing.
func (m *model) look(req proto.Message) proto.Message {
	switch r := req.(type) {
	case *impb.IMGetMsgListReq:
		return m.page(r)
	case *impb.IMGetMsgByIdReq:
		return m.byID(r)
	case *impb.IMGetLatestMsgIdReq:
		return m.latestID(r)
	case *impb.IMUnreadMsgCntReq:
		return m.unreadList(r)
	case *impb.IMRecentContactSessionReq:
		return m.recent(r)
	case *impb.IMNormalGroupListReq:
		return m.normalGroups(r)
	case *impb.IMGroupInfoListReq:
		return m.groupInfos(r)
	case *impb.IMGroupGetShieldReq:
		return m.mutes(r)
	case *impb.IMUsersInfoReq:
		return m.usersByID(r)
	case *impb.IMAllUserReq:
		return m.usersSince(r)
	case *impb.IMDepartmentReq:
		return m.departmentsSince(r)
	case *impb.IMQueryPushShieldReq:
		return m.shield(r)
	case *impb.IMGetDeviceTokenReq:
		return m.pushTokens(r)
	case *impb.IMFileHasOfflineReq:
		return m.waitingFiles(r)
	}
	panic(fmt.Sprintf("the model does not know %T", req))
}

// echoAttached copies attach_data, which is there in answers even when it was not in the request.
func echoAttached(answer, req proto.Message) {
	const number = 20
	to, from := answer.ProtoReflect(), req.ProtoReflect()
	field, given := to.Descriptor().Fields().ByNumber(number),
		from.Descriptor().Fields().ByNumber(number)
	if field != nil && given != nil {
		to.Set(field, protoreflect.ValueOfBytes(append([]byte{}, from.Get(given).Bytes()...)))
	}
}

// night reports whether the nightly shields hold, which they do from 22:00 to 07:59.
func (m *model) night() bool {
	hour := time.Unix(int64(m.now), 0).UTC().Hour()
	return hour >= 22 || hour < 8
}

// asText orders ids as text: 1, 10, 2.
func asText(ids []uint32) []uint32 {
	slices.SortFunc(ids, func(a, b uint32) int {
		if strconv.Itoa(int(a)) < strconv.Itoa(int(b)) {
			return -1
		}
		return 1
	})
	return ids
}

// set is ids ascending, each once.
func set(ids []uint32) []uint32 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
