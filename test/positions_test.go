package test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// audit compares everything that was answered, everything that is stored, and all counters, once they have come to rest.
func (w *place) audit(t *testing.T, sent *ledger) map[talk][]row {
	t.Helper()
	sent.gaps = sent.gaps || !w.fleet.everyID() // of two nodes that commit the same talk one reserves ids in vain
	w.fleet.settle(t)
	rows := readRows(t, w.db)
	sent.audit(t, rows)
	w.auditOnce(t)
	positions := w.positions(t)
	for k, list := range rows {
		positions[k].audit(t, k, list)
	}
	for k := range positions {
		if rows[k] == nil && positions[k].last != 0 {
			t.Errorf("%v has no message, but its last id is %d", k, positions[k].last)
		}
	}
	if w.fleet != nil {
		w.auditKeys(t, positions, sent.gaps)
	}
	return rows
}

// auditOnce sees that there is one relation for each pair and one session for each talk of a user.
func (w *place) auditOnce(t *testing.T) {
	t.Helper()
	for what, query := range map[string]string{
		"relations": "SELECT 1 FROM IMRelationShip GROUP BY smallId, bigId HAVING count(*) > 1",
		"sessions":  "SELECT 1 FROM IMRecentSession GROUP BY userId, peerId, type HAVING count(*) > 1",
		"members":   "SELECT 1 FROM IMGroupMember GROUP BY groupId, userId HAVING count(*) > 1",
	} {
		if n := count(t, w.db, "SELECT count(*) FROM ("+query+") twice"); n != 0 {
			t.Errorf("%d %s are there more than once", n, what)
		}
	}
}

// position is what our own table says of a talk.
type position struct {
	relation, last uint32
	sent, read     [2]uint32 // by the lower user and the higher; a group's: all, and nothing
}

// positions reads those of all talks.
func (w *place) positions(t *testing.T) map[talk]position {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), "SELECT kind, a, b, relateId, lastId, sentA, sentB, readA, readB FROM IMProxyTalk")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := make(map[talk]position)
	for rows.Next() {
		var kind, a, b uint32
		var p position
		if err := rows.Scan(&kind, &a, &b, &p.relation, &p.last, &p.sent[0], &p.sent[1], &p.read[0], &p.read[1]); err != nil {
			t.Fatal(err)
		}
		k := groupTalk(a)
		if kind == uint32(pair) {
			k = pairTalk(a, b)
		}
		all[k] = p
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// unread is how many messages each user of a pair has not read.
func (p position) unread(k talk) map[uint32]uint32 {
	return map[uint32]uint32{k.low: p.sent[1] - p.read[0], k.high: p.sent[0] - p.read[1]}
}

// audit compares a talk's counters with its messages.
func (p position) audit(t *testing.T, k talk, list []row) {
	t.Helper()
	var sent [2]uint32
	for _, m := range list {
		if k.group != 0 || m.from == k.low {
			sent[0]++
		} else {
			sent[1]++
		}
	}
	if last := list[len(list)-1].id; p.last != last || p.sent != sent {
		t.Errorf("%v: the last id is %d and %d were sent, but %d and %d are recorded", k, last, sent, p.last, p.sent)
	}
	if p.read[0] > p.sent[1] || p.read[1] > p.sent[0] {
		t.Errorf("%v: more was read than sent: %+v", k, p)
	}
}

// auditKeys waits until Redis says what the tables say, of every talk and group. With gaps its ids may be ahead: a proxy
// was killed that had reserved them.
func (w *place) auditKeys(t *testing.T, positions map[talk]position, gaps bool) {
	t.Helper()
	ctx := within(t)
	for {
		diff := w.keysDiffer(t, positions, gaps)
		if diff == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("Redis does not agree with the tables (-tables +Redis):\n%s", diff)
			return
		case <-time.After(20 * time.Millisecond):
		}
		if w.flushed {
			w.askUnread(t) // a proxy does not fill what it knows to be behind
		}
	}
}

// keysDiffer compares what Redis says with what the tables say; empty: it is the same.
func (w *place) keysDiffer(t *testing.T, positions map[talk]position, gaps bool) string {
	t.Helper()
	want, got := w.wantedKeys(t, positions), w.storedKeys(t)
	if w.flushed {
		want, got = want.onlyMembers(), got.onlyMembers()
	}
	if gaps {
		got.forgiveGaps(want)
	}
	return gocmp.Diff(want, got)
}

// redisKeys are values by key and field; the field of a plain value is empty.
type redisKeys map[string]map[string]string

func (r redisKeys) set(key, field string, value uint32) {
	if r[key] == nil {
		r[key] = make(map[string]string)
	}
	r[key][field] = fmt.Sprint(value)
}

// wantedKeys are all ids, counters and members that Redis should have.
func (w *place) wantedKeys(t *testing.T, positions map[talk]position) redisKeys {
	t.Helper()
	keys := make(redisKeys)
	for k, p := range positions {
		if k.group != 0 {
			keys.set(fmt.Sprintf("group_msg_id_%d", k.group), "", p.last)
			if p.sent[0] > 0 {
				keys.set(fmt.Sprintf("%d_im_group_msg", k.group), "count", p.sent[0])
			}
			continue
		}
		keys.set(fmt.Sprintf("msg_id_%d", p.relation), "", p.last)
		for user, n := range p.unread(k) {
			if n > 0 {
				keys.set(fmt.Sprintf("unread_%d", user), fmt.Sprint(k.low+k.high-user), n)
			}
		}
	}
	each := func(query string, set func(a, b, value uint32)) {
		rows, err := w.db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, value uint32
			if err := rows.Scan(&a, &b, &value); err != nil {
				t.Fatal(err)
			}
			set(a, b, value)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	each("SELECT userId, groupId, level FROM IMProxyLevel WHERE level > 0", func(user, group, level uint32) {
		keys.set(fmt.Sprintf("%d_%d_im_user_group", user, group), "count", level)
	})
	each("SELECT groupId, userId, updated FROM IMGroupMember WHERE status = 0", func(group, user, joined uint32) {
		keys.set(fmt.Sprintf("group_member_%d", group), fmt.Sprint(user), joined)
	})
	return keys
}

// storedKeys are those that Redis has; a Cluster's on all of its nodes.
func (w *place) storedKeys(t *testing.T) redisKeys {
	t.Helper()
	keys := make(redisKeys)
	for _, node := range w.fleet.redis.Nodes() {
		redis := redisClient{node}
		names, err := redis.read(t, "KEYS", "*").AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			switch {
			case strings.HasPrefix(name, "dbproxy:"), name == "last_update_group", strings.HasPrefix(name, "total_user_update"):
			case strings.Contains(name, "msg_id_"):
				keys[name] = map[string]string{"": redis.text(t, "GET", name)}
			default:
				if keys[name], err = redis.read(t, "HGETALL", name).AsStrMap(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	}
	return keys
}

// onlyMembers leaves out the levels of those who are in no group any more: nobody asks for them once they were lost.
func (r redisKeys) onlyMembers() redisKeys {
	maps.DeleteFunc(r, func(key string, _ map[string]string) bool {
		var user, group uint32
		if _, err := fmt.Sscanf(key, "%d_%d_im_user_group", &user, &group); err != nil {
			return false
		}
		return r[fmt.Sprintf("group_member_%d", group)][fmt.Sprint(user)] == ""
	})
	return r
}

// forgiveGaps puts ids where they should be that are ahead of that. It leaves out those of relations that are not there:
// when the first message of a pair is undone, its relation is, too, and MySQL gives that id to none again.
func (r redisKeys) forgiveGaps(want redisKeys) {
	maps.DeleteFunc(r, func(key string, _ map[string]string) bool {
		return strings.HasPrefix(key, "msg_id_") && want[key] == nil
	})
	for key, value := range r {
		got, err := strconv.Atoi(value[""])
		least, bad := strconv.Atoi(want[key][""])
		if err == nil && bad == nil && got > least {
			value[""] = want[key][""]
		}
	}
}

// flush has Redis lose everything, again and again, until the returned function is called. It reports how often it did.
func (w *place) flush(t *testing.T) (stop func() int) {
	t.Helper()
	w.flushed = true
	quit, ended := make(chan struct{}), make(chan struct{})
	times := 0
	go func() {
		defer close(ended)
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			if err := w.fleet.redis.Do(t.Context(), w.fleet.redis.B().Flushall().Build()).Error(); err != nil {
				t.Error(err)
			}
			times++
		}
	}()
	return func() int {
		close(quit)
		<-ended
		return times
	}
}

// touch has one more message sent in every talk, and asks everybody's unread messages: what Redis has lost comes back with that.
func (w *place) touch(t *testing.T, sent *ledger) {
	t.Helper()
	c := w.dial(t, 0)
	w.touched++
	users := make(map[uint32]bool)
	w.users = users
	members, err := w.db.QueryContext(t.Context(), "SELECT groupId, userId FROM IMGroupMember WHERE status = 0 ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer members.Close()
	senders := make(map[uint32]uint32) // of groups
	for members.Next() {
		var group, user uint32
		if err := members.Scan(&group, &user); err != nil {
			t.Fatal(err)
		}
		if users[user] = true; senders[group] == 0 {
			senders[group] = user // who made the group, in these tests
		}
	}
	if err := errors.Join(members.Err(), members.Close()); err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.SortedFunc(maps.Keys(w.positions(t)), func(a, b talk) int { return cmp.Compare(a.String(), b.String()) }) {
		text := fmt.Sprintf("touch %d of %v", w.touched, k)
		req := pairText(k.low, k.high, text)
		if k.group != 0 {
			req = groupText(senders[k.group], k.group, text)
		} else {
			users[k.low], users[k.high] = true, true
		}
		sent.answered(k, submit(t, c, req))
	}
	w.askUnread(t)
}

// askUnread asks the unread messages of all who were found by touch.
func (w *place) askUnread(t *testing.T) {
	t.Helper()
	c := w.dial(t, 0)
	defer c.Close()
	for user := range w.users {
		look[*impb.IMUnreadMsgCntRsp](t, c, unread(user))
	}
}
