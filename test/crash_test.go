package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestKilledUnderLoad kills a proxy (kill -9) ten times while many connections send messages and read acks, starts it
// again on the same store each time, and audits what is stored: everything answered is there once, as it was sent, under
// the id it was answered with; ids never go back; and unread counters say what the rows say. Where several proxies are at
// work, the others go on meanwhile, and answer everything.
func TestKilledUnderLoad(t *testing.T) {
	rounds := inFull(20, 10)
	if underRace {
		rounds = 4
	}
	onEngines(t, func(t *testing.T, w *place) {
		load := newCrashLoad(t)
		load.sent.gaps = w.data == "" // where Redis keeps the ids that a proxy had reserved
		var back time.Duration
		for range rounds {
			back = max(back, load.startAgain(t, w))
			load.prepare(t, w.proxy(0))
			victim := w.proxy(rand.IntN(len(w.proxies)))
			load.run(t, w, victim, func(ctx context.Context) {
				load.await(ctx, 500+rand.IntN(1000))
				victim.Kill()
				if len(w.proxies) > 1 {
					load.await(ctx, 200)
				}
			})
		}
		back = max(back, load.startAgain(t, w))
		rows := w.audit(t, load.sent)
		stored := 0
		for _, list := range rows {
			stored += len(list)
		}
		answered := load.sent.acknowledged()
		t.Logf("%d messages were answered; %d were not, %d of them are stored", answered, load.failed.Load(), stored-answered)
		guarantee(t, fmt.Sprintf("one of %d proxies killed (kill -9) %d times", len(w.proxies), rounds),
			fmt.Sprintf("%d messages answered; %d on its connections not, of which %d are stored; none on others", answered,
				load.failed.Load(), stored-answered), fmt.Sprint(back.Round(time.Millisecond), " at most, from its start to a message answered"))
		load.auditUnread(t, w.proxy(0), rows)
		if n := count(t, w.db, "SELECT count(*) FROM IMRelationShip"); n != len(crashPairs)+pairReaders {
			t.Errorf("%d relations for %d pairs", n, len(crashPairs)+pairReaders)
		}
		if n := count(t, w.db, "SELECT count(*) FROM IMRecentSession WHERE type = 1"); n != 2*(len(crashPairs)+pairReaders) {
			t.Errorf("%d sessions of %d pairs", n, len(crashPairs)+pairReaders)
		}
	})
}

// TestFlushedUnderLoad has Redis lose everything every 0.3 s while three proxies are at work: nothing of that shows in ids,
// their order, unread counters or members, and what was lost comes back.
func TestFlushedUnderLoad(t *testing.T) {
	w := threeOnMySQL.at(t)
	w.start(t)
	load := newCrashLoad(t)
	stop := w.flush(t)
	firstMessages(t, w, load.sent, 20, 10)
	checkFirstMessages(t, w, 20, 10)
	groupSends(t, w, load.sent, 1)
	groupSends(t, w, load.sent, 5)
	(&restless{members: []uint32{1, 2, 3}, changing: []uint32{11, 12, 13, 14}}).run(t, w, load.sent)
	load.prepare(t, w.proxy(0))
	load.run(t, w, nil, func(ctx context.Context) { load.await(ctx, 6000) })
	t.Logf("%d messages were answered while Redis lost everything %d times", load.sent.acknowledged(), stop())
	w.touch(t, load.sent)
	load.auditUnread(t, w.proxy(1), w.audit(t, load.sent))
}

// startAgain starts what does not run, and returns how long that took until each proxy has stored a message.
func (l *crashLoad) startAgain(t *testing.T, w *place) time.Duration {
	t.Helper()
	begun := time.Now()
	w.start(t)
	for i := range w.proxies {
		k := crashPairs[0]
		above := l.sent.highest(k)
		l.note(k, above, time.Now(), call[*impb.IMMsgData](t, w.dial(t, i), pairText(k.low, k.high, l.text())))
	}
	return time.Since(begun)
}

// auditPairs compares what is unread of the pairs that nobody acks, and their pages, with the rows.
func auditPairs(t *testing.T, c *client.Client, rows map[talk][]row) {
	t.Helper()
	for _, k := range crashPairs {
		for _, user := range []uint32{k.low, k.high} {
			from := k.low + k.high - user
			want := len(after(rows[k], 0, func(m row) bool { return m.from == from }))
			if got := unreadOf(t, c, user, from, pair); got != want {
				t.Errorf("%d has %d unread from %d, %d are stored", user, got, from, want)
			}
		}
		checkPaging(t, c, k, rows[k])
	}
}

// auditUnread compares the unread counters, as the protocol tells them, with the rows.
func (l *crashLoad) auditUnread(t *testing.T, p *harness.Proxy, rows map[talk][]row) {
	t.Helper()
	c := dial(t, p)
	auditPairs(t, c, rows)
	for _, g := range l.groups { // nor there, but whoever sends has read what came before
		list := rows[groupTalk(g)]
		for _, user := range append([]uint32{silentMember}, crashMembers...) {
			own := after(list, 0, func(m row) bool { return m.from == user })
			last := uint32(0)
			if len(own) > 0 {
				last = own[len(own)-1].id
			}
			want := len(after(list, last, nil))
			if got := unreadOf(t, c, user, g, group); got != want {
				t.Errorf("%d has %d unread in group %d of %d messages, want %d", user, got, g, len(list), want)
			}
		}
	}
	for _, r := range l.readers {
		var possible []int
		for _, read := range append(r.acked, r.confirmed) {
			possible = append(possible, len(after(rows[r.talk], read, nil)))
		}
		if got := unreadOf(t, c, r.user, r.peer, r.kind); !slices.Contains(possible, got) {
			t.Errorf("%v: %d has %d unread, want one of %d", r.talk, r.user, got, possible)
		}
	}
}

// after returns those of a talk's rows with an id above id that match; a nil match takes all.
func after(rows []row, id uint32, match func(row) bool) (found []row) {
	for _, m := range rows {
		if m.id > id && (match == nil || match(m)) {
			found = append(found, m)
		}
	}
	return found
}

// unreadOf asks how many messages user has not read of a talk.
func unreadOf(t *testing.T, c *client.Client, user, peer uint32, kind impb.SessionType) int {
	t.Helper()
	return unreadIn(look[*impb.IMUnreadMsgCntRsp](t, c, unread(user)), peer, kind)
}

// unreadIn finds a talk in an answer; one that is not there has nothing unread.
func unreadIn(answer *impb.IMUnreadMsgCntRsp, peer uint32, kind impb.SessionType) int {
	for _, u := range answer.GetUnreadinfoList() {
		if u.GetSessionId() == peer && u.GetSessionType() == kind {
			return int(u.GetUnreadCnt())
		}
	}
	return 0
}

// checkPaging sees that a pair's pages have all its rows.
func checkPaging(t *testing.T, c *client.Client, k talk, rows []row) {
	t.Helper()
	const size = 100
	begin := uint32(0)
	for left := len(rows); left > 0; {
		list := look[*impb.IMGetMsgListRsp](t, c, page(k.low, pair, k.high, begin, size)).GetMsgList()
		if len(list) != min(left, size) {
			t.Errorf("%v: a page from %d has %d messages, %d are left", k, begin, len(list), left)
			return
		}
		for _, m := range list {
			left--
			want := rows[left]
			if m.GetMsgId() != want.id || string(m.GetMsgData()) != want.content || m.GetFromSessionId() != want.from {
				t.Errorf("%v: paging shows %v where %v is stored", k, m, want)
				return
			}
		}
		begin = list[len(list)-1].GetMsgId() - 1
	}
}

// prepare makes the groups, in the first round.
func (l *crashLoad) prepare(t *testing.T, p *harness.Proxy) {
	t.Helper()
	if l.groups != nil {
		return
	}
	c := dial(t, p)
	l.groups = makeGroups(t, c)
	for i := range uint32(groupReaders) {
		from, user := 7000+i, 8000+i
		g := makeGroup(t, c, from, from, user)
		l.readers = append(l.readers, &reader{
			talk: groupTalk(g), kind: group, user: user, peer: g,
			send: func(text string) *impb.IMMsgData { return groupText(from, g, text) },
		})
	}
}

// overdue is when a refusal may be one for want of time. The short form runs where anything else may run, too, and puts
// it down to the machine; what is refused earlier is refused for another reason.
const overdue = requestLimit - time.Second

// note checks and notes the answer to a message that was sent at begun, when above was the talk's largest answered id. It
// returns its id, 0 for one that was refused for want of time.
func (l *crashLoad) note(k talk, above uint32, begun time.Time, m proto.Message) uint32 {
	answer := m.(*impb.IMMsgData)
	id := answer.GetMsgId()
	if id == 0 && time.Since(begun) >= overdue && !fullFaults() {
		l.late.Add(1)
		return 0
	}
	if id <= above {
		l.sent.fault(fmt.Sprintf("%v: id %d was given after id %d", k, id, above))
	}
	l.sent.answered(k, answer)
	l.answered.Add(1)
	return id
}
