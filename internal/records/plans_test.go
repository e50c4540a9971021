package records_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// statements are all that a store ran, each text with the arguments it last had.
type statements struct {
	mu  sync.Mutex
	ran map[string][]any
	n   int // how many
}

// count is how many statements ran until now.
func (s *statements) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *statements) note(query string, values []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ran == nil {
		s.ran = make(map[string][]any)
	}
	for single := range strings.SplitSeq(query, ";\n") { // of a batch
		n := strings.Count(single, "?")
		s.ran[single], values = values[:n], values[n:]
	}
	s.n++
}

// everything has a store do all that it can do, with one or a few of everything.
func everything(ctx context.Context, s *records.Store) error {
	const now, user = 1000, 1
	pair, voice, group := chat.PairTalk(1, 2), chat.PairTalk(1, 3), chat.GroupTalk(theGroup)
	const other chat.MsgType = 19 // a type that peers are not told
	fork := chat.PairTalk(1, 4)   // has no messages but of that one
	talks := []chat.Talk{pair, voice, chat.PairTalk(2, 3), group, fork}
	var many []chat.Draft // so that each table of messages has several talks
	for i := range uint32(20) {
		pair, group := chat.PairTalk(1, 100+i), chat.GroupTalk(oldGroup+8*i)
		talks = append(talks, pair, group)
		many = append(many, chat.Draft{Talk: pair, From: 1, Type: chat.PairText, Content: "x"},
			chat.Draft{Talk: group, From: 1, Type: chat.GroupText, Content: "x"})
	}
	file := chat.OfflineFile{From: 1, To: 2, Task: "task", Name: "name"}
	one := func(_ any, err error) error { return err }
	batch := func(drafts ...chat.Draft) error {
		b := chat.Batch{ID: chat.NewCommitID(), Now: now, Drafts: drafts}
		if _, err := s.Append(ctx, b, counters.Embedded{}); err != nil {
			return err
		}
		return s.Applied(ctx, []chat.CommitID{b.ID})
	}
	changeMembers := func(users ...uint32) error {
		if _, err := s.RemoveMembers(ctx, theGroup, users, now); err != nil {
			return err
		}
		_, _, err := s.AddMembers(ctx, theGroup, users, now)
		return err
	}
	for name, do := range map[string]func() error{
		"counts of pairs":    func() error { return one(s.PairsNow(ctx, []uint32{1, 2})) },
		"counts of groups":   func() error { return one(s.InGroupsNow(ctx, []uint32{1, 2})) },
		"groups of users":    func() error { return one(s.InGroups(ctx, []uint32{1, 2})) },
		"groups as they are": func() error { return one(s.GroupsNow(ctx, []uint32{1, 2})) },
		"devices now":        func() error { return one(s.DevicesNow(ctx, []uint32{1, 2})) },
		"marks":              func() error { return one(s.Marks(ctx, []string{"a", "b"})) },
		"mark, swap": func() error {
			return errors.Join(one(s.SwapMark(ctx, "a", 0, 1)), one(s.SwapMark(ctx, "a", 1, 2)))
		},
		"mark, raise": func() error { return s.RaiseMarks(ctx, map[string]uint32{"a": 3}) },
		"departments": func() error { return one(s.DepartmentsChanged(ctx, 1)) },
		"devices":     func() error { return one(s.Devices(ctx, []uint32{1, 2})) },
		"failed logins": func() error {
			names := map[string][]int64{"x": {1}, "y": {2}}
			return errors.Join(one(s.KeepFailures(ctx, names)),
				one(s.FailedAt(ctx, []string{"x", "y"})), s.ClearFailures(ctx, []string{"y"}),
				one(s.PruneFailures(ctx, time.Unix(now, 0))))
		},
		"file, add":        func() error { return s.AddFile(ctx, file, now) },
		"file, remove":     func() error { return s.RemoveFile(ctx, 1, 2, "task") },
		"files":            func() error { return one(s.Waiting(ctx, user)) },
		"groups of a user": func() error { return one(s.NormalOf(ctx, user)) },
		"groups, newer": func() error {
			both := []chat.GroupVersion{{ID: theGroup}, {ID: 2}}
			return s.NewerThan(ctx, []chat.KnownGroups{{Versions: both}})[0].Err
		},
		"taken over, users":  func() error { return one(talk.Users(ctx, s.DB(), 0, 2)) },
		"taken over, groups": func() error { return one(talk.GroupRows(ctx, s.DB(), 0, 2, 9)) },
		"taken over, pairs":  func() error { return one(talk.PairRows(ctx, s.DB(), 0, 2)) },
		"taken over": func() error {
			rows, err := talk.GroupRows(ctx, s.DB(), 0, 1, 9)
			if err != nil {
				return err
			}
			_, _, err = talk.TakeOver(ctx, s.DB(),
				[]talk.Take{{Talk: rows[0].Talk, Rev: rows[0].Rev, LastID: 1}}, now)
			return err
		},
		"last messages": func() error { return one(s.Last(ctx, talks)) },
		"login":         func() error { return one(s.UsersByName(ctx, []string{"x", "y"})) },
		"members":       func() error { return changeMembers(2) },
		"mute":          func() error { return s.SetMute(ctx, theGroup, 1, 1) },
		"mutes":         func() error { return one(s.Mutes(ctx, theGroup, []uint32{1, 2})) },
		"page by id": func() error {
			return one(testdb.Page(ctx, s, pair,
				chat.PageQuery{IDs: []uint32{1, 2}, Count: 10}))
		},
		"page of a group": func() error {
			return one(testdb.Page(ctx, s, group,
				chat.PageQuery{UpTo: 10, Since: 5, Count: 10}))
		},
		"page up to": func() error {
			return one(testdb.Page(ctx, s, pair,
				chat.PageQuery{UpTo: 10, Count: 10}))
		},
		"page": func() error {
			return one(testdb.Page(ctx, s, pair,
				chat.PageQuery{Count: 10}))
		},
		"group page by id": func() error {
			return one(testdb.Page(ctx, s, group,
				chat.PageQuery{IDs: []uint32{1, 2}, Since: 5, Count: 10}))
		},
		"profile": func() error { return one(nil, ignoreNotFound(s.SetAvatar(ctx, 1, "x", now))) },
		"read ack": func() error {
			return batch(chat.Draft{Talk: pair, From: 1, Read: true},
				chat.Draft{Talk: group, From: 1, Read: true})
		},
		"send as forks do": func() error {
			return batch(chat.Draft{Talk: fork, From: 1, Type: other, Content: "x"},
				chat.Draft{Talk: group, From: 1, Type: other, Content: "x"})
		},
		"page of a fork": func() error {
			return one(testdb.Page(ctx, s, fork, chat.PageQuery{UpTo: 10, Count: 10}))
		},
		"recent sessions": func() error {
			return one(s.Recent(ctx, []chat.SessionsAsked{{User: user}, {User: 2}}, 100))
		},
		"remove session": func() error { return ignoreNotFound(s.Remove(ctx, user, pair, now)) },
		"remove group":   func() error { return ignoreNotFound(s.Remove(ctx, user, group, now)) },
		"outcome":        func() error { return one(s.Outcome(ctx, chat.NewCommitID())) },
		"shields":        func() error { return one(s.PushShields(ctx, []uint32{1, 2})) },
		"sounds":         func() error { return one(s.Sounds(ctx, []uint32{1, 2})) },
		"sync": func() error {
			return s.SyncSessions(ctx, theGroup, []uint32{1, 2, 3},
				now)
		},
		"sync, behind":   func() error { return one(s.Behind(ctx, theGroup, now+1)) },
		"synced members": func() error { return one(s.Members(ctx, theGroup)) },
		"token":          func() error { return s.SetToken(ctx, 1, "ios:x", "x") },
		"tokens, taken": func() error {
			return s.TakeTokens(ctx, []chat.Device{{User: 1, Device: "ios:x", Token: "x"}})
		},
		"unapplied":     func() error { return one(s.Unapplied(ctx, 0, 10)) },
		"unread":        func() error { return one(s.Unread(ctx, []uint32{user, 2})) },
		"unread totals": func() error { return one(s.UnreadTotals(ctx, []uint32{1, 2})) },
		"users":         func() error { return one(s.UsersByID(ctx, []uint32{1, 2})) },
		"joined": func() error {
			return one(s.Joined(ctx, []chat.UserInGroup{{Group: theGroup, User: 1}}))
		},
		"send much": func() error { return batch(many...) },
		"send": func() error {
			return batch(chat.Draft{Talk: pair, From: 1, Type: chat.PairText, Content: "x"},
				chat.Draft{Talk: chat.PairTalk(2, 3), From: 2, Type: chat.PairText, Content: "x"},
				chat.Draft{Talk: voice, From: 1, Type: chat.PairVoice,
					Sound: &chat.Sound{Path: "x", Size: 1}},
				chat.Draft{Talk: group, From: 1, Type: chat.GroupText, Content: "x"})
		},
	} {
		if err := do(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if chat.KindOf(err) == chat.NotFound {
		return nil
	}
	return err
}

// theGroup is the group that all is tried on; it is made after the old ones.
const theGroup = oldGroup + 8*19 + 1

// oldGroup and every eighth after it are groups that no proxy has seen before.
const oldGroup = 10000

// oldGroups makes the groups that everything needs.
func (p fixture) oldGroups(store *records.Store) {
	p.Helper()
	for i := range 20 {
		p.exec(fmt.Sprintf("INSERT INTO IMGroup "+
			"(id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,created)"+
			" VALUES (%d,'old','',1,1,1,0,1,0,1,1)", oldGroup+8*i))
		p.exec(fmt.Sprintf("INSERT INTO IMGroupMember (groupId,userId,status,created,updated) "+
			"VALUES (%d,1,0,1,1)", oldGroup+8*i))
	}
	group := chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "x",
		Members: []uint32{1, 2, 3}}
	if _, err := store.Create(p.Context(), group, 1); err != nil {
		p.Fatal(err)
	}
}

// ranOn is every statement that a store on a database runs; before is done before.
func ranOn(t *testing.T, p fixture, before func(*records.Store)) map[string][]any {
	t.Helper()
	var s statements
	store := p.listening(&s)
	p.oldGroups(store)
	if before != nil {
		before(store)
	}
	for range 3 { // so that there is something to find
		if err := everything(t.Context(), store); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.ran) < 60 {
		t.Errorf("only %d statements were seen", len(s.ran))
	}
	return s.ran
}

var scan = regexp.MustCompile(`^SCAN (\w+)`)

// allPairs is a step that goes through all pairs, or all groups.
var allPairs = regexp.MustCompile(`^SEARCH IMProxyTalk .*\(kind=\?\)$`)

func TestNoStatementReadsATableFromEndToEnd(t *testing.T) {
	p := engines[0].fixture(t)
	for query, args := range ranOn(t, p, nil) {
		for _, step := range plan(t, p.raw, query, args) {
			if m := scan.FindStringSubmatch(step); m != nil && mayNotScan(query, m[1]) {
				t.Errorf("%s\n  in %.500s", step, query)
			}
			if allPairs.MatchString(step) {
				t.Errorf("%s\n  in %.500s", step, query)
			}
			if strings.Contains(step, "TEMP B-TREE FOR ORDER BY") &&
				strings.Contains(query, "Message_") && !strings.Contains(query, "msgId IN") {
				t.Errorf("messages are sorted, not read in order:\n  %.500s", query)
			}
		}
	}
}

// mayNotScan reports whether a plan that goes through all of name, a table or what the statement
// calls it, is a mistake.
func mayNotScan(query, name string) bool {
	table := name
	if m := regexp.MustCompile(`(IM\w+) ` + name + `\b`).FindStringSubmatch(query); m != nil {
		table = m[1]
	}
	switch {
	case !strings.HasPrefix(table, "IM"):
		return false // a subquery, a list of values
	case table == "IMDepart":
		return false // few, and asked for as a whole
	case table == "IMProxyServer":
		return false // there is a row for each proxy
	}
	return true
}

func plan(t *testing.T, raw *sql.DB, query string, args []any) (steps []string) {
	t.Helper()
	rows, err := raw.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
