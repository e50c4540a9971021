package command

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func groupActions() map[string]action {
	return map[string]action{
		"IMNormalGroupListReq": read(list, normalGroups),
		"IMGroupInfoListReq":   together(groupsLength, newerGroups),
		// A group that does not exist yet has no lane of its own: it is made in its creator's.
		"IMGroupCreateReq": bulky(createdLength,
			change(ownLane, createGroup).refusing(groupNotCreated)),
		"IMGroupChangeMemberReq": bulky(list[*impb.IMGroupChangeMemberReq],
			change(groupLane, changeMembers).refusing(membersNotChanged)).asLongAsBefore(),
		"IMGroupShieldReq":    change(groupLane, mute).refusing(notMuted),
		"IMGroupGetShieldReq": read(mutesLength, mutes),
	}
}

// groupLane is the lane of the group that a request is about.
func groupLane[Q interface{ GetGroupId() uint32 }](req Q) chat.Lane {
	return chat.TalkLane(chat.GroupTalk(req.GetGroupId()))
}

func normalGroups(
	ctx context.Context, s *chat.Service, req *impb.IMNormalGroupListReq,
) (proto.Message, error) {
	groups, err := s.NormalGroups(ctx, req.GetUserId())
	rsp := &impb.IMNormalGroupListRsp{UserId: req.UserId}
	for _, g := range groups {
		rsp.GroupVersionList = append(rsp.GroupVersionList,
			&impb.GroupVersionInfo{GroupId: &g.ID, Version: &g.Version})
	}
	return rsp, err
}

// groupsLength is how many bytes the groups take that are asked for.
func groupsLength(req *impb.IMGroupInfoListReq) int {
	return items(len(req.GetGroupVersionList()), groupBytes)
}

func newerGroups(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMGroupInfoListReq],
) []reply {
	known := make([]chat.KnownGroups, len(batch))
	for i, a := range batch {
		known[i].Limit = a.limit
		for _, g := range a.req.GetGroupVersionList() {
			v := chat.GroupVersion{ID: g.GetGroupId(), Version: g.GetVersion()}
			known[i].Versions = append(known[i].Versions, v)
		}
	}
	found := s.GroupsNewerThan(ctx, known)
	return answers(found, func(i int, groups []chat.GroupInfo) proto.Message {
		rsp := &impb.IMGroupInfoListRsp{UserId: batch[i].req.UserId}
		for _, g := range groups {
			rsp.GroupInfoList = append(rsp.GroupInfoList, groupInfo(g))
		}
		return rsp
	})
}

func mute(
	ctx context.Context, s *chat.Service, req *impb.IMGroupShieldReq,
) (proto.Message, error) {
	err := s.MuteGroup(ctx, req.GetUserId(), req.GetGroupId(), req.GetShieldStatus())
	return muted(req, resultOK), err
}

func notMuted(req proto.Message, _ error) proto.Message {
	return muted(req.(*impb.IMGroupShieldReq), resultRefused)
}

// mutesLength is how many bytes the mute values of users take.
func mutesLength(req *impb.IMGroupGetShieldReq) int {
	return items(len(req.GetUserId()), shieldBytes)
}

func mutes(
	ctx context.Context, s *chat.Service, req *impb.IMGroupGetShieldReq,
) (proto.Message, error) {
	values, err := s.Mutes(ctx, req.GetGroupId(), req.GetUserId())
	rsp := &impb.IMGroupGetShieldRsp{GroupId: req.GroupId}
	for i, v := range values {
		rsp.ShieldStatusList = append(rsp.ShieldStatusList, &impb.ShieldStatus{
			UserId: new(req.UserId[i]), GroupId: req.GroupId, ShieldStatus: &v,
		})
	}
	return rsp, err
}

// createdLength is how many bytes the members of a new group take in its answer.
func createdLength(req *impb.IMGroupCreateReq) int {
	return items(len(req.GetMemberIdList()), memberBytes)
}

func createGroup(
	ctx context.Context, s *chat.Service, req *impb.IMGroupCreateReq,
) (proto.Message, error) {
	id, members, err := s.CreateGroup(ctx, chat.NewGroup{
		Creator: req.GetUserId(),
		Type:    chat.GroupType(req.GetGroupType()),
		Name:    req.GetGroupName(),
		Avatar:  req.GetGroupAvatar(),
		Members: req.GetMemberIdList(),
	})
	return &impb.IMGroupCreateRsp{
		UserId: req.UserId, ResultCode: new(resultOK), GroupId: &id,
		GroupName: req.GroupName, UserIdList: members,
	}, err
}

func groupNotCreated(m proto.Message, _ error) proto.Message {
	req := m.(*impb.IMGroupCreateReq)
	return &impb.IMGroupCreateRsp{
		UserId: req.UserId, ResultCode: new(resultRefused), GroupName: req.GroupName,
		UserIdList: chat.SortedSet(req.GetMemberIdList()),
	}
}

func changeMembers(
	ctx context.Context, s *chat.Service, req *impb.IMGroupChangeMemberReq,
) (proto.Message, error) {
	changed, members, err := s.ChangeMembers(ctx, chat.MemberChange{
		By:     req.GetUserId(),
		Group:  req.GetGroupId(),
		Remove: req.GetChangeType() == impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL,
		Users:  req.GetMemberIdList(),
	})
	return &impb.IMGroupChangeMemberRsp{
		UserId: req.UserId, ChangeType: req.ChangeType, ResultCode: new(resultOK),
		GroupId:       req.GroupId,
		CurUserIdList: members, ChgUserIdList: changed,
	}, err
}

func membersNotChanged(m proto.Message, _ error) proto.Message {
	req := m.(*impb.IMGroupChangeMemberReq)
	return &impb.IMGroupChangeMemberRsp{
		UserId: req.UserId, ChangeType: req.ChangeType, ResultCode: new(resultRefused),
		GroupId: req.GroupId,
	}
}

func muted(req *impb.IMGroupShieldReq, code uint32) proto.Message {
	return &impb.IMGroupShieldRsp{UserId: req.UserId, GroupId: req.GroupId, ResultCode: &code}
}

func groupInfo(g chat.GroupInfo) *impb.GroupInfo {
	return &impb.GroupInfo{
		GroupId:         &g.ID,
		Version:         &g.Version,
		GroupName:       &g.Name,
		GroupAvatar:     &g.Avatar,
		GroupCreatorId:  &g.Creator,
		GroupType:       impb.GroupType(g.Type).Enum(),
		ShieldStatus:    new(uint32(0)),
		GroupMemberList: g.Members,
	}
}
