package counters_test

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestTalkLeavesTheKeysOfTheOriginal(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	o, members := originalAt(t, at(r)), at(r)
	members.DB = 2
	if ids := p.send(to(1, 2), to(1, 2), to(2, 1)); ids[0] != 1 || ids[2] != 3 {
		t.Errorf("ids %v", ids)
	}
	g := p.group(1, 2, 3)
	p.send(in(1, g), in(1, g))
	p.send(read(2, chat.GroupTalk(g)))
	p.wantUnread(1, "2:1")
	p.wantUnread(2, "1:2")
	p.wantUnread(3, "group 1:2")
	o.want(`msg_id_1=3
		unread_1 2=1
		unread_2 1=2
		group_msg_id_1=2
		1_im_group_msg count=2
		1_1_im_user_group count=2
		2_1_im_user_group count=2`)
	originalAt(t, members).want("group_member_1 1=NOW\ngroup_member_1 2=NOW\ngroup_member_1 3=NOW")
}
