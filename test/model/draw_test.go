package model_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// draw makes random requests. There are few users, groups and so on, so that requests meet.
type draw struct {
	*rapid.T
	m    *model
	text *int // numbers texts, so that none is taken for another
}

func one[T any](d draw, what string, from ...T) T { return rapid.SampledFrom(from).Draw(d.T, what) }

// rarely is true once in n times; shrinking makes it false.
func (d draw) rarely(n int) bool { return rapid.IntRange(0, n-1).Draw(d.T, "rarely") == n-1 }

// people are those who talk. 7 and 20 are in no table of users.
var people = []uint32{1, 2, 3, 10, 4, 7, 20}

func (d draw) user() *uint32 { return new(one(d, "user", people...)) }
func (d draw) anyone() *uint32 {
	return new(one(d, "user", append(people, people[0], people[1], 0, 4294967295)...))
}

func (d draw) users() []uint32 {
	return rapid.SliceOfN(rapid.SampledFrom(people), 0, 5).Draw(d.T, "users")
}

// group is one that there is, most of the time; all its members may have left.
func (d draw) group() *uint32 {
	if n := len(d.m.groups); n > 0 && !d.rarely(12) {
		return new(uint32(rapid.IntRange(1, n).Draw(d.T, "group")))
	}
	return new(one(d, "no group", uint32(len(d.m.groups)+1), 0, 4294967295))
}

func (d draw) kind() *impb.SessionType { return one(d, "kind", inPair, inGroup).Enum() }

// peer is whom or what one talks to.
func (d draw) peer(kind *impb.SessionType) *uint32 {
	switch {
	case *kind == inGroup:
		return d.group()
	case d.rarely(10):
		return new(one(d, "peer", oldPeer(0), oldPeer(oldPeers-1), 0, 4294967295))
	}
	return d.user()
}

// words is a text; some do not fit a column of so many characters, or none.
func (d draw) words(max int) *string {
	*d.text++
	plain := fmt.Sprintf("text %d", *d.text)
	if !d.rarely(8) {
		return &plain
	}
	return new(one(d, "text", "", "你好", "it's \"\\ % _ ; --", "ends with spaces  ", "😀",
		strings.Repeat("a", max), strings.Repeat("a", max+1),
		strings.Repeat("😀", max), "a\x00b", "\xff\xfe"))
}

// since is a time that clients ask from.
func (d draw) since() *uint32 {
	return new(one(d, "since", 0, d.m.now, d.m.now-1, d.m.now-60, oldTime(2), 4294967295))
}

// requests are those that can be drawn, by name.
var requests = map[string]func(draw) proto.Message{
	"IMMsgData": draw.message,
	"IMMsgDataReadAck": func(d draw) proto.Message {
		kind := d.kind()
		return &impb.IMMsgDataReadAck{UserId: d.user(), SessionType: kind, SessionId: d.peer(kind),
			MsgId: new(uint32(1))}
	},
	"IMGetMsgListReq": func(d draw) proto.Message {
		kind := d.kind()
		begin := rapid.Uint32Range(0, 20).Draw(d.T, "begin")
		if d.rarely(10) {
			begin = 4294967295
		}
		return &impb.IMGetMsgListReq{
			UserId: d.user(), SessionType: kind, SessionId: d.peer(kind), MsgIdBegin: &begin,
			MsgCnt: new(one[uint32](d, "count", 0, 1, 2, 3, 5, 7, 100, 4294967295)),
		}
	},
	"IMGetMsgByIdReq": func(d draw) proto.Message {
		kind := d.kind()
		return &impb.IMGetMsgByIdReq{
			UserId: d.user(), SessionType: kind, SessionId: d.peer(kind),
			MsgIdList: rapid.SliceOfN(rapid.Uint32Range(0, 12), 0, 6).Draw(d.T, "ids"),
		}
	},
	"IMGetLatestMsgIdReq": func(d draw) proto.Message {
		kind := d.kind()
		return &impb.IMGetLatestMsgIdReq{UserId: d.user(), SessionType: kind,
			SessionId: d.peer(kind)}
	},
	"IMUnreadMsgCntReq": func(d draw) proto.Message {
		return &impb.IMUnreadMsgCntReq{UserId: d.anyone()}
	},
	"IMRecentContactSessionReq": func(d draw) proto.Message {
		return &impb.IMRecentContactSessionReq{UserId: d.anyone(), LatestUpdateTime: d.since()}
	},
	"IMRemoveSessionReq": func(d draw) proto.Message {
		kind := d.kind()
		return &impb.IMRemoveSessionReq{UserId: d.user(), SessionType: kind,
			SessionId: d.peer(kind)}
	},
	"IMGroupCreateReq": func(d draw) proto.Message {
		return &impb.IMGroupCreateReq{
			UserId: d.anyone(), GroupType: one(d, "type", impb.GroupType_GROUP_TYPE_NORMAL,
				impb.GroupType_GROUP_TYPE_TMP).Enum(),
			GroupName: d.words(256), GroupAvatar: d.words(256), MemberIdList: d.users(),
		}
	},
	"IMGroupChangeMemberReq": func(d draw) proto.Message { return d.change(d.group()) },
	"IMGroupShieldReq": func(d draw) proto.Message {
		return &impb.IMGroupShieldReq{
			UserId: d.user(), GroupId: d.group(), ShieldStatus: new(one[uint32](d, "mute", 1, 0, 2,
				4294967295)),
		}
	},
	"IMGroupGetShieldReq": func(d draw) proto.Message {
		return &impb.IMGroupGetShieldReq{GroupId: d.group(), UserId: d.users()}
	},
	"IMNormalGroupListReq": func(d draw) proto.Message {
		return &impb.IMNormalGroupListReq{UserId: d.user()}
	},
	"IMGroupInfoListReq": draw.versions,
	"IMValidateReq":      draw.login,
	"IMUsersInfoReq": func(d draw) proto.Message {
		return &impb.IMUsersInfoReq{UserId: d.user(), UserIdList: d.users()}
	},
	"IMAllUserReq": func(d draw) proto.Message {
		return &impb.IMAllUserReq{UserId: d.user(), LatestUpdateTime: d.since()}
	},
	"IMDepartmentReq": func(d draw) proto.Message {
		return &impb.IMDepartmentReq{UserId: d.user(), LatestUpdateTime: d.since()}
	},
	"IMChangeSignInfoReq": func(d draw) proto.Message {
		return &impb.IMChangeSignInfoReq{UserId: d.anyone(), SignInfo: d.words(128)}
	},
	"IMChangeAvatarReq": func(d draw) proto.Message {
		return &impb.IMChangeAvatarReq{UserId: d.anyone(), AvatarUrl: d.words(255)}
	},
	"IMPushShieldReq": func(d draw) proto.Message {
		return &impb.IMPushShieldReq{UserId: d.anyone(),
			ShieldStatus: new(one[uint32](d, "shield", 1, 0, 2, 255, 256))}
	},
	"IMQueryPushShieldReq": func(d draw) proto.Message {
		return &impb.IMQueryPushShieldReq{UserId: d.anyone()}
	},
	"IMDeviceTokenReq": draw.token,
	"IMGetDeviceTokenReq": func(d draw) proto.Message {
		return &impb.IMGetDeviceTokenReq{UserId: d.users()}
	},
	"IMFileHasOfflineReq": func(d draw) proto.Message {
		return &impb.IMFileHasOfflineReq{UserId: d.user()}
	},
	"IMFileAddOfflineReq": func(d draw) proto.Message {
		return &impb.IMFileAddOfflineReq{
			FromUserId: d.user(), ToUserId: d.user(), TaskId: d.task(), FileName: d.words(4096),
			FileSize: new(uint32(3000000000)),
		}
	},
	"IMFileDelOfflineReq": func(d draw) proto.Message {
		return &impb.IMFileDelOfflineReq{FromUserId: d.user(), ToUserId: d.user(), TaskId: d.task()}
	},
}

// request draws a request of one of some names, with attach_data or without.
func (d draw) request(names ...string) proto.Message {
	name := names[0]
	if len(names) > 1 {
		name = one(d, "request", names...)
	}
	req := requests[name](d)
	field := req.ProtoReflect().Descriptor().Fields().ByName("attach_data")
	if field != nil && d.rarely(4) {
		req.ProtoReflect().Set(field, protoreflect.ValueOfBytes(one(d, "attached",
			[]byte("\x00\xff"), []byte{})))
	}
	return req
}

func (d draw) message() proto.Message {
	r := &impb.IMMsgData{FromUserId: d.anyone(), MsgId: new(one[uint32](d, "msg_id", 0, 99))}
	kind := d.kind()
	r.ToSessionId = d.peer(kind)
	r.CreateTime = new(one(d, "create_time", d.m.now, d.m.now-1, d.m.now-600, 0, d.m.now+299,
		d.m.now+301, 4294967295))
	r.MsgType = impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum()
	if d.rarely(3) {
		r.MsgType = impb.MsgType_MSG_TYPE_SINGLE_AUDIO.Enum()
	}
	r.MsgData = []byte(*d.words(4096))
	if isVoice(*r.MsgType) {
		r.MsgData = append([]byte{0, 0, 0, 5, 0xff, 0}, r.MsgData...)
		if d.rarely(10) {
			r.MsgData = r.MsgData[:rapid.IntRange(0, 5).Draw(d.T, "bytes")]
		}
	}
	if *kind == inGroup {
		*r.MsgType += impb.MsgType_MSG_TYPE_GROUP_TEXT - impb.MsgType_MSG_TYPE_SINGLE_TEXT
	}
	return r
}

// change is one of members; half of them by the server, who may.
func (d draw) change(group *uint32) proto.Message {
	by := new(uint32(0))
	if d.rarely(2) {
		by = d.user()
	}
	return &impb.IMGroupChangeMemberReq{
		UserId: by, GroupId: group, MemberIdList: d.users(),
		ChangeType: one(d, "change", impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD,
			impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL).Enum(),
	}
}

func (d draw) versions() proto.Message {
	r := &impb.IMGroupInfoListReq{UserId: d.user()}
	for range rapid.IntRange(0, 4).Draw(d.T, "groups") {
		known := &impb.GroupVersionInfo{GroupId: d.group(),
			Version: new(one[uint32](d, "version", 0, 1, 2, 3))}
		r.GroupVersionList = append(r.GroupVersionList, known)
	}
	return r
}

// login is with a name that somebody has or that looks like one.
func (d draw) login() proto.Message {
	return &impb.IMValidateReq{
		UserName: new(one(d, "name", append(names, "BOB", "ann  ", "", "\xff",
			strings.Repeat("x", 33))...)),
		Password: new(one(d, "password", append(passwords, "")...)),
	}
}

func (d draw) token() proto.Message {
	r := &impb.IMDeviceTokenReq{
		UserId: d.user(),
		DeviceToken: new(one(d, "token", "t1", "t2", "", "t3:4", "ios:t1", strings.Repeat("t", 512),
			strings.Repeat("t", 513), "\xff")),
	}
	if !d.rarely(4) {
		r.ClientType = one(d, "client",
			impb.ClientType_CLIENT_TYPE_IOS, impb.ClientType_CLIENT_TYPE_ANDROID,
			impb.ClientType_CLIENT_TYPE_WINDOWS).Enum()
	}
	return r
}

func (d draw) task() *string {
	return new(one(d, "task", "a", "b", "a ", "A", "", "a'b", strings.Repeat("x", 128),
		strings.Repeat("x", 129)))
}

// laned are the requests that may be pending together: those of a lane take effect in the order
// sent, and it makes no difference which of two lanes is first.
var laned = []string{
	"IMMsgData", "IMMsgData", "IMMsgData", "IMMsgData", "IMMsgDataReadAck", "IMRemoveSessionReq",
	"IMGroupChangeMemberReq",
	"IMGroupShieldReq", "IMPushShieldReq", "IMDeviceTokenReq", "IMFileAddOfflineReq",
	"IMFileDelOfflineReq", "IMFileHasOfflineReq",
}

// or are more of them, but not together: the answer to a login shows the user.
var or = [][]string{{"IMValidateReq"}, {"IMChangeSignInfoReq", "IMChangeAvatarReq"}}

// laneOf names the lane of one of those requests.
func laneOf(req proto.Message) string {
	switch r := req.(type) {
	case *impb.IMMsgData:
		return fmt.Sprint(talkOfMessage(r))
	case interface {
		GetSessionType() impb.SessionType
		GetSessionId() uint32
		GetUserId() uint32
	}:
		return fmt.Sprint(talkOf(r.GetUserId(), r.GetSessionType(), r.GetSessionId()))
	case interface{ GetGroupId() uint32 }:
		return fmt.Sprint(talkOf(0, inGroup, r.GetGroupId()))
	case *impb.IMValidateReq:
		return "name " + r.GetUserName()
	case interface{ GetToUserId() uint32 }:
		return fmt.Sprint("files ", r.GetToUserId())
	case *impb.IMFileHasOfflineReq:
		return fmt.Sprint("files ", r.GetUserId())
	case interface{ GetUserId() uint32 }:
		return fmt.Sprint("user ", r.GetUserId())
	}
	return ""
}

// burst draws requests to be pending together. Only one group gets members: who joined several
// within a second sees them in the order of its rows, which would be any.
func (d draw) burst() (reqs []proto.Message) {
	group, names := d.group(), append(laned, or[rapid.IntRange(0, len(or)-1).Draw(d.T, "or")]...)
	for range rapid.IntRange(2, 24).Draw(d.T, "at once") {
		req := d.request(names...)
		if change, ok := req.(*impb.IMGroupChangeMemberReq); ok {
			change.GroupId = group
		}
		reqs = append(reqs, req)
	}
	return reqs
}

// count asks how much users have unread, among them that one.
func (d draw) count(user *uint32) proto.Message {
	if d.rarely(3) {
		return &impb.IMGetDeviceTokenReq{UserId: append(d.users(), *user)}
	}
	return &impb.IMUnreadMsgCntReq{UserId: user}
}

// everything is all that anybody can ask for.
func everything(m *model) (reqs []proto.Message) {
	zero, most := new(uint32(0)), new(uint32(4294967295))
	for _, user := range append(people, oldPeer(0)) {
		me := &user
		reqs = append(reqs, &impb.IMUnreadMsgCntReq{UserId: me},
			&impb.IMRecentContactSessionReq{UserId: me, LatestUpdateTime: zero},
			&impb.IMNormalGroupListReq{UserId: me}, &impb.IMQueryPushShieldReq{UserId: me},
			&impb.IMFileHasOfflineReq{UserId: me})
		for _, peer := range append(people, oldPeer(0), 4294967295) {
			reqs = append(reqs, &impb.IMGetMsgListReq{UserId: me, SessionType: inPair.Enum(),
				SessionId: &peer, MsgIdBegin: zero, MsgCnt: most})
		}
		for id := range m.groups {
			reqs = append(reqs, &impb.IMGetMsgListReq{UserId: me, SessionType: inGroup.Enum(),
				SessionId: &id, MsgIdBegin: zero, MsgCnt: most})
		}
	}
	infos := &impb.IMGroupInfoListReq{UserId: zero}
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		infos.GroupVersionList = append(infos.GroupVersionList,
			&impb.GroupVersionInfo{GroupId: &id, Version: zero})
		reqs = append(reqs, &impb.IMGroupGetShieldReq{GroupId: &id, UserId: people})
	}
	return append(reqs, infos, &impb.IMGetDeviceTokenReq{UserId: people},
		&impb.IMAllUserReq{UserId: zero, LatestUpdateTime: zero},
		&impb.IMAllUserReq{UserId: zero, LatestUpdateTime: new(uint32(1))},
		&impb.IMDepartmentReq{UserId: zero, LatestUpdateTime: zero})
}
