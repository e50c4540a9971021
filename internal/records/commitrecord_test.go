package records_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

var update = flag.Bool("update", false, "write the golden files anew")

// away is a follower that cannot be reached: so commit records stay.
type away struct{}

func (away) Apply(context.Context, []chat.Commit) error { return errors.New("away") }

func (away) Counted(_ context.Context, talks []chat.Known) []chat.Counted {
	return make([]chat.Counted, len(talks))
}

func (away) Epoch() uint32 { return 0 }

func (away) LastIDs(context.Context, []chat.Reserve) ([]uint32, uint32, error) {
	return nil, 0, errors.New("away")
}

// TestCommitRecordsAreStoredAsBefore pins the bytes of commit records: proxies of two neighbouring
// versions read each other's.
func TestCommitRecordsAreStoredAsBefore(t *testing.T) {
	golden := filepath.Join("testdata", "commit-records.jsonl")
	rule(t, func(t *testing.T, p fixture) {
		c := &clock{1000}
		s := p.open(records.Options{Now: c.now, Follower: away{}})
		changeEverything(t, s, c)
		got := storedCommits(t, p)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("commit records are\n%s\nwant\n%s", got, want)
		}
	})
}

// changeEverything makes one commit of each kind, a second apart.
func changeEverything(t *testing.T, s *records.Store, c *clock) {
	t.Helper()
	ctx := t.Context()
	send := func(drafts ...chat.Draft) error {
		_, err := s.Append(ctx, chat.Batch{ID: chat.NewCommitID(), Now: uint32(c.unix),
			Drafts: drafts},
			counters.Embedded{})
		return err
	}
	pair, group := chat.PairTalk(1, 2), chat.GroupTalk(1)
	for _, change := range []func() error{
		func() error {
			return send(chat.Draft{Talk: pair, From: 1, Type: chat.PairText, Content: "a",
				Time: 1000},
				chat.Draft{Talk: pair, From: 1, Type: chat.PairText, Content: "b", Time: 1000})
		},
		func() error { return send(chat.Draft{Talk: pair, From: 2, Read: true}) },
		func() error {
			_, err := s.Create(ctx, chat.NewGroup{Name: "g", Creator: 1, Type: chat.NormalGroup,
				Members: []uint32{1, 2}}, uint32(c.unix))
			return err
		},
		func() error {
			return send(chat.Draft{Talk: group, From: 2, Type: chat.GroupText, Content: "c",
				Time: 1003},
				chat.Draft{Talk: group, From: 1, Read: true})
		},
		func() error { return s.SetMute(ctx, 1, 2, 1) },
		func() error { return s.SetToken(ctx, 1, "ios:abc", "abc") },
		func() error { _, _, err := s.AddMembers(ctx, 1, []uint32{3}, uint32(c.unix)); return err },
		func() error { _, err := s.RemoveMembers(ctx, 1, []uint32{2}, uint32(c.unix)); return err },
		func() error { return s.Remove(ctx, 1, pair, uint32(c.unix)) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		c.unix++
	}
}

// storedCommits are the records in the table, a line each, in the order of their times.
func storedCommits(t *testing.T, p fixture) string {
	t.Helper()
	rows, err := p.raw.QueryContext(t.Context(),
		"SELECT changes FROM IMProxyCommit ORDER BY created")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n") + "\n"
}

// TestCommitRecordsAreReadBack reads what an earlier version wrote, and leaves a later
// version's alone.
func TestCommitRecordsAreReadBack(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.open(records.Options{Now: (&clock{5000}).now})
		p.exec(`INSERT INTO IMProxyCommit (id,created,changes) VALUES ` +
			`('000102030405060708090a0b0c0d0e0f',1000,` +
			`'{"Changes":[{"Talk":{"Kind":1,"A":1,"B":2},"Relation":7,"Rev":3,"LastID":9,` +
			`"Users":[{"User":2,"Before":1,"Unread":2}]}],` +
			`"Devices":[{"User":1,"Rev":1,"Device":"d","Token":"t"}]}')`)
		commits, err := s.Unapplied(t.Context(), time.Second, 10)
		if err != nil || len(commits) != 1 {
			t.Fatal(commits, err)
		}
		c := commits[0]
		if len(c.Changes) != 1 || c.Changes[0].Relation != 7 || c.Changes[0].Users[0].Unread != 2 ||
			len(c.Devices) != 1 || c.Devices[0].Token != "t" || c.ID[15] != 15 {
			t.Errorf("read back as %+v", c)
		}
		p.exec("UPDATE IMProxyCommit SET changes='{\"Version\":2}'")
		if commits, err = s.Unapplied(t.Context(), time.Second, 10); err != nil ||
			len(commits) != 0 {
			t.Errorf("of a later version: %v, %v", commits, err)
		}
	})
}
