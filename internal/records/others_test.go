package records_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestACommitThatAnotherAppliedIsStillKnown: whoever stored it, and was not told so, may still ask.
func TestACommitThatAnotherAppliedIsStillKnown(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		maker, other := p.store(), p.store()
		var made []chat.CommitID
		for range 40 { // more than would wait for the next Append
			b := oneText(1, 2, "x")
			b.Now = uint32(time.Now().Unix())
			if _, err := maker.Append(t.Context(), b, counters.Embedded{}); err != nil {
				t.Fatal(err)
			}
			made = append(made, b.ID)
		}
		left := func(want int) (ids []chat.CommitID) {
			t.Helper()
			commits, err := other.Unapplied(t.Context(), 0, 100)
			if err != nil || len(commits) != want {
				t.Fatalf("%d commits are left, want %d; %v", len(commits), want, err)
			}
			for _, c := range commits {
				ids = append(ids, c.ID)
			}
			return ids
		}
		if err := other.Swept(t.Context(), left(40)); err != nil {
			t.Fatal(err)
		}
		left(0)
		if _, err := other.Append(t.Context(), oneText(1, 2, "y"),
			counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		for _, id := range made {
			wantOutcome(t, maker, id, true)
		}
	})
}

// TestAnUnknownOutcomeOfAClaimStoresNothing cuts the connection where the rows of new talks are
// made.
func TestAnUnknownOutcomeOfAClaimStoresNothing(t *testing.T) {
	t.Parallel()
	for name, arm := range map[string]func(*faultproxy.Proxy) *faultproxy.Shot{
		"before": func(p *faultproxy.Proxy) *faultproxy.Shot {
			return p.BeforeMySQL(isClaim,
				faultproxy.Nth(1))
		},
		"after": func(p *faultproxy.Proxy) *faultproxy.Shot {
			return p.AfterMySQL(isClaim,
				faultproxy.Nth(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := testdb.At(testdb.New(t))
			p := faultproxy.New(t, at.Addr)
			at.Addr = p.Addr()
			s, err := records.OpenMySQL(at, nil, records.Options{Log: discard})
			closing(t, s, err)
			shot := arm(p)
			b := oneText(1, 2, "x")
			_, err = s.Append(t.Context(), b, counters.Embedded{})
			wantKind(t, err, chat.Unavailable)
			<-shot.Done()
			b.ID = chat.NewCommitID()
			if _, err := s.Append(t.Context(), b, counters.Embedded{}); err != nil {
				t.Error(err)
			}
			if got := texts(t, s, 1, 2); got != "1:x" {
				t.Errorf("stored: %s", got)
			}
		})
	}
}

func isClaim(query string) bool {
	return strings.HasPrefix(query, "ROLLBACK;\nINSERT INTO IMProxyTalk")
}

// ahead is a sequencer whose store is ahead of the floor, though not of what others have stored.
type ahead struct{}

func (*ahead) Next(_ context.Context, want []chat.Reserve) (first []uint32) {
	for _, w := range want {
		if w.Checked {
			first = append(first, w.Floor+1)
		} else {
			first = append(first, w.Floor+5)
		}
	}
	return first
}

func (*ahead) GiveBack(_ context.Context, unused []chat.Reserve) []bool {
	return make([]bool, len(unused))
}

// TestAnIDIsNeverBelowWhatIsStored: Redis may be ahead of what proxies have stored and yet behind
// what is in the tables.
func TestAnIDIsNeverBelowWhatIsStored(t *testing.T) {
	rule(t, func(t *testing.T, p fixture) {
		s := p.store()
		if _, err := s.Append(t.Context(), oneText(1, 2, "x"), counters.Embedded{}); err != nil {
			t.Fatal(err)
		}
		p.exec("INSERT INTO IMMessage_1 " +
			"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES " +
			"(1,2,1,50,'y',1,0,2000,2000)")
		r, err := s.Append(t.Context(), oneText(1, 2, "z"), new(ahead))
		if err != nil || r.Stored[0].ID != 51 {
			t.Errorf("%+v, %v; want id 51", r.Stored, err)
		}
	})
}
