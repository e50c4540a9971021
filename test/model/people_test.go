package model_test

import (
	"crypto/md5"
	"encoding/hex"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// user is a row of IMUser.
type user struct {
	info     *impb.UserInfo
	password string // as it comes over the wire
	salt     string
	shield   uint32
	updated  uint32
}

// stored is the password as the table has it.
func (u *user) stored() string {
	sum := md5.Sum([]byte(u.password + u.salt))
	return hex.EncodeToString(sum[:])
}

// department is a row of IMDepart.
type department struct {
	info    *impb.DepartInfo // its status may be one that the protocol does not know
	updated uint32
}

// A name is locked for a while after so many failed logins within that while.
const (
	failures = 11
	lockout  = 1800
)

func (m *model) login(r *impb.IMValidateReq) proto.Message {
	rsp := &impb.IMValidateRsp{UserName: r.UserName}
	result := func(code uint32, text string) proto.Message {
		rsp.ResultCode, rsp.ResultString = &code, &text
		return rsp
	}
	recent := 0
	for _, at := range m.failed[r.GetUserName()] {
		if m.now-at <= lockout {
			recent++
		}
	}
	if recent >= failures {
		return result(6, "用户名/密码错误次数太多")
	}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(m.users))) {
		u := m.users[id]
		if u.info.GetUserRealName() != r.GetUserName() || u.info.GetStatus() != 0 {
			continue
		}
		if u.password != r.GetPassword() {
			break
		}
		delete(m.failed, r.GetUserName())
		rsp.UserInfo = u.info
		return result(0, "成功")
	}
	m.failed[r.GetUserName()] = append(m.failed[r.GetUserName()], m.now)
	return result(1, "用户名/密码错误")
}

func (m *model) usersByID(r *impb.IMUsersInfoReq) proto.Message {
	rsp := &impb.IMUsersInfoRsp{UserId: r.UserId}
	for _, id := range set(r.GetUserIdList()) {
		if u := m.users[id]; u != nil {
			rsp.UserInfoList = append(rsp.UserInfoList, u.info)
		}
	}
	return rsp
}

func (m *model) usersSince(r *impb.IMAllUserReq) proto.Message {
	const left = 3
	since, latest := r.GetLatestUpdateTime(), uint32(0)
	rsp := &impb.IMAllUserRsp{UserId: r.UserId, LatestUpdateTime: &latest}
	for _, id := range slices.Sorted(maps.Keys(m.users)) {
		u := m.users[id]
		if since == 0 && u.info.GetStatus() != left || since > 0 && u.updated >= since {
			rsp.UserList = append(rsp.UserList, u.info)
			latest = max(latest, u.updated)
		}
	}
	if len(rsp.UserList) == 0 {
		latest = since
	}
	return rsp
}

func (m *model) departmentsSince(r *impb.IMDepartmentReq) proto.Message {
	latest := r.GetLatestUpdateTime()
	rsp := &impb.IMDepartmentRsp{UserId: r.UserId, LatestUpdateTime: &latest}
	for _, id := range slices.Sorted(maps.Keys(m.departments)) {
		d := m.departments[id]
		if d.updated <= r.GetLatestUpdateTime() {
			continue
		}
		latest = max(latest, d.updated)
		if d.info.GetDeptStatus() <= 1 {
			rsp.DeptList = append(rsp.DeptList, d.info)
		}
	}
	return rsp
}

// changeUser changes a user, if there is one and the change can be.
func (m *model) changeUser(id uint32, can bool, change func(*user)) (code *uint32) {
	u := m.users[id]
	if u == nil || !can {
		return refused
	}
	u.info = proto.Clone(u.info).(*impb.UserInfo)
	change(u)
	u.updated = m.now
	return ok
}

func (m *model) setSignature(r *impb.IMChangeSignInfoReq) proto.Message {
	rsp := &impb.IMChangeSignInfoRsp{UserId: r.UserId}
	rsp.ResultCode = m.changeUser(r.GetUserId(), storable(r.GetSignInfo(), 128) &&
		len(r.GetSignInfo()) <= 128, func(u *user) {
		u.info.SignInfo, rsp.SignInfo = r.SignInfo, r.SignInfo
	})
	return rsp
}

func (m *model) setAvatar(r *impb.IMChangeAvatarReq) proto.Message {
	rsp := &impb.IMChangeAvatarRsp{UserId: r.UserId}
	rsp.ResultCode = m.changeUser(r.GetUserId(), storable(r.GetAvatarUrl(), 255), func(u *user) {
		u.info.AvatarUrl = r.AvatarUrl
	})
	return rsp
}

func (m *model) setShield(r *impb.IMPushShieldReq) proto.Message {
	rsp := &impb.IMPushShieldRsp{UserId: r.UserId}
	rsp.ResultCode = m.changeUser(r.GetUserId(), r.GetShieldStatus() <= 255, func(u *user) {
		u.shield, rsp.ShieldStatus = r.GetShieldStatus(), r.ShieldStatus
	})
	return rsp
}

func (m *model) shield(r *impb.IMQueryPushShieldReq) proto.Message {
	if u := m.users[r.GetUserId()]; u != nil {
		return &impb.IMQueryPushShieldRsp{UserId: r.UserId, ResultCode: ok, ShieldStatus: &u.shield}
	}
	return &impb.IMQueryPushShieldRsp{UserId: r.UserId, ResultCode: refused}
}

func (m *model) addFile(r *impb.IMFileAddOfflineReq) proto.Message {
	if storable(r.GetTaskId(), 128) && storable(r.GetFileName(), 4096) {
		m.files = append(m.files, r)
	}
	return nil
}

func (m *model) removeFile(r *impb.IMFileDelOfflineReq) proto.Message {
	m.files = slices.DeleteFunc(m.files, func(f *impb.IMFileAddOfflineReq) bool {
		return f.GetFromUserId() == r.GetFromUserId() && f.GetToUserId() == r.GetToUserId() &&
			f.GetTaskId() == r.GetTaskId()
	})
	return nil
}

func (m *model) waitingFiles(r *impb.IMFileHasOfflineReq) proto.Message {
	rsp := &impb.IMFileHasOfflineRsp{UserId: r.UserId}
	for _, f := range m.files {
		if f.GetToUserId() == r.GetUserId() {
			rsp.OfflineFileList = append(rsp.OfflineFileList, &impb.OfflineFileInfo{
				FromUserId: f.FromUserId, TaskId: f.TaskId, FileName: f.FileName,
				FileSize: f.FileSize,
			})
		}
	}
	return rsp
}
