package input

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestAbsurdCounts asks for as much as a request can name: each is answered, or the log says why
// not, and the others are served meanwhile.
func TestAbsurdCounts(t *testing.T) { rig.OnStores(t, absurdCounts) }

func absurdCounts(t *testing.T, at *rig.Setup) {
	const many = 100_000
	at.Start(t)
	p, other := at.Proxy(0), at.Dial(t, 0)
	const messages = 300
	for i := range messages {
		rig.Call[*impb.IMMsgData](t, other, rig.PairText(1, 2, fmt.Sprint(i)))
	}
	g := rig.Call[*impb.IMGroupCreateRsp](t, other, rig.NewGroup(1, 1, 2, 3)).GetGroupId()
	ids := make([]uint32, many)
	for i := range ids {
		ids[i] = uint32(i + 1)
	}
	versions := make([]*impb.GroupVersionInfo, many)
	for i := range versions {
		versions[i] = &impb.GroupVersionInfo{GroupId: proto.Uint32(uint32(i + 1)),
			Version: proto.Uint32(0)}
	}
	one := proto.Uint32(1)
	for _, req := range []proto.Message{
		rig.Page(1, rig.Pair, 2, 0, 4294967295),
		rig.Page(1, rig.Pair, 2, 4294967295, 4294967295),
		rig.UsersInfo(1, ids...),
		rig.NewGroup(2, ids...),
		&impb.IMGroupChangeMemberReq{UserId: one,
			ChangeType: impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD.Enum(), GroupId: &g,
			MemberIdList: ids},
		&impb.IMGroupChangeMemberReq{UserId: one,
			ChangeType: impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL.Enum(), GroupId: &g,
			MemberIdList: ids[10:]},
		&impb.IMGetMsgByIdReq{UserId: one, SessionType: rig.Pair.Enum(), SessionId: proto.Uint32(2),
			MsgIdList: ids},
		&impb.IMGroupGetShieldReq{GroupId: &g, UserId: ids},
		&impb.IMGetDeviceTokenReq{UserId: ids},
		&impb.IMGroupInfoListReq{UserId: one, GroupVersionList: versions},
	} {
		name := catalog.Name(req)
		w := rig.Connect(t, p)
		w.Put(t, rig.FrameOf(t, req, 1).Append(nil))
		rig.CheckServed(t, other)
		if err := w.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		f, err := w.Next(rig.Within(t))
		if err != nil {
			t.Logf("%s is not answered", name)
			w.AwaitRefusal(t, p, name)
			continue
		}
		e, _ := catalog.Lookup(catalog.Name(req))
		answer := catalog.New(e.Answer)
		if err := proto.Unmarshal(f.Body, answer); err != nil || f.Command != e.AnswerCommand {
			t.Errorf("%s is answered by command 0x%04x: %v", name, f.Command, err)
		}
		checkCounts(t, answer, messages, many)
		rig.CheckServed(t, other)
	}
	checkGroupStands(t, p, g)
}

// checkCounts checks how much an answer has.
func checkCounts(t *testing.T, answer proto.Message, messages, many int) {
	t.Helper()
	got, want := 0, 0
	switch a := answer.(type) {
	case *impb.IMGetMsgListRsp:
		got, want = len(a.GetMsgList()), messages
	case *impb.IMUsersInfoRsp:
		got, want = len(a.GetUserInfoList()), 10
	case *impb.IMGetMsgByIdRsp:
		got, want = len(a.GetMsgList()), 100
	case *impb.IMGroupGetShieldRsp:
		got, want = len(a.GetShieldStatusList()), many
	case *impb.IMGetDeviceTokenRsp:
		got, want = len(a.GetUserTokenInfo()), 0
	}
	if got != want {
		t.Errorf("%s has %d, want %d", catalog.Name(answer), got, want)
	}
}

// checkGroupStands sees that a group is still one that can be written to.
func checkGroupStands(t *testing.T, p *harness.Proxy, g uint32) {
	t.Helper()
	if id := rig.Call[*impb.IMMsgData](t, rig.Dial(t, p),
		rig.GroupText(1, g, "still here")).GetMsgId(); id != 1 {
		t.Errorf("a message to the group got id %d", id)
	}
}
