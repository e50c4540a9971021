package rig

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// PairText is a message of text from one user to another.
func PairText(from, to uint32, text string) *impb.IMMsgData {
	return Message(impb.MsgType_MSG_TYPE_SINGLE_TEXT, from, to, text)
}

// GroupText is a message of text from a user to a group.
func GroupText(from, group uint32, text string) *impb.IMMsgData {
	return Message(impb.MsgType_MSG_TYPE_GROUP_TEXT, from, group, text)
}

// Message is a message of any kind, of now. to is a user or a group, as the kind says; data is
// text, or sound.
func Message(kind impb.MsgType, from, to uint32, data string) *impb.IMMsgData {
	return &impb.IMMsgData{
		FromUserId: &from, ToSessionId: &to, MsgId: proto.Uint32(0),
		CreateTime: proto.Uint32(uint32(time.Now().Unix())), MsgType: kind.Enum(),
		MsgData: []byte(data),
	}
}

// ReadAck says that a user has read all of a talk: peer is the other user, or the group.
func ReadAck(user uint32, kind impb.SessionType, peer uint32) *impb.IMMsgDataReadAck {
	return &impb.IMMsgDataReadAck{UserId: &user, SessionId: &peer, MsgId: proto.Uint32(0),
		SessionType: kind.Enum()}
}

// Unread asks what a user has not read.
func Unread(user uint32) *impb.IMUnreadMsgCntReq { return &impb.IMUnreadMsgCntReq{UserId: &user} }

// Page asks for cnt messages of a talk from the id begin downwards; 0: from the newest.
func Page(user uint32, kind impb.SessionType, peer, begin, cnt uint32) *impb.IMGetMsgListReq {
	return &impb.IMGetMsgListReq{
		UserId: &user, SessionType: kind.Enum(), SessionId: &peer, MsgIdBegin: &begin, MsgCnt: &cnt,
	}
}

// UsersInfo asks who the users with these ids are.
func UsersInfo(user uint32, ids ...uint32) *impb.IMUsersInfoReq {
	return &impb.IMUsersInfoReq{UserId: &user, UserIdList: ids}
}

// NewGroup asks for a new group of these members.
func NewGroup(creator uint32, members ...uint32) *impb.IMGroupCreateReq {
	return &impb.IMGroupCreateReq{
		UserId: &creator, GroupType: impb.GroupType_GROUP_TYPE_NORMAL.Enum(),
		GroupName:   proto.String("group"),
		GroupAvatar: proto.String(""), MemberIdList: members,
	}
}

// The kinds of talks.
const (
	Pair  = impb.SessionType_SESSION_TYPE_SINGLE
	Group = impb.SessionType_SESSION_TYPE_GROUP
)
