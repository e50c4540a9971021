package demo

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func (p *play) createGroup(ctx context.Context) (string, error) {
	answer, err := ask[*impb.IMGroupCreateRsp](ctx, p.Client, &impb.IMGroupCreateReq{
		UserId: &p.emma.id, GroupType: impb.GroupType_GROUP_TYPE_NORMAL.Enum(),
		GroupName: proto.String("演示 demo"), GroupAvatar: proto.String(""),
		MemberIdList: []uint32{p.emma.id, p.frank.id, p.ming.id},
	})
	err = expect(err, "result_code", answer.GetResultCode(), 0)
	err = expect(err, "number of members", len(answer.GetUserIdList()), 3)
	p.group = answer.GetGroupId()
	return fmt.Sprintf("emma makes group %d, \"演示 demo\", with frank and 王小明", p.group), err
}

func (p *play) talkInGroup(ctx context.Context) (string, error) {
	answer, err := ask[*impb.IMMsgData](ctx, p.Client,
		message(p.emma.id, p.group, impb.MsgType_MSG_TYPE_GROUP_TEXT, []byte("大家好, everybody")))
	err = expect(err, "msg_id", answer.GetMsgId(), 1)
	if err != nil {
		return "", err
	}
	for _, who := range []struct {
		person
		unread uint32
	}{{p.emma, 0}, {p.frank, 1}, {p.ming, 1}} {
		n, err := p.unreadOf(ctx, who.person, group, p.group)
		err = expect(err, who.name+"'s unread messages", n, who.unread)
		if err != nil {
			return "", err
		}
	}
	if err := p.markRead(ctx, p.frank, group, p.group, 1); err != nil {
		return "", err
	}
	n, err := p.unreadOf(ctx, p.frank, group, p.group)
	err = expect(err, "frank's unread messages after reading", n, 0)
	return "emma greets it: unread for the others, until frank reads it", err
}

func (p *play) outsider(ctx context.Context) (string, error) {
	answer, err := ask[*impb.IMGetMsgListRsp](ctx, p.Client, &impb.IMGetMsgListReq{
		UserId: &p.carol.id, SessionType: group.Enum(), SessionId: &p.group,
		MsgIdBegin: proto.Uint32(0), MsgCnt: proto.Uint32(10),
	})
	err = expect(err, "messages that carol sees", len(answer.GetMsgList()), 0)
	return "carol, who is not in it, sees none of its messages", err
}

func (p *play) endGroup(ctx context.Context) (string, error) {
	gone, err := ask[*impb.IMGroupChangeMemberRsp](ctx, p.Client, &impb.IMGroupChangeMemberReq{
		UserId: &p.emma.id, ChangeType: impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL.Enum(),
		GroupId: &p.group, MemberIdList: []uint32{p.emma.id, p.frank.id, p.ming.id},
	})
	err = expect(err, "result_code", gone.GetResultCode(), 0)
	err = expect(err, "members left", len(gone.GetCurUserIdList()), 0)
	if err != nil {
		return "", err
	}
	info, err := ask[*impb.IMGroupInfoListRsp](ctx, p.Client, &impb.IMGroupInfoListReq{
		UserId:           &p.emma.id,
		GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &p.group, Version: proto.Uint32(0)}},
	})
	err = expect(err, "groups found", len(info.GetGroupInfoList()), 0)
	return "emma lets everybody go: without members the group is gone", err
}
