package records_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestSmallPacketsTakeWhatClientsMaySend stores what is largest through servers with the packets of
// old ones, on connections that join texts and on those that do not.
func TestSmallPacketsTakeWhatClientsMaySend(t *testing.T) {
	t.Parallel()
	server := servers.StartMariaDB(t, "--max-allowed-packet=1M")
	for how, join := range map[string]sqldb.Joining{"joined": sqldb.JoinAlways,
		"alone": sqldb.JoinNever} {
		t.Run(how, func(t *testing.T) {
			b := testdb.On(t, server)
			m := testdb.Patient(b)
			m.Join = join
			follows := new(counting)
			store, err := records.OpenMySQL(m, nil,
				records.Options{Log: discard, Follower: follows})
			s := closing(t, store, err)
			batch := largest()
			r, err := s.Append(t.Context(), batch, counters.Embedded{})
			if err != nil {
				t.Fatal(err)
			}
			for i, stored := range r.Stored {
				if stored.Err != nil || stored.ID == 0 {
					t.Fatalf("message %d: %+v", i, stored)
				}
			}
			p := fixture{TB: t, engine: engines[1], raw: b.Admin}
			all := "SELECT COALESCE(SUM(n),0) FROM (SELECT COUNT(*) AS n FROM IMMessage_0"
			for i := 1; i < 8; i++ {
				all += fmt.Sprintf(" UNION ALL SELECT COUNT(*) FROM IMMessage_%d", i)
			}
			all += ") x"
			if n := p.count(all); n != len(batch.Drafts) {
				t.Errorf("%d messages, want %d", n, len(batch.Drafts))
			}
			wantOutcome(t, s, batch.ID, true)

			// What the last piece refuses, none of the others has stored.
			p.exec(p.engine.refuse("IMMessage_4", "no"))
			batch = largest()
			batch.Drafts[3].Content = "no" // of relation 4
			if _, err := s.Append(t.Context(), batch, counters.Embedded{}); err == nil {
				t.Error("it was stored")
			}
			if n := p.count(all); n != len(batch.Drafts) {
				t.Errorf("%d messages are left, want %d", n, len(batch.Drafts))
			}
			wantOutcome(t, s, batch.ID, false)

			if err := s.AddFile(t.Context(), chat.OfflineFile{From: 1, To: 2, Task: "t",
				Name: strings.Repeat("'", chat.MaxFileName)}, 1); err != nil {
				t.Error(err)
			}
			members := make([]uint32, 9_000)
			for i := range members {
				members[i] = uint32(i + 1)
			}
			group, err := s.Create(t.Context(),
				chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "g", Members: members}, 9)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.RemoveMembers(t.Context(), group, members, 10); err != nil {
				t.Error(err)
			}
			if follows.joined != len(members) || follows.left != len(members) {
				t.Errorf("%+v, want %d both", follows, len(members))
			}
			if n := p.count("SELECT MAX(LENGTH(changes)) FROM IMProxyCommit"); n > 900_000 {
				t.Errorf("a record of %d bytes", n)
			}
			_, err = s.Accounts(t.Context(), nil, []string{strings.Repeat("x", 2<<20)})
			if err == nil || !strings.Contains(err.Error(), "max_allowed_packet") {
				t.Errorf("more than goes into a packet: %v", err)
			}
			if _, err := s.Append(t.Context(), oneText(1, 2, "x"),
				counters.Embedded{}); err != nil {
				t.Errorf("after that: %v", err)
			}
		})
	}
}

// counting is a follower that counts who joined and left.
type counting struct {
	away
	joined, left int
}

func (c *counting) Apply(_ context.Context, commits []chat.Commit) error {
	for _, commit := range commits {
		for _, change := range commit.Changes {
			for _, m := range change.Members {
				if m.Joined > 0 {
					c.joined++
				} else {
					c.left++
				}
			}
		}
	}
	return nil
}

// largest is 192 messages of the longest contents, in eight talks; of what the driver must escape,
// and of wide characters.
func largest() chat.Batch {
	batch := oneText(1, 2, "x")
	batch.Drafts = nil
	for i := range uint32(192) {
		content := []string{strings.Repeat("'", chat.MaxContent),
			strings.Repeat("😀", chat.MaxContent)}[i%2]
		batch.Drafts = append(batch.Drafts, chat.Draft{Talk: chat.PairTalk(100, 200+i%8), From: 100,
			Type: chat.PairText, Content: content, Time: 1000})
	}
	return batch
}
