package command

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Result codes of all answers but those to logins.
const (
	resultOK      uint32 = 0
	resultRefused uint32 = 1
)

func peopleActions() map[string]action {
	return map[string]action{
		"IMUsersInfoReq":       together(usersLength, users),
		"IMAllUserReq":         read(list, allUsers).asLongAsBefore(),
		"IMDepartmentReq":      read(list, departments),
		"IMChangeSignInfoReq":  change(ownLane, setSignature).refusing(noSignature),
		"IMChangeAvatarReq":    change(ownLane, setAvatar).refusing(noAvatar),
		"IMPushShieldReq":      change(ownLane, setPushShield).refusing(noPushShield),
		"IMQueryPushShieldReq": read(few, pushShield).refusing(unknownPushShield),
	}
}

// ownLane is the lane of the user whom a request is from.
func ownLane[Q interface{ GetUserId() uint32 }](req Q) chat.Lane {
	return chat.UserLane(req.GetUserId())
}

// usersLength is how many bytes the users take that are asked for.
func usersLength(req *impb.IMUsersInfoReq) int {
	return items(len(req.GetUserIdList()), userBytes)
}

func users(
	ctx context.Context, s *chat.Service, batch []asked[*impb.IMUsersInfoReq],
) []reply {
	all := make([]chat.UsersAsked, len(batch))
	for i, a := range batch {
		all[i] = chat.UsersAsked{IDs: a.req.GetUserIdList(), Limit: a.limit}
	}
	return answers(s.Users(ctx, all), func(i int, users []chat.User) proto.Message {
		return encoded{body: userList(batch[i].req.GetUserId(), users)}
	})
}

func allUsers(
	ctx context.Context, s *chat.Service, req *impb.IMAllUserReq,
) (proto.Message, error) {
	users, latest, err := s.UsersSince(ctx, req.GetLatestUpdateTime())
	return &impb.IMAllUserRsp{
		UserId: req.UserId, LatestUpdateTime: &latest, UserList: userInfos(users),
	}, err
}

func departments(
	ctx context.Context, s *chat.Service, req *impb.IMDepartmentReq,
) (proto.Message, error) {
	departments, latest, err := s.DepartmentsSince(ctx, req.GetLatestUpdateTime())
	rsp := &impb.IMDepartmentRsp{UserId: req.UserId, LatestUpdateTime: &latest}
	for _, d := range departments {
		rsp.DeptList = append(rsp.DeptList, departInfo(d))
	}
	return rsp, err
}

func setSignature(
	ctx context.Context, s *chat.Service, req *impb.IMChangeSignInfoReq,
) (proto.Message, error) {
	err := s.SetSignature(ctx, req.GetUserId(), req.GetSignInfo())
	return &impb.IMChangeSignInfoRsp{
		UserId: req.UserId, ResultCode: new(resultOK), SignInfo: req.SignInfo,
	}, err
}

func noSignature(req proto.Message, _ error) proto.Message {
	return &impb.IMChangeSignInfoRsp{
		UserId: req.(*impb.IMChangeSignInfoReq).UserId, ResultCode: new(resultRefused),
	}
}

func setAvatar(
	ctx context.Context, s *chat.Service, req *impb.IMChangeAvatarReq,
) (proto.Message, error) {
	err := s.SetAvatar(ctx, req.GetUserId(), req.GetAvatarUrl())
	return &impb.IMChangeAvatarRsp{UserId: req.UserId, ResultCode: new(resultOK)}, err
}

func noAvatar(req proto.Message, _ error) proto.Message {
	return &impb.IMChangeAvatarRsp{
		UserId: req.(*impb.IMChangeAvatarReq).UserId, ResultCode: new(resultRefused),
	}
}

func setPushShield(
	ctx context.Context, s *chat.Service, req *impb.IMPushShieldReq,
) (proto.Message, error) {
	err := s.SetPushShield(ctx, req.GetUserId(), req.GetShieldStatus())
	return &impb.IMPushShieldRsp{
		UserId: req.UserId, ResultCode: new(resultOK), ShieldStatus: req.ShieldStatus,
	}, err
}

func noPushShield(req proto.Message, _ error) proto.Message {
	return &impb.IMPushShieldRsp{
		UserId: req.(*impb.IMPushShieldReq).UserId, ResultCode: new(resultRefused),
	}
}

func pushShield(
	ctx context.Context, s *chat.Service, req *impb.IMQueryPushShieldReq,
) (proto.Message, error) {
	shield, err := s.PushShield(ctx, req.GetUserId())
	return &impb.IMQueryPushShieldRsp{
		UserId: req.UserId, ResultCode: new(resultOK), ShieldStatus: &shield,
	}, err
}

func unknownPushShield(req proto.Message, _ error) proto.Message {
	return &impb.IMQueryPushShieldRsp{
		UserId: req.(*impb.IMQueryPushShieldReq).UserId, ResultCode: new(resultRefused),
	}
}

// userInfo is a user as the protocol has it.
func userInfo(u *chat.User) *impb.UserInfo {
	return &impb.UserInfo{
		UserId:       &u.ID,
		UserGender:   &u.Sex,
		UserNickName: &u.Nick,
		AvatarUrl:    &u.Avatar,
		DepartmentId: &u.Department,
		Email:        &u.Email,
		UserRealName: &u.Name,
		UserTel:      &u.Phone,
		UserDomain:   &u.Domain,
		Status:       &u.Status,
		SignInfo:     &u.Signature,
	}
}

func userInfos(users []chat.User) []*impb.UserInfo {
	infos := make([]*impb.UserInfo, len(users))
	for i := range users {
		infos[i] = userInfo(&users[i])
	}
	return infos
}

func departInfo(d chat.Department) *impb.DepartInfo {
	return &impb.DepartInfo{
		DeptId: &d.ID, Priority: &d.Priority, DeptName: &d.Name, ParentDeptId: &d.Parent,
		DeptStatus: impb.DepartmentStatusType(d.Status).Enum(),
	}
}
