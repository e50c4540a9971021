package records_test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// crowd has users 2 to n+1 each send something to user 1, and makes n/2 groups with user 1 and 2n
// others, which talk.
func crowd(t *testing.T, s *records.Store, n uint32) (users, groups []uint32) {
	t.Helper()
	var drafts []chat.Draft
	for i := range n {
		users = append(users, i+1)
		drafts = append(drafts, chat.Draft{Talk: chat.PairTalk(1, i+2), From: i + 2,
			Type: chat.PairText, Content: "x"})
	}
	members := []uint32{1}
	for i := range 2 * n {
		members = append(members, i+2)
	}
	for range n / 2 {
		id, err := s.Create(t.Context(), chat.NewGroup{Creator: 1, Type: chat.NormalGroup,
			Name: "x", Members: members}, 1)
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, id)
		drafts = append(drafts, chat.Draft{Talk: chat.GroupTalk(id), From: 2, Type: chat.GroupText,
			Content: "x"})
	}
	if _, err := s.Append(t.Context(), chat.Batch{ID: chat.NewCommitID(), Now: 1000,
		Drafts: drafts}, counters.Embedded{}); err != nil {
		t.Fatal(err)
	}
	var people []chat.User
	for i := range 10 * n {
		people = append(people, chat.User{Name: fmt.Sprint("user", i)})
	}
	if err := s.AddUsers(t.Context(), people); err != nil {
		t.Fatal(err)
	}
	for i := range 10 * n {
		users = append(users, i+1)
	}
	return chat.SortedSet(users), groups
}

// TestListsTakeAFixedNumberOfStatements asks for lists of some and of many: sessions, unread
// messages, groups with their members, users. Messages of pairs and groups are in eight tables
// each, which are asked together, or where an answer is not far, one by one.
func TestListsTakeAFixedNumberOfStatements(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		want := map[string]int{"sessions": 3, "unread": 5, "groups": 2, "users": 1, "devices": 1,
			"members": 2}
		if p.engine.name == "embedded" { // sessions are those of pairs
			want["sessions"], want["unread"] = 2+8, 3+8+8
		}
		for _, n := range []uint32{20, 100} {
			var heard statements
			store := p.engine.fixture(t).listening(&heard)
			users, groups := crowd(t, store, n)
			svc, err := chat.New(chat.Store{
				Archive: store, Sessions: store, Groups: store,
				Directory: store, Tokens: store, Mutes: store,
				Counters: counters.Embedded{Records: store},
			}, chat.Options{VoiceKey: chat.DefaultVoiceKey, Log: discard})
			if err != nil {
				t.Fatal(err)
			}
			ask := func(what string, rows uint32, do func() (int, error)) {
				t.Helper()
				before := heard.count()
				got, err := do()
				if err != nil || got != int(rows) {
					t.Errorf("%s of %d: %d rows, %v", what, n, got, err)
				}
				if count := heard.count() - before; count > want[what] {
					t.Errorf("%s of %d: %d statements, want at most %d", what, n, count, want[what])
				}
			}
			ask("sessions", n, func() (int, error) {
				list := svc.RecentSessions(t.Context(), []chat.SessionsAsked{{User: 1}})[0]
				return len(list.Value), list.Err
			})
			ask("unread", n+n/2, func() (int, error) {
				list := svc.Unread(t.Context(), []chat.UnreadAsked{{User: 1}})[0]
				return len(list.Value.Talks), list.Err
			})
			ask("groups", n/2, func() (int, error) {
				var known chat.KnownGroups
				for _, id := range groups {
					known.Versions = append(known.Versions, chat.GroupVersion{ID: id})
				}
				list := svc.GroupsNewerThan(t.Context(), []chat.KnownGroups{known})[0]
				for _, g := range list.Value {
					if len(g.Members) != 1+2*int(n) {
						t.Errorf("group %d has %d members", g.ID, len(g.Members))
					}
				}
				return len(list.Value), list.Err
			})
			ask("users", 10*n, func() (int, error) {
				list := svc.Users(t.Context(), []chat.UsersAsked{{IDs: users}})[0]
				return len(list.Value), list.Err
			})
			ask("devices", 0, func() (int, error) {
				list, err := store.Devices(t.Context(), users)
				return len(list), err
			})
			ask("members", 0, func() (int, error) {
				list, err := store.Mutes(t.Context(), groups[0], users)
				return len(list), err
			})
		}
	})
}
