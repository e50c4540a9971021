package redis_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// onMySQL is a proxy on a real database.
func onMySQL(t *testing.T, db *servers.Database, opt redis.Options) *proxy {
	t.Helper()
	return proxyOn(t, opt, func(opt records.Options) *records.Store {
		return testdb.OpenMySQL(t, testdb.Patient(db), opt)
	})
}

// TestThreeProxiesUnderFlushes has three proxies send to the same talks while Redis is flushed
// again and again.
func TestThreeProxiesUnderFlushes(t *testing.T) {
	t.Parallel()
	const batches, flushEvery = 60, 15
	db, r := testdb.New(t), servers.StartRedis(t)
	var proxies []*proxy
	for range 3 {
		p := onMySQL(t, db, all(at(r)))
		p.run()
		proxies = append(proxies, p)
	}
	p := proxies[0]
	g := p.group(1, 2, 3)
	var sent atomic.Int64
	var senders sync.WaitGroup
	for i, q := range proxies {
		senders.Go(func() {
			for range batches {
				q.sendPatiently(to(1, 2), to(2, 1), to(uint32(10+i), 1), in(1, g), in(2, g))
				if sent.Add(1)%flushEvery == 0 {
					r.Do(t, "FLUSHALL")
				}
			}
		})
	}
	senders.Wait()
	for talk, n := range map[chat.Talk]int{
		chat.PairTalk(1, 2): 3 * batches * 2, chat.PairTalk(1, 10): batches,
		chat.PairTalk(1, 12): batches, chat.GroupTalk(g): 3 * batches * 2,
	} {
		page, err := testdb.Page(t.Context(), p.store, talk, chat.PageQuery{Count: 1_000_000})
		p.must(err)
		for i, m := range page {
			if m.ID != uint32(n-i) {
				t.Fatalf("%s: message %d from the end has id %d of %d", talk, i, m.ID, n)
			}
		}
		if len(page) != n {
			t.Errorf("%s has %d messages, want %d", talk, len(page), n)
		}
	}
	for _, q := range proxies {
		q.wantUnread(1, fmt.Sprintf("10:%d 11:%[1]d 12:%[1]d 2:%d group %d:1", batches, 3*batches,
			g))
		q.wantUnread(2, fmt.Sprintf("1:%d", 3*batches))
		q.wantUnread(3, fmt.Sprintf("group %d:%d", g, 6*batches))
	}
	// A change to each puts back what originals look for.
	p.awaitEpoch("group_member", 2)
	p.send(to(1, 2), to(10, 1), to(11, 1), to(12, 1), in(1, g))
	originalAt(t, at(r)).want(fmt.Sprintf(`msg_id_1=%d
		msg_id_2=%d
		msg_id_3=%[2]d
		msg_id_4=%[2]d
		unread_1 2=%[3]d
		unread_1 10=%[2]d
		unread_1 11=%[2]d
		unread_1 12=%[2]d
		unread_2 1=%[4]d
		group_msg_id_%[5]d=%[1]d
		%[5]d_im_group_msg count=%[1]d
		1_%[5]d_im_user_group count=%[1]d
		2_%[5]d_im_user_group count=%[6]d`,
		6*batches+1, batches+1, 3*batches, 3*batches+1, g, 6*batches))
	membersAt(t, r).want("group_member_1 1=NOW\ngroup_member_1 2=NOW\ngroup_member_1 3=NOW")
}

// sendPatiently stores a batch, again as long as that is not possible, and has it applied.
func (p *proxy) sendPatiently(drafts ...chat.Draft) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ctx.Err() == nil {
		id := chat.NewCommitID()
		receipt, err := p.store.Append(ctx, chat.Batch{ID: id, Now: p.now, Drafts: drafts}, p.Copy)
		if err != nil {
			p.t.Log(err)
			continue
		}
		for p.Apply(ctx, []chat.Commit{{ID: id, Changes: receipt.Changes}}) != nil &&
			ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return
	}
	p.t.Error("a batch could not be stored in time")
}
