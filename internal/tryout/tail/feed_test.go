package tail_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/tryout/tail"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestFeed adds more messages than one call of Next takes, in pairs and a group: each comes once,
// those of a talk in order.
func TestFeed(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dbproxy.db")
		testFeed(t, testdb.OpenSQLite(t, path, records.Options{}), func() (*sqldb.Pool, error) {
			return sqldb.OpenSQLitePool(path, tables.Options(nil))
		})
	})
	t.Run("mysql", func(t *testing.T) {
		at := testdb.At(testdb.New(t))
		testFeed(t, testdb.OpenMySQL(t, at, records.Options{}), func() (*sqldb.Pool, error) {
			return tail.Open(t.Context(), at)
		})
	})
}

func testFeed(t *testing.T, store *records.Store, open func() (*sqldb.Pool, error)) {
	t.Helper()
	group, err := store.Create(t.Context(), chat.NewGroup{Creator: 1, Type: chat.NormalGroup,
		Name: "all", Members: []uint32{1}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	talks := []chat.Talk{chat.PairTalk(1, 2), chat.PairTalk(1, 3), chat.GroupTalk(group)}
	send := func(n int) {
		batch := chat.Batch{ID: chat.NewCommitID(), Now: 1_700_000_000}
		for i := range n {
			d := chat.Draft{Talk: talks[i%len(talks)], From: 1, Type: chat.PairText,
				Content: fmt.Sprint("你", i), Time: batch.Now}
			if d.Talk.Kind == chat.Group {
				d.Type = chat.GroupText
			}
			batch.Drafts = append(batch.Drafts, d)
		}
		receipt, err := store.Append(t.Context(), batch, counters.Embedded{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range receipt.Stored {
			if s.Err != nil {
				t.Fatal(s.Err)
			}
		}
	}

	pool, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	feed := tail.NewFeed(pool)
	if added, err := feed.Skip(t.Context(), 10, 0); len(added) != 0 || err != nil {
		t.Fatalf("an empty store: %v, %v", added, err)
	}
	const sent = 4000
	send(sent)
	last := make(map[chat.Talk]uint32)
	for total := 0; total < sent; {
		added, err := feed.Next(t.Context())
		if err != nil || len(added) == 0 {
			t.Fatalf("after %d of %d: %d, %v", total, sent, len(added), err)
		}
		for _, a := range added {
			if last[a.Talk]++; a.ID != last[a.Talk] || a.From != 1 || a.Size != len(a.Data) {
				t.Fatalf("%v after %d of its talk", a, last[a.Talk]-1)
			}
		}
		total += len(added)
	}
	if added, err := feed.Next(t.Context()); len(added) != 0 || err != nil {
		t.Errorf("nothing was added: %d, %v", len(added), err)
	}

	// Another feed begins with the last ones, or with those since a time.
	other := tail.NewFeed(pool)
	for _, c := range []struct {
		max   int
		since uint32
		want  int
	}{{7, 0, 7}, {0, 0, 0}, {7, 1_700_000_000, sent}, {7, 1_700_000_001, 0}} {
		added, err := other.Skip(t.Context(), c.max, c.since)
		if err != nil || len(added) != c.want {
			t.Errorf("Skip(%d, %d): %d messages, %v; want %d", c.max, c.since, len(added), err,
				c.want)
		}
	}
	send(1)
	if added, err := other.Next(t.Context()); len(added) != 1 || err != nil {
		t.Errorf("one was added: %v, %v", added, err)
	}
}
