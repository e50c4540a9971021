package audit

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
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// Check compares everything that was answered, everything that is stored, and all counters, once
// they have come to rest.
func Check(t *testing.T, w *rig.Setup, sent *Ledger) map[lines.Talk][]Row {
	t.Helper()
	// Of two nodes that commit the same talk one reserves ids in vain.
	sent.Gaps = sent.Gaps || !w.Fleet.EveryID()
	w.Fleet.AwaitNodes(t)
	rows := ReadRows(t, w.DB)
	sent.Check(t, rows)
	auditOnce(t, w)
	positions := Positions(t, w)
	for k, list := range rows {
		positions[k].audit(t, k, list)
	}
	for k := range positions {
		if rows[k] == nil && positions[k].last != 0 {
			t.Errorf("%v has no message, but its last id is %d", k, positions[k].last)
		}
	}
	if w.HasRedis() {
		auditKeys(t, w, positions, sent.Gaps)
	}
	return rows
}

// auditOnce sees that there is one relation for each pair and one session for each talk of a user.
func auditOnce(t *testing.T, w *rig.Setup) {
	t.Helper()
	for what, query := range map[string]string{
		"relations": "SELECT 1 FROM IMRelationShip GROUP BY smallId, bigId HAVING count(*) > 1",
		"sessions": "SELECT 1 FROM IMRecentSession GROUP BY userId, peerId, type HAVING " +
			"count(*) > 1",
		"members": "SELECT 1 FROM IMGroupMember GROUP BY groupId, userId HAVING count(*) > 1",
	} {
		if n := rig.Count(t, w.DB, "SELECT count(*) FROM ("+query+") twice"); n != 0 {
			t.Errorf("%d %s are there more than once", n, what)
		}
	}
}

// position is what our own table says of a talk.
type position struct {
	relation, last uint32
	sent, read     [2]uint32 // by the lower user and the higher; a group's: all, and nothing
}

// Positions reads those of all talks.
func Positions(t *testing.T, w *rig.Setup) map[lines.Talk]position {
	t.Helper()
	rows,
		err := w.DB.QueryContext(t.Context(),
		"SELECT kind, a, b, relateId, lastId, sentA, sentB, readA, readB FROM IMProxyTalk")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := make(map[lines.Talk]position)
	for rows.Next() {
		var kind, a, b uint32
		var p position
		if err := rows.Scan(&kind, &a, &b, &p.relation, &p.last, &p.sent[0], &p.sent[1], &p.read[0],
			&p.read[1]); err != nil {
			t.Fatal(err)
		}
		k := lines.GroupTalk(a)
		if kind == uint32(rig.Pair) {
			k = lines.PairTalk(a, b)
		}
		all[k] = p
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// unread is how many messages each user of a pair has not read.
func (p position) unread(k lines.Talk) map[uint32]uint32 {
	return map[uint32]uint32{k.Low: p.sent[1] - p.read[0], k.High: p.sent[0] - p.read[1]}
}

// audit compares a talk's counters with its messages.
func (p position) audit(t *testing.T, k lines.Talk, list []Row) {
	t.Helper()
	var sent [2]uint32
	for _, m := range list {
		if k.Group != 0 || m.From == k.Low {
			sent[0]++
		} else {
			sent[1]++
		}
	}
	if last := list[len(list)-1].ID; p.last != last || p.sent != sent {
		t.Errorf("%v: the last id is %d and %d were sent, but %d and %d are recorded", k, last,
			sent, p.last, p.sent)
	}
	if p.read[0] > p.sent[1] || p.read[1] > p.sent[0] {
		t.Errorf("%v: more was read than sent: %+v", k, p)
	}
}

// auditKeys waits until Redis says what the tables say, of every talk and group. With gaps its ids
// may be ahead: a proxy was killed that had reserved them.
func auditKeys(t *testing.T, w *rig.Setup, positions map[lines.Talk]position, gaps bool) {
	t.Helper()
	ctx := rig.Within(t)
	for {
		diff := KeysDiffer(t, w, positions, gaps)
		if diff == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("Redis does not agree with the tables (-tables +Redis):\n%s", diff)
			return
		case <-time.After(20 * time.Millisecond):
		}
		if w.Flushed {
			AskUnread(t, w) // a proxy does not fill what it knows to be behind
		}
	}
}

// KeysDiffer compares what Redis says with what the tables say; empty: it is the same.
func KeysDiffer(t *testing.T, w *rig.Setup, positions map[lines.Talk]position, gaps bool) string {
	t.Helper()
	want, got := wantedKeys(t, w, positions), storedKeys(t, w)
	if w.Flushed {
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
func wantedKeys(t *testing.T, w *rig.Setup, positions map[lines.Talk]position) redisKeys {
	t.Helper()
	keys := make(redisKeys)
	for k, p := range positions {
		if k.Group != 0 {
			keys.set(fmt.Sprintf("group_msg_id_%d", k.Group), "", p.last)
			if p.sent[0] > 0 {
				keys.set(fmt.Sprintf("%d_im_group_msg", k.Group), "count", p.sent[0])
			}
			continue
		}
		keys.set(fmt.Sprintf("msg_id_%d", p.relation), "", p.last)
		for user, n := range p.unread(k) {
			if n > 0 {
				keys.set(fmt.Sprintf("unread_%d", user), fmt.Sprint(k.Low+k.High-user), n)
			}
		}
	}
	each := func(query string, set func(a, b, value uint32)) {
		rows, err := w.DB.QueryContext(t.Context(), query)
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
	each("SELECT userId, groupId, level FROM IMProxyLevel WHERE level > 0",
		func(user, group, level uint32) {
			keys.set(fmt.Sprintf("%d_%d_im_user_group", user, group), "count", level)
		})
	each("SELECT groupId, userId, updated FROM IMGroupMember WHERE status = 0",
		func(group, user, joined uint32) {
			keys.set(fmt.Sprintf("group_member_%d", group), fmt.Sprint(user), joined)
		})
	return keys
}

// storedKeys are those that Redis has; a Cluster's on all of its nodes.
func storedKeys(t *testing.T, w *rig.Setup) redisKeys {
	t.Helper()
	keys := make(redisKeys)
	for _, node := range w.Fleet.Redis.Nodes() {
		redis := rig.Redis{Client: node}
		names, err := redis.Read(t, "KEYS", "*").AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			switch {
			case strings.HasPrefix(name, "dbproxy:"), name == "last_update_group",
				strings.HasPrefix(name, "total_user_update"):
			case strings.Contains(name, "msg_id_"):
				keys[name] = map[string]string{"": redis.Text(t, "GET", name)}
			default:
				if keys[name], err = redis.Read(t, "HGETALL", name).AsStrMap(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
	}
	return keys
}

// onlyMembers leaves out the levels of those who are in no group any more: nobody asks for them
// once they were lost.
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

// forgiveGaps puts ids where they should be that are ahead of that. It leaves out those of
// relations that are not there: when the first message of a pair is undone, its relation is, too,
// and MySQL gives that id to none again.
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

// Flush has Redis lose everything, again and again, until the returned function is called. It
// reports how often it did.
func Flush(t *testing.T, w *rig.Setup) (stop func() int) {
	t.Helper()
	w.Flushed = true
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
			if err := w.Fleet.Redis.Do(t.Context(),
				w.Fleet.Redis.B().Flushall().Build()).Error(); err != nil {
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

// Touch has one more message sent in every talk, and asks everybody's unread messages: what Redis
// has lost comes back with that.
func Touch(t *testing.T, w *rig.Setup, sent *Ledger) {
	t.Helper()
	c := w.Dial(t, 0)
	w.Touched++
	users := make(map[uint32]bool)
	w.Users = users
	members, err := w.DB.QueryContext(t.Context(),
		"SELECT groupId, userId FROM IMGroupMember WHERE status = 0 ORDER BY id")
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
	for _, k := range slices.SortedFunc(maps.Keys(Positions(t, w)), func(a, b lines.Talk) int {
		return cmp.Compare(a.String(), b.String())
	}) {
		text := fmt.Sprintf("touch %d of %v", w.Touched, k)
		req := rig.PairText(k.Low, k.High, text)
		if k.Group != 0 {
			req = rig.GroupText(senders[k.Group], k.Group, text)
		} else {
			users[k.Low], users[k.High] = true, true
		}
		sent.Answered(k, rig.Submit(t, c, req))
	}
	AskUnread(t, w)
}

// AskUnread asks the unread messages of all who were found by touch.
func AskUnread(t *testing.T, w *rig.Setup) {
	t.Helper()
	c := w.Dial(t, 0)
	defer c.Close()
	for user := range w.Users {
		rig.MustAsk[*impb.IMUnreadMsgCntRsp](t, c, rig.Unread(user))
	}
}
