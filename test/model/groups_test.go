package model_test

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// group is there while it has members.
type group struct {
	info     *impb.GroupInfo // without members
	updated  uint32
	rows     map[uint32]*member
	muted    map[uint32]uint32
	sent     uint32            // messages ever
	seen     map[uint32]uint32 // of those
	lastTalk uint32
}

// member is somebody who is in a group or was.
type member struct {
	in     bool
	joined uint32
	row    uint32
}

func (g *group) has(user uint32) bool {
	return g != nil && g.rows[user] != nil && g.rows[user].in
}

// members are in no order.
func (g *group) members() (users []uint32) {
	if g == nil {
		return nil
	}
	for user := range g.rows {
		if g.has(user) {
			users = append(users, user)
		}
	}
	return users
}

// latestJoin is when somebody last came; he may have left since.
func (g *group) latestJoin() (at uint32) {
	for _, row := range g.rows {
		at = max(at, row.joined)
	}
	return at
}

// groupsOf are the groups that user is in, the latest joined first.
func (m *model) groupsOf(user uint32) (ids []uint32) {
	for id, g := range m.groups {
		if g.has(user) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		r, s := m.groups[a].rows[user], m.groups[b].rows[user]
		return cmp.Or(cmp.Compare(s.joined, r.joined), cmp.Compare(s.row, r.row))
	})
	return ids
}

func (m *model) createGroup(r *impb.IMGroupCreateReq) proto.Message {
	users := set(r.GetMemberIdList())
	rsp := &impb.IMGroupCreateRsp{UserId: r.UserId, ResultCode: refused, GroupName: r.GroupName,
		UserIdList: users}
	if r.GetGroupName() == "" || len(users) == 0 || !storable(r.GetGroupName(), 256) ||
		!storable(r.GetGroupAvatar(), 256) {
		return rsp
	}
	id := uint32(len(m.groups) + 1)
	g := &group{
		info: &impb.GroupInfo{
			GroupId: &id, Version: new(uint32(1)), GroupName: r.GroupName,
			GroupAvatar: r.GroupAvatar, GroupCreatorId: r.UserId,
			GroupType: r.GroupType, ShieldStatus: new(uint32(0)),
		},
		updated: m.now, rows: make(map[uint32]*member), muted: make(map[uint32]uint32),
		seen: make(map[uint32]uint32),
	}
	m.groups[id] = g
	m.join(g, users)
	rsp.ResultCode, rsp.GroupId = ok, &id
	return rsp
}

// join makes users, ascending, members; those who come back have a row.
func (m *model) join(g *group, users []uint32) {
	for _, user := range users {
		if g.rows[user] == nil {
			g.rows[user] = &member{row: m.newRow()}
		}
		g.rows[user].in, g.rows[user].joined = true, m.now
		g.seen[user] = g.sent
	}
}

func (m *model) changeMembers(r *impb.IMGroupChangeMemberReq) proto.Message {
	g := m.groups[r.GetGroupId()]
	if len(g.members()) == 0 {
		return nil
	}
	users, removes := set(r.GetMemberIdList()),
		r.GetChangeType() == impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL
	rsp := &impb.IMGroupChangeMemberRsp{UserId: r.UserId, ChangeType: r.ChangeType,
		ResultCode: refused, GroupId: r.GroupId}
	anyone := g.info.GetGroupType() == impb.GroupType_GROUP_TYPE_TMP && !removes
	if by := r.GetUserId(); by != 0 && by != g.info.GetGroupCreatorId() && !anyone {
		return rsp
	}
	if removes {
		m.leave(g, users)
	} else {
		if users = slices.DeleteFunc(users, g.has); len(users) == 0 {
			return rsp
		}
		m.join(g, users)
	}
	*g.info.Version++
	rsp.ResultCode = ok
	if len(users) > 0 {
		rsp.ChgUserIdList, rsp.CurUserIdList = users, asText(g.members())
	}
	return rsp
}

// leave removes users, members or not, and their sessions.
func (m *model) leave(g *group, users []uint32) {
	for _, user := range users {
		if g.has(user) {
			g.rows[user].in = false
		}
		if s := m.sessions[userTalk{user, talk{inGroup, g.info.GetGroupId(), 0}}]; s != nil &&
			s.live {
			s.live, s.updated = false, m.now
		}
	}
}

// newestFirst orders groups.
func (m *model) newestFirst(ids []uint32) []uint32 {
	slices.SortFunc(ids, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(m.groups[b].updated, m.groups[a].updated), cmp.Compare(b, a))
	})
	return ids
}

func (m *model) normalGroups(r *impb.IMNormalGroupListReq) proto.Message {
	rsp := &impb.IMNormalGroupListRsp{UserId: r.UserId}
	for _, id := range m.newestFirst(m.groupsOf(r.GetUserId())) {
		if g := m.groups[id]; g.info.GetGroupType() == impb.GroupType_GROUP_TYPE_NORMAL {
			rsp.GroupVersionList = append(rsp.GroupVersionList,
				&impb.GroupVersionInfo{GroupId: &id, Version: g.info.Version})
		}
	}
	return rsp
}

func (m *model) groupInfos(r *impb.IMGroupInfoListReq) proto.Message {
	known := make(map[uint32]uint32)
	for _, v := range r.GetGroupVersionList() {
		known[v.GetGroupId()] = v.GetVersion()
	}
	var newer []uint32
	for id, version := range known {
		if g := m.groups[id]; len(g.members()) > 0 && g.info.GetVersion() > version {
			newer = append(newer, id)
		}
	}
	rsp := &impb.IMGroupInfoListRsp{UserId: r.UserId}
	for _, id := range m.newestFirst(newer) {
		info := proto.Clone(m.groups[id].info).(*impb.GroupInfo)
		info.GroupMemberList = asText(m.groups[id].members())
		rsp.GroupInfoList = append(rsp.GroupInfoList, info)
	}
	return rsp
}

func (m *model) mute(r *impb.IMGroupShieldReq) proto.Message {
	g := m.groups[r.GetGroupId()]
	if len(g.members()) == 0 {
		return nil
	}
	rsp := &impb.IMGroupShieldRsp{UserId: r.UserId, GroupId: r.GroupId, ResultCode: refused}
	if g.has(r.GetUserId()) {
		g.muted[r.GetUserId()] = r.GetShieldStatus()
		rsp.ResultCode = ok
	}
	return rsp
}

func (m *model) mutes(r *impb.IMGroupGetShieldReq) proto.Message {
	g := m.groups[r.GetGroupId()]
	if len(g.members()) == 0 {
		return nil
	}
	rsp := &impb.IMGroupGetShieldRsp{GroupId: r.GroupId}
	for _, user := range r.GetUserId() {
		rsp.ShieldStatusList = append(rsp.ShieldStatusList, &impb.ShieldStatus{
			UserId: &user, GroupId: r.GroupId, ShieldStatus: new(g.muted[user]),
		})
	}
	return rsp
}
