//go:build !race

package test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// auditAll compares what was told with what is stored.
func (s *soak) auditAll(t *testing.T) {
	t.Helper()
	s.touch(t, s.sent)
	rows := s.audit(t, s.sent)
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, found := 0, 0
	for k, list := range rows {
		stored += len(list)
		last := make(map[uint64]uint64) // by connection
		for _, m := range list {
			var line, serial uint64
			if _, err := fmt.Sscanf(m.content, secret+" %d %d", &line, &serial); err != nil {
				continue
			}
			if serial <= last[line] {
				t.Errorf("%v: what connection %d sent as %d is stored after %d", k, line, serial, last[line])
			}
			last[line] = serial
			if _, was := s.refused[m.content]; was {
				t.Errorf("%v: %q was refused with id 0, and is stored", k, m.content)
			}
			if _, was := s.open[m.content]; was {
				found++
			}
		}
	}
	t.Logf("%d messages are stored; %d without answer, %d of those in text are stored", stored, len(s.open), found)
	s.auditSounds(t, rows)
	s.auditCrowd(t)
}

// auditSounds sees that voice messages are there, each with its own sound.
func (s *soak) auditSounds(t *testing.T, rows map[talk][]row) {
	t.Helper()
	c := s.dial(t, 1)
	for k, sounds := range s.sounds {
		stored := make(map[uint32]bool)
		for _, m := range rows[k] {
			stored[m.id] = true
		}
		for id := range sounds {
			if !stored[id] {
				t.Errorf("%v: voice message %d was answered, and is not stored", k, id)
			}
		}
		without := 0
		for _, open := range s.open {
			if open == k {
				without++
			}
		}
		if n := len(rows[k]) - 1; n > len(sounds)+without { // one is of touch
			t.Errorf("%v: %d voice messages are stored, %d were answered, %d were not", k, n, len(sounds), without)
		}
		for _, m := range look[*impb.IMGetMsgListRsp](t, c, page(k.low, pair, k.high, 0, 100)).GetMsgList() {
			if want, ok := sounds[m.GetMsgId()]; ok && string(m.GetMsgData()) != want {
				t.Errorf("%v: voice message %d has %d bytes that were not sent", k, m.GetMsgId(), len(m.GetMsgData()))
			}
		}
	}
}

// auditCrowd sees that those who stay in the group in which others come and go are in it, and nobody is twice.
func (s *soak) auditCrowd(t *testing.T) {
	t.Helper()
	answer := look[*impb.IMGroupInfoListRsp](t, s.dial(t, 2), &impb.IMGroupInfoListReq{UserId: proto.Uint32(1),
		GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &s.crowd.group, Version: proto.Uint32(0)}}})
	if len(answer.GetGroupInfoList()) != 1 {
		t.Fatalf("the group is not told of: %v", answer)
	}
	members := answer.GetGroupInfoList()[0].GetGroupMemberList()
	for _, user := range s.crowd.members {
		if !slices.Contains(members, user) {
			t.Errorf("member %d is lost", user)
		}
	}
	for _, user := range s.crowd.changing {
		if n := count(t, s.db, "SELECT count(*) FROM IMGroupMember WHERE groupId = ? AND userId = ?", s.crowd.group, user); n > 1 {
			t.Errorf("member %d has %d rows", user, n)
		}
	}
	if n := count(t, s.db, "SELECT userCnt FROM IMGroup WHERE id = ?", s.crowd.group); n != len(members) {
		t.Errorf("userCnt is %d of %d members", n, len(members))
	}
}
