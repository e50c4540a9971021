//go:build !race

package soak

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
)

// auditAll compares what was told with what is stored.
func (s *soak) auditAll(t *testing.T) {
	t.Helper()
	audit.Touch(t, s.Setup, s.sent)
	rows := audit.Check(t, s.Setup, s.sent)
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, found := 0, 0
	for k, list := range rows {
		stored += len(list)
		last := make(map[uint64]uint64) // by connection
		for _, m := range list {
			var line, serial uint64
			if _, err := fmt.Sscanf(m.Content, rig.Secret+" %d %d", &line, &serial); err != nil {
				continue
			}
			if serial <= last[line] {
				t.Errorf("%v: what connection %d sent as %d is stored after %d", k, line, serial, last[line])
			}
			last[line] = serial
			if _, was := s.refused[m.Content]; was {
				t.Errorf("%v: %q was refused with id 0, and is stored", k, m.Content)
			}
			if _, was := s.open[m.Content]; was {
				found++
			}
		}
	}
	t.Logf("%d messages are stored; %d without answer, %d of those in text are stored", stored, len(s.open), found)
	s.auditSounds(t, rows)
	s.auditCrowd(t)
}

// auditSounds sees that voice messages are there, each with its own sound.
func (s *soak) auditSounds(t *testing.T, rows map[bench.Talk][]audit.Row) {
	t.Helper()
	c := s.Dial(t, 1)
	for k, sounds := range s.sounds {
		stored := make(map[uint32]bool)
		for _, m := range rows[k] {
			stored[m.Id] = true
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
		for _, m := range rig.MustAsk[*impb.IMGetMsgListRsp](t, c, rig.Page(k.Low, rig.Pair, k.High, 0, 100)).GetMsgList() {
			if want, ok := sounds[m.GetMsgId()]; ok && string(m.GetMsgData()) != want {
				t.Errorf("%v: voice message %d has %d bytes that were not sent", k, m.GetMsgId(), len(m.GetMsgData()))
			}
		}
	}
}

// auditCrowd sees that those who stay in the group in which others come and go are in it, and nobody is twice.
func (s *soak) auditCrowd(t *testing.T) {
	t.Helper()
	answer := rig.MustAsk[*impb.IMGroupInfoListRsp](t, s.Dial(t, 2), &impb.IMGroupInfoListReq{UserId: proto.Uint32(1),
		GroupVersionList: []*impb.GroupVersionInfo{{GroupId: &s.crowd.Group, Version: proto.Uint32(0)}}})
	if len(answer.GetGroupInfoList()) != 1 {
		t.Fatalf("the group is not told of: %v", answer)
	}
	members := answer.GetGroupInfoList()[0].GetGroupMemberList()
	for _, user := range s.crowd.Members {
		if !slices.Contains(members, user) {
			t.Errorf("member %d is lost", user)
		}
	}
	for _, user := range s.crowd.Changing {
		if n := rig.Count(t, s.DB, "SELECT count(*) FROM IMGroupMember WHERE groupId = ? AND userId = ?", s.crowd.Group, user); n > 1 {
			t.Errorf("member %d has %d rows", user, n)
		}
	}
	if n := rig.Count(t, s.DB, "SELECT userCnt FROM IMGroup WHERE id = ?", s.crowd.Group); n != len(members) {
		t.Errorf("userCnt is %d of %d members", n, len(members))
	}
}
