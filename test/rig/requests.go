package rig

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func PairText(from, to uint32, text string) *impb.IMMsgData {
	return Message(impb.MsgType_MSG_TYPE_SINGLE_TEXT, from, to, text)
}

func GroupText(from, group uint32, text string) *impb.IMMsgData {
	return Message(impb.MsgType_MSG_TYPE_GROUP_TEXT, from, group, text)
}

func Message(kind impb.MsgType, from, to uint32, data string) *impb.IMMsgData {
	return &impb.IMMsgData{
		FromUserId: &from, ToSessionId: &to, MsgId: proto.Uint32(0),
		CreateTime: proto.Uint32(uint32(time.Now().Unix())), MsgType: kind.Enum(), MsgData: []byte(data),
	}
}

func ReadAck(user uint32, kind impb.SessionType, peer uint32) *impb.IMMsgDataReadAck {
	return &impb.IMMsgDataReadAck{UserId: &user, SessionId: &peer, MsgId: proto.Uint32(0), SessionType: kind.Enum()}
}

func Unread(user uint32) *impb.IMUnreadMsgCntReq { return &impb.IMUnreadMsgCntReq{UserId: &user} }

func Page(user uint32, kind impb.SessionType, peer, begin, cnt uint32) *impb.IMGetMsgListReq {
	return &impb.IMGetMsgListReq{
		UserId: &user, SessionType: kind.Enum(), SessionId: &peer, MsgIdBegin: &begin, MsgCnt: &cnt,
	}
}

func UsersInfo(user uint32, ids ...uint32) *impb.IMUsersInfoReq {
	return &impb.IMUsersInfoReq{UserId: &user, UserIdList: ids}
}

func NewGroup(creator uint32, members ...uint32) *impb.IMGroupCreateReq {
	return &impb.IMGroupCreateReq{
		UserId: &creator, GroupType: impb.GroupType_GROUP_TYPE_NORMAL.Enum(), GroupName: proto.String("group"),
		GroupAvatar: proto.String(""), MemberIdList: members,
	}
}

const (
	Pair  = impb.SessionType_SESSION_TYPE_SINGLE
	Group = impb.SessionType_SESSION_TYPE_GROUP
)
