package records_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// oneText is a batch of one text, with an id of its own.
func oneText(from, to uint32, text string) chat.Batch {
	return chat.Batch{ID: chat.NewCommitID(), Now: 1000, Drafts: []chat.Draft{
		{Talk: chat.PairTalk(from, to), From: from, Type: chat.PairText, Content: text, Time: 1000},
	}}
}

// texts are what is stored between two users, newest first.
func texts(t *testing.T, s *records.Store, u, v uint32) string {
	t.Helper()
	page, err := testdb.Page(t.Context(), s, chat.PairTalk(u, v), chat.PageQuery{Count: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range page {
		all = append(all, fmt.Sprintf("%d:%s", m.ID, m.Data))
	}
	return strings.Join(all, " ")
}

func wantKind(t *testing.T, err error, want chat.Kind) {
	t.Helper()
	if err == nil || chat.KindOf(err) != want {
		t.Errorf("error %v, want one of kind %s", err, want)
	}
}

// wantOutcome checks what Outcome says of a commit, as often as it is asked.
func wantOutcome(t *testing.T, s *records.Store, id chat.CommitID, want bool) {
	t.Helper()
	for i := range 3 {
		if stored, err := s.Outcome(t.Context(), id); stored != want || err != nil {
			t.Errorf("asked for the %d. time: stored %t, %v; want %t", i+1, stored, err, want)
		}
	}
}

func TestOutcomeSaysWhetherACommitWasStored(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		b := oneText(1, 2, "x")
		if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		wantOutcome(t, s, b.ID, true)
		wantOutcome(t, s, chat.NewCommitID(), false)
	})
}

func TestACommitSaidNotToBeStoredNeverIs(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		late := oneText(1, 2, "late")
		wantOutcome(t, s, late.ID, false)
		if _, err := s.Append(t.Context(), late, counters.Embedded{}); err == nil {
			t.Error("it was stored after all")
		}
		wantOutcome(t, s, late.ID, false)
		if got := texts(t, s, 1, 2); got != "" {
			t.Errorf("stored: %s", got)
		}
	})
}

func TestACommitIsStoredOnce(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		b := oneText(1, 2, "x")
		if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(t.Context(), b, counters.Embedded{}); err == nil {
			t.Error("the same commit was stored twice")
		}
		if got := texts(t, s, 1, 2); got != "1:x" {
			t.Errorf("stored: %s", got)
		}
	})
}

func TestUnappliedReturnsTheOldestCommitsFirst(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		now := time.Unix(10_000, 0)
		s := p.open(records.Options{Now: func() time.Time { return now }})
		names := make(map[chat.CommitID]int)
		for _, age := range []int{0, 50, 30, 20, 29} {
			b := oneText(1, 2, "x")
			b.Now = uint32(now.Unix()) - uint32(age)
			names[b.ID] = age
			if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, test := range []struct {
			olderThan time.Duration
			max       int
			want      string
		}{
			{0, 100, "[50 30 29 20 0]"},
			{30 * time.Second, 100, "[50 30]"},
			{0, 2, "[50 30]"},
			{time.Minute, 100, "[]"},
		} {
			commits, err := s.Unapplied(t.Context(), test.olderThan, test.max)
			ages := []int{}
			for _, c := range commits {
				ages = append(ages, names[c.ID])
				if len(c.Changes) != 1 || c.Changes[0].Talk != chat.PairTalk(1, 2) ||
					c.Changes[0].Users[0].User != 2 ||
					c.Changes[0].Users[0].Unread != c.Changes[0].LastID {
					t.Errorf("changes %+v", c.Changes)
				}
			}
			if got := fmt.Sprint(ages); err != nil || got != test.want {
				t.Errorf("older than %s, at most %d: of age %s, want %s; %v", test.olderThan,
					test.max, got, test.want, err)
			}
		}
	})
}

func TestWhatSaysThatACommitNeverWasGoesInTheEnd(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		now := time.Unix(10_000, 0)
		s := p.open(records.Options{Now: func() time.Time { return now }})
		id := chat.NewCommitID()
		wantOutcome(t, s, id, false)
		for _, test := range []struct {
			age  time.Duration
			want int
		}{{0, 0}, {time.Hour, 0}, {time.Hour + time.Second, 1}} {
			now = time.Unix(10_000, 0).Add(test.age)
			commits, err := s.Unapplied(t.Context(), 0, 100)
			if err != nil || len(commits) != test.want {
				t.Errorf("after %s: %d commits, %v", test.age, len(commits), err)
			}
			for _, c := range commits {
				if len(c.Changes) > 0 || c.ID != id {
					t.Errorf("%+v", c)
				}
			}
		}
	})
}

func TestRecordsOfAppliedCommitsGoWithTheNextThatIsStored(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		p.exec(p.engine.refuse("IMMessage_1", "bad"))
		count := func(want int) {
			t.Helper()
			var n int
			if err := p.raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM IMProxyCommit").Scan(
				&n); err != nil || n != want {
				t.Errorf("%d records, want %d; %v", n, want, err)
			}
		}
		var applied []chat.CommitID
		for range 3 {
			b := oneText(1, 2, "x")
			if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
				t.Fatal(err)
			}
			applied = append(applied, b.ID)
		}
		for range 600 { // more than one statement deletes; unknown ones do no harm
			applied = append(applied, chat.NewCommitID())
		}
		for few := range slices.Chunk(applied[1:], 30) { // many at once would not wait
			if err := s.Applied(t.Context(), few); err != nil {
				t.Fatal(err)
			}
		}
		count(3)
		if _, err := s.Append(t.Context(), oneText(1, 2, "bad"), counters.Embedded{}); err == nil {
			t.Error("stored what the database refuses")
		}
		count(3)
		if _, err := s.Append(t.Context(), oneText(1, 2, "good"), counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		count(2) // that of the first, and this one's
	})
}

// TestInterruptedCommitsAreStoredOrNot cuts commits off at moments spread over their whole length:
// whatever is said of each must be so.
func TestInterruptedCommitsAreStoredOrNot(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		if _, err := s.Append(t.Context(), oneText(1, 2, "first"),
			counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		want := []string{"first"}
		for i := range 300 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*10*time.Microsecond)
			b := oneText(1, 2, fmt.Sprint(i))
			_, err := s.Append(ctx, b, counters.Embedded{})
			cancel()
			stored := err == nil
			if err != nil && chat.KindOf(err) == chat.UnknownOutcome {
				if stored, err = s.Outcome(t.Context(), b.ID); err != nil {
					t.Fatal(err)
				}
			} else if err != nil && chat.KindOf(err) != chat.Unavailable {
				t.Errorf("%d: %v", i, err)
			}
			if stored {
				want = append(want, fmt.Sprint(i))
			}
		}
		page, err := testdb.Page(t.Context(), s, chat.PairTalk(1, 2), chat.PageQuery{Count: 1000})
		if err != nil || len(page) != len(want) {
			t.Fatalf("%d messages, want %d; %v", len(page), len(want), err)
		}
		for i, m := range page {
			if n := len(want) - i; m.ID != uint32(n) || m.Data != want[n-1] {
				t.Fatalf("message %d is %d:%s, want %s", n, m.ID, m.Data, want[n-1])
			}
		}
		t.Logf("%d of 300 were stored", len(want)-1)
	})
}

// TestInterruptedReadsDisturbNobody cuts reads off while others go on.
func TestInterruptedReadsDisturbNobody(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		var b chat.Batch
		for i := range 400 {
			b.Drafts = append(b.Drafts, oneText(1, 2,
				fmt.Sprintf("%d %s", i, strings.Repeat("x", 2000))).Drafts...)
		}
		b.ID = chat.NewCommitID()
		if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		for r := range 4 {
			readers.Go(func() {
				for i := range 40 {
					ctx, cancel := context.WithTimeout(t.Context(),
						time.Duration(i*r)*20*time.Microsecond)
					_, err := testdb.Page(ctx, s, chat.PairTalk(1, 2), chat.PageQuery{Count: 1000})
					if end, _ := ctx.Deadline(); err != nil &&
						(chat.KindOf(err) != chat.Unavailable || time.Now().Before(end)) {
						t.Errorf("interrupted: %v", err)
					}
					cancel()
					page, err := testdb.Page(t.Context(), s, chat.PairTalk(1, 2),
						chat.PageQuery{Count: 1000})
					if err != nil || len(page) != 400 {
						t.Errorf("not interrupted: %d messages, %v", len(page), err)
					}
				}
			})
		}
		readers.Wait()
	})
}

func TestSeveralStoresOfOneDatabaseNumberMessagesTogether(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		const stores, each = 3, 25
		var writers sync.WaitGroup
		for range stores {
			s := p.store()
			writers.Go(func() {
				for i := range uint32(each) {
					b := oneText(1, 2, "x")
					b.Drafts = append(b.Drafts, oneText(10+i, 2, "x").Drafts...)
					if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		for query, want := range map[string]int{
			"SELECT COUNT(*) FROM IMRelationShip": 1 + each,
			"SELECT MAX(id) FROM IMRelationShip":  1 + each,
			"SELECT COUNT(*) FROM IMRecentSession": 2 * (1 +
				each),
			"SELECT lastId FROM IMProxyTalk WHERE kind=1 AND a=1 AND b=2":            stores * each,
			"SELECT COUNT(DISTINCT msgId) FROM IMMessage_1 WHERE relateId=1":         stores * each,
			"SELECT COUNT(*) FROM IMProxyTalk WHERE lastId=3 AND sentA+sentB=lastId": each,
		} {
			var n int
			if err := p.raw.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != want {
				t.Errorf("%s: %d, want %d; %v", query, n, want, err)
			}
		}
	})
}

func TestAStoreWithoutItsTablesFailsAsUnavailable(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		p.exec("DROP TABLE IMProxyTalk")
		_, err := s.Append(t.Context(), oneText(1, 2, "x"), counters.Embedded{})
		wantKind(t, err, chat.Unavailable)
		_, err = testdb.Page(t.Context(), s, chat.PairTalk(1, 2), chat.PageQuery{Count: 1})
		wantKind(t, err, chat.Unavailable)
		if errors.Is(err, sql.ErrNoRows) {
			t.Error("a failure looks like an empty list")
		}
	})
}

// TestWhatTurnsOutToBeStoredIsShown has a COMMIT that nobody answered arrive while the newest
// messages of its talk are kept in memory, as they were read before it.
func TestWhatTurnsOutToBeStoredIsShown(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		if err := store(t.Context(), s, oneText(1, 2, "before")); err != nil {
			t.Fatal(err)
		}
		newest := func() string {
			page, err := testdb.Page(t.Context(), s, chat.PairTalk(1, 2),
				chat.PageQuery{Count: 1, Bytes: 1 << 10})
			if err != nil || len(page) != 1 {
				t.Fatal(page, err)
			}
			return page[0].Data
		}
		if got := newest(); got != "before" {
			t.Fatalf("the newest message is %q", got)
		}
		id := chat.NewCommitID()
		p.exec("INSERT INTO IMMessage_1 (relateId,fromId,toId,msgId,content,type,status,updated," +
			"created) VALUES (1,1,2,2,'late',1,0,1000,1000)")
		p.exec("UPDATE IMProxyTalk SET lastId=2, sentA=2, rev=rev+1")
		p.exec("INSERT INTO IMProxyCommit (id,created,changes) VALUES ('" + id.String() +
			"',1000,'{}')")
		if stored, err := s.Outcome(t.Context(), id); !stored || err != nil {
			t.Fatal(stored, err)
		}
		if got := newest(); got != "late" {
			t.Errorf("after it is known that it is stored the newest message is %q", got)
		}
	})
}
