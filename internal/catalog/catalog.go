// Package catalog lists the requests of the protocol: the command and the message of each, and what
// answers it. Package command, which serves requests, and package client, which sends them, both
// use this list.
package catalog

import (
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Entry is one request of the protocol.
type Entry struct {
	Command uint16 // of the request
	Request proto.Message
	// Answer and AnswerCommand are of the answer; both are zero for requests that have none.
	// Service is that of the request and of the answer.
	Answer        proto.Message
	AnswerCommand uint16
	Service       uint16
	About         string // what it asks for, in a few words
}

// Name is the request's message name without its package, such as IMUsersInfoReq.
func (e Entry) Name() string { return Name(e.Request) }

// Name is a message's name without its package.
func Name(m proto.Message) string { return string(m.ProtoReflect().Descriptor().Name()) }

// Command ids of what belongs to connections, not to requests.
const (
	Heartbeat     uint16 = 0x0701
	StopReceiving uint16 = 0x0702
)

// Entries lists every request, in the order of docs/protocol.md.
func Entries() []Entry {
	return []Entry{
		{0x0703, &impb.IMValidateReq{}, &impb.IMValidateRsp{}, 0x0704, 7, "check a login"},
		{0x010c, &impb.IMPushShieldReq{}, &impb.IMPushShieldRsp{}, 0x010d, 1,
			"set the nightly push shield"},
		{0x010e, &impb.IMQueryPushShieldReq{}, &impb.IMQueryPushShieldRsp{}, 0x010f, 1,
			"ask for the nightly push shield"},
		{0x0108, &impb.IMDeviceTokenReq{}, &impb.IMDeviceTokenRsp{}, 0x0109, 1, "set a push token"},
		{0x0705, &impb.IMGetDeviceTokenReq{}, &impb.IMGetDeviceTokenRsp{}, 0x0706, 7,
			"push tokens of users, for a push"},
		{0x0201, &impb.IMRecentContactSessionReq{}, &impb.IMRecentContactSessionRsp{}, 0x0202, 2,
			"recent sessions"},
		{0x0206, &impb.IMRemoveSessionReq{}, &impb.IMRemoveSessionRsp{}, 0x0207, 2,
			"remove a session"},
		{0x0204, &impb.IMUsersInfoReq{}, &impb.IMUsersInfoRsp{}, 0x0205, 2, "users by id"},
		{0x0208, &impb.IMAllUserReq{}, &impb.IMAllUserRsp{}, 0x0209, 2,
			"all users, or those changed since"},
		{0x0210, &impb.IMDepartmentReq{}, &impb.IMDepartmentRsp{}, 0x0211, 2,
			"departments changed since"},
		{0x0213, &impb.IMChangeSignInfoReq{}, &impb.IMChangeSignInfoRsp{}, 0x0214, 2,
			"set the personal signature"},
		{0x020c, &impb.IMChangeAvatarReq{}, &impb.IMChangeAvatarRsp{}, 0x020d, 2, "set the avatar"},
		{0x0301, &impb.IMMsgData{}, &impb.IMMsgData{}, 0x0301, 3, "store a message"},
		{0x0309, &impb.IMGetMsgListReq{}, &impb.IMGetMsgListRsp{}, 0x030a, 3,
			"page through a talk, newest first"},
		{0x030d, &impb.IMGetMsgByIdReq{}, &impb.IMGetMsgByIdRsp{}, 0x030e, 3, "messages by id"},
		{0x030b, &impb.IMGetLatestMsgIdReq{}, &impb.IMGetLatestMsgIdRsp{}, 0x030c, 3,
			"newest message id of a talk"},
		{0x0307, &impb.IMUnreadMsgCntReq{}, &impb.IMUnreadMsgCntRsp{}, 0x0308, 3,
			"unread counters with last messages"},
		{0x0303, &impb.IMMsgDataReadAck{}, nil, 0, 3, "clear an unread counter"},
		{0x0401, &impb.IMNormalGroupListReq{}, &impb.IMNormalGroupListRsp{}, 0x0402, 4,
			"normal groups of a user"},
		{0x0403, &impb.IMGroupInfoListReq{}, &impb.IMGroupInfoListRsp{}, 0x0404, 4,
			"groups newer than given versions"},
		{0x0405, &impb.IMGroupCreateReq{}, &impb.IMGroupCreateRsp{}, 0x0406, 4, "create a group"},
		{0x0407, &impb.IMGroupChangeMemberReq{}, &impb.IMGroupChangeMemberRsp{}, 0x0408, 4,
			"add or remove members"},
		{0x0409, &impb.IMGroupShieldReq{}, &impb.IMGroupShieldRsp{}, 0x040a, 4,
			"mute a group for a user"},
		{0x0711, &impb.IMGroupGetShieldReq{}, &impb.IMGroupGetShieldRsp{}, 0x0712, 7,
			"who muted a group"},
		{0x0509, &impb.IMFileHasOfflineReq{}, &impb.IMFileHasOfflineRsp{}, 0x050a, 5,
			"offline files waiting for a user"},
		{0x050b, &impb.IMFileAddOfflineReq{}, nil, 0, 5, "add an offline file"},
		{0x050c, &impb.IMFileDelOfflineReq{}, nil, 0, 5, "remove an offline file"},
	}
}

// New makes an empty message of the same type as m.
func New(m proto.Message) proto.Message { return m.ProtoReflect().New().Interface() }
