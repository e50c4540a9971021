package redis_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// checked is all that a comparison tells of the state of some talks, and the keys it goes through.
func (p *proxy) checked(states ...chat.Change) (found []string) {
	p.t.Helper()
	c := redis.Comparison{Copy: p.Copy}
	p.must(c.Reachable(p.t.Context()))
	p.must(c.Compare(p.t.Context(), states, true, func(i int, kind finding.Kind,
		text string) {
		found = append(found, fmt.Sprint(kind, " ", text))
	}))
	p.must(c.Keys(p.t.Context(), func(_ context.Context, peers map[uint32][]uint32) error {
		for user, others := range peers {
			found = append(found, fmt.Sprint("unread of ", user, " ", others))
		}
		return nil
	}, func(_ context.Context, groups []uint32) error {
		for _, group := range groups {
			found = append(found, fmt.Sprint("members of ", group))
		}
		return nil
	}))
	slices.Sort(found)
	return found
}

func TestComparisonOnACluster(t *testing.T) {
	cluster := servers.RedisCluster(t)
	p := fresh(t, all(patient(link.Instance{Cluster: cluster.Addrs()})))
	g := p.group(1, 2)
	p.send(to(1, 2), to(1, 2), to(3, 2), in(1, g))
	talks, err := p.store.PairsNow(t.Context(), []uint32{2})
	p.must(err)
	slices.SortFunc(talks, func(x, y chat.Change) int { return cmp.Compare(x.Talk.A, y.Talk.A) })
	groups, err := p.store.GroupsNow(t.Context(), []uint32{g})
	p.must(err)
	states := append(talks, groups...)
	keys := []string{"members of 1", "unread of 2 [1 3]"}
	if got := p.checked(states...); !slices.Equal(got, keys) {
		t.Errorf("found %q", got)
	}
	states[0].LastID, states[0].Users[0].Unread, states[0].Rev = 7, 9, states[0].Rev+1
	want := []string{fmt.Sprintf("id-behind pair 1-2, relation %d: Redis has id 2, the last "+
		"message has 7", states[0].Relation)}
	want = append(want, keys...)
	want = append(want, "unread-behind pair 1-2: user 2 has 9 unread, Redis has 2")
	slices.Sort(want)
	if got := p.checked(states...); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	c := redis.Comparison{Copy: p.Copy}
	p.must(c.Reconcile(t.Context(), states))
	p.must(c.DropUnread(t.Context(), 2, []uint32{3}))
	if got := p.checked(states[0], states[2]); !slices.Equal(got,
		[]string{"members of 1", "unread of 2 [1]"}) {
		t.Errorf("found %q", got)
	}
}
