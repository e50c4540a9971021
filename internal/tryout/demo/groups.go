package demo

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func (p *play) createGroup(ctx context.Context) string {
	answer := ask[*impb.IMGroupCreateRsp](ctx, p, &impb.IMGroupCreateReq{
		UserId: &p.emma.id, GroupType: impb.GroupType_GROUP_TYPE_NORMAL.Enum(),
		GroupName: proto.String("演示 demo"), GroupAvatar: proto.String(""),
		MemberIdList: []uint32{p.emma.id, p.frank.id, p.ming.id},
	})
	expect(p, "result_code", answer.GetResultCode(), 0)
	expect(p, "number of members", len(answer.GetUserIdList()), 3)
	p.group = answer.GetGroupId()
	return fmt.Sprintf("emma makes group %d, \"演示 demo\", with frank and 王小明", p.group)
}

func (p *play) talkInGroup(ctx context.Context) string {
	answer := ask[*impb.IMMsgData](ctx, p,
		message(p.emma.id, p.group, impb.MsgType_MSG_TYPE_GROUP_TEXT, []byte("大家好, everybody")))
	expect(p, "msg_id", answer.GetMsgId(), 1)
	for _, who := range []struct {
		person
		unread uint32
	}{{p.emma, 0}, {p.frank, 1}, {p.ming, 1}} {
		n := p.unreadOf(ctx, who.person, group, p.group)
		expect(p, who.name+"'s unread messages", n, who.unread)
	}
	p.markRead(ctx, p.frank, group, p.group, 1)
	n := p.unreadOf(ctx, p.frank, group, p.group)
	expect(p, "frank's unread messages after reading", n, 0)
	return "emma greets it: unread for the others, until frank reads it"
}

func (p *play) outsider(ctx context.Context) string {
	answer := ask[*impb.IMGetMsgListRsp](ctx, p, &impb.IMGetMsgListReq{
		UserId: &p.carol.id, SessionType: group.Enum(), SessionId: &p.group,
		MsgIdBegin: proto.Uint32(0), MsgCnt: proto.Uint32(10),
	})
	expect(p, "messages that carol sees", len(answer.GetMsgList()), 0)
	return "carol, who is not in it, sees none of its messages"
}

func (p *play) endGroup(ctx context.Context) string {
	gone := ask[*impb.IMGroupChangeMemberRsp](ctx, p, &impb.IMGroupChangeMemberReq{
		UserId: &p.emma.id, ChangeType: impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL.Enum(),
		GroupId: &p.group, MemberIdList: []uint32{p.emma.id, p.frank.id, p.ming.id},
	})
	expect(p, "result_code", gone.GetResultCode(), 0)
	expect(p, "members left", len(gone.GetCurUserIdList()), 0)
	info := ask[*impb.IMGroupInfoListRsp](ctx, p, &impb.IMGroupInfoListReq{
		UserId:           &p.emma.id,
		GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &p.group, Version: proto.Uint32(0)}},
	})
	expect(p, "groups found", len(info.GetGroupInfoList()), 0)
	return "emma lets everybody go: without members the group is gone"
}
