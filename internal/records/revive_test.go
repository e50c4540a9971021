package records_test

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// TestWhatAProxyRemovesAMessageBringsBackInTheSameSecond tells the sessions by their times.
func TestWhatAProxyRemovesAMessageBringsBackInTheSameSecond(t *testing.T) {
	t.Parallel()
	rule(t, func(t *testing.T, p fixture) {
		here, there := p.store(), p.store()
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		group, err := here.Create(ctx, chat.NewGroup{Name: "g", Creator: 1, Type: chat.NormalGroup,
			Members: []uint32{1, 2, 3}}, 900)
		must(err)
		pair, of := chat.PairTalk(1, 2), chat.GroupTalk(group)
		// send sends to both talks, and wants three sessions to be as new as it.
		send := func(s *records.Store, now uint32) {
			t.Helper()
			b := chat.Batch{ID: chat.NewCommitID(), Now: now, Drafts: []chat.Draft{
				{Talk: pair, From: 1, Type: chat.PairText, Content: "x", Time: now},
				{Talk: of, From: 1, Type: chat.GroupText, Content: "x", Time: now},
			}}
			_, err := s.Append(ctx, b, counters.Embedded{})
			must(err)
			for user, want := range map[uint32]int{1: 2, 2: 1} {
				lists, err := s.Recent(ctx, []chat.SessionsAsked{{User: user, Since: now - 1}}, 100)
				must(err)
				sessions := lists[0]
				for _, se := range sessions {
					if se.Updated != now {
						t.Errorf("a session of user %d is of %d, not %d", user, se.Updated, now)
					}
				}
				if len(sessions) != want {
					t.Errorf("user %d has %d sessions, want %d: %v", user, len(sessions), want,
						sessions)
				}
			}
			if n := p.count("SELECT lastChated FROM IMGroup"); n != int(now) {
				t.Errorf("the group's last talk was at %d, not %d", n, now)
			}
		}
		send(here, 1000)
		send(here, 1000)
		for _, by := range []*records.Store{there, here} {
			must(by.Remove(ctx, 1, pair, 1000))
			must(by.Remove(ctx, 2, pair, 1000))
			must(by.Remove(ctx, 1, of, 1000))
			send(here, 1000)
			_, err := by.RemoveMembers(ctx, group, []uint32{1}, 1000)
			must(err)
			_, _, err = by.AddMembers(ctx, group, []uint32{1}, 1000)
			must(err)
			send(here, 1000)
		}
		send(there, 1000)
		send(here, 1001)
		send(here, 1000) // the clock was set back
		send(there, 1001)
		send(here, 1001)
	})
}
