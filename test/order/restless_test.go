package order

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// restless is a group in which people come and go.
type restless struct {
	members  []uint32 // who stay, and talk; the first is the creator
	changing []uint32 // who come and go, each by requests on one connection
	group    uint32
}

func (r *restless) run(t *testing.T, w *rig.Setup, sent *audit.Ledger) {
	t.Helper()
	const changes, sends, conns = 20, 60, 6
	r.group = rig.Call[*impb.IMGroupCreateRsp](t, w.Dial(t, 0),
		rig.NewGroup(r.members[0], r.members...)).GetGroupId()
	ctx := rig.Within(t)
	var wg sync.WaitGroup
	for i, user := range r.changing {
		c := w.Dial(t, i)
		wg.Go(func() {
			if err := r.comeAndGo(ctx, c, user, changes); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range conns {
		c := w.Dial(t, i)
		wg.Go(func() {
			for n := range sends {
				req := rig.GroupText(r.members[i%len(r.members)], r.group,
					fmt.Sprintf("group %d, connection %d, %d", r.group, i, n))
				answer, err := client.Call[*impb.IMMsgData](ctx, c, req)
				if err != nil {
					t.Error(err)
					return
				}
				sent.Answered(lines.GroupTalk(r.group), answer)
			}
		})
	}
	wg.Wait()
	r.check(t, w, 1+changes*len(r.changing))
}

// comeAndGo has one user join and leave in turn; after an even number of changes the user is out.
func (r *restless) comeAndGo(
	ctx context.Context, c *client.Client, user uint32, changes int,
) error {
	for i := range changes {
		kind := impb.GroupModifyType_GROUP_MODIFY_TYPE_ADD
		if i%2 == 1 {
			kind = impb.GroupModifyType_GROUP_MODIFY_TYPE_DEL
		}
		req := &impb.IMGroupChangeMemberReq{UserId: &r.members[0], GroupId: &r.group,
			ChangeType: kind.Enum(), MemberIdList: []uint32{user}}
		answer, err := client.Call[*impb.IMGroupChangeMemberRsp](ctx, c, req)
		if err != nil {
			return err
		}
		in := slices.Contains(answer.GetCurUserIdList(), user)
		if answer.GetResultCode() != 0 || in != (i%2 == 0) ||
			!slices.Equal(answer.GetChgUserIdList(), []uint32{user}) {
			return fmt.Errorf("change %d of user %d was answered %v", i, user, answer)
		}
		if i%2 == 0 { // who has just joined has nothing unread but what was sent since
			if err := r.ask(ctx, c, user); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask has the unread messages of a user counted.
func (r *restless) ask(ctx context.Context, c *client.Client, user uint32) error {
	_, err := client.Call[*impb.IMUnreadMsgCntRsp](ctx, c, rig.Unread(user))
	return err
}

// check checks the group, as every proxy tells of it.
func (r *restless) check(t *testing.T, w *rig.Setup, version int) {
	t.Helper()
	w.Fleet.AwaitNodes(t)
	for i := range w.Proxies {
		answer := rig.Call[*impb.IMGroupInfoListRsp](t, w.Dial(t, i),
			&impb.IMGroupInfoListReq{UserId: &r.members[0],
				GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &r.group,
					Version: proto.Uint32(0)}}})
		list := answer.GetGroupInfoList()
		if len(list) != 1 || int(list[0].GetVersion()) != version ||
			!slices.Equal(list[0].GetGroupMemberList(), r.members) {
			t.Errorf("proxy %d tells %v, want version %d and members %d", i, answer, version,
				r.members)
		}
	}
	if n := rig.Count(t, w.DB, "SELECT userCnt FROM IMGroup WHERE id = ?",
		r.group); n != len(r.members) {
		t.Errorf("userCnt is %d", n)
	}
}
