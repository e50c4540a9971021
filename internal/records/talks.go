package records

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// talkRow is a row of IMProxyTalk. Whoever holds its lock may change the talk's relation, sessions, ids and members.
type talkRow struct {
	relation           uint32 // a pair's; chooses the message table
	sessionA, sessionB uint32 // a pair's sessions: of A and of B
	lastID             uint32 // the largest message id given out
	lastCreated        uint32 // the greatest created time given out
	talkCounts
	rev uint32 // how often the counts were changed; 0: the row was only made to be locked, and says nothing yet

	before  talkCounts // as they were when the transaction began
	dirty   bool       // changed since it was read
	checked bool       // lastID is also the largest in the message table
}

// counts reports whether there is a row, and it says something.
func (t *talkRow) counts() bool { return t != nil && t.rev > 0 }

// talkCounts are the counters in a row of IMProxyTalk.
type talkCounts struct {
	sentA, sentB uint32 // messages sent by A and by B; in a group sentA counts all
	readA, readB uint32 // of sentB, how many A has seen; of sentA, how many B has
}

// unread is how many messages a user has not seen of a pair.
func (c talkCounts) unread(talk chat.Talk, user uint32) uint32 {
	if user == talk.A {
		return c.sentB - c.readA
	}
	return c.sentA - c.readB
}

var (
	talkKey      = []string{"kind", "a", "b"}
	talkCounters = []string{"relateId", "sessionA", "sessionB", "lastId", "lastCreated", "sentA", "sentB", "readA", "readB", "rev"}
)

const talkColumns = "kind,a,b,relateId,sessionA,sessionB,lastId,lastCreated,sentA,sentB,readA,readB,rev"

func (t *talkRow) values(talk chat.Talk) []any {
	return []any{uint32(talk.Kind), talk.A, talk.B, t.relation, t.sessionA, t.sessionB, t.lastID, t.lastCreated,
		t.sentA, t.sentB, t.readA, t.readB, t.rev}
}

func compareTalks(x, y chat.Talk) int {
	return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.A, y.A), cmp.Compare(x.B, y.B))
}

// change is how the counts of a talk moved in the transaction; read are users who had read everything at some time,
// levels how much members of groups have seen.
func (t *talkRow) change(talk chat.Talk, read []uint32, levels map[member]uint32) chat.Change {
	c := chat.Change{Talk: talk, Relation: t.relation, Rev: t.rev, LastID: t.lastID}
	if talk.Kind == chat.Group {
		c.Before, c.Count = t.before.sentA, t.sentA
		for _, user := range read {
			m := chat.Moved{User: user, Clear: true}
			if level, known := levels[member{talk.A, user}]; known {
				m.Unread = t.sentA - level
			}
			c.Users = append(c.Users, m)
		}
		return c
	}
	for _, user := range []uint32{talk.A, talk.B} {
		m := chat.Moved{User: user, Clear: slices.Contains(read, user), Before: t.before.unread(talk, user), Unread: t.unread(talk, user)}
		if m.Clear || m.Before != m.Unread {
			c.Users = append(c.Users, m)
		}
	}
	return c
}

// talking is the work on talks within one transaction.
type talking struct {
	q        querier
	d        dialect
	follower Follower
}

func (s *Store) talking(q querier) talking { return talking{q, s.dialect, s.follower} }

// lock reads those of the talks (sorted) that have a row and locks them until the end of the transaction.
func (w talking) lock(ctx context.Context, talks []chat.Talk) (map[chat.Talk]*talkRow, error) {
	found := make(map[chat.Talk]*talkRow, len(talks))
	err := chunked(talks, func(talks []chat.Talk) error {
		keys := make([]any, 0, 3*len(talks))
		for _, t := range talks {
			keys = append(keys, uint32(t.Kind), t.A, t.B)
		}
		query := w.d.lookup(talkColumns, "IMProxyTalk", talkKey, len(talks)) + " ORDER BY kind,a,b" + w.d.lock()
		return each(ctx, w.q, query, keys, func(scan scanner) error {
			var talk chat.Talk
			t := new(talkRow)
			err := scan(&talk.Kind, &talk.A, &talk.B, &t.relation, &t.sessionA, &t.sessionB, &t.lastID, &t.lastCreated,
				&t.sentA, &t.sentB, &t.readA, &t.readB, &t.rev)
			t.before = t.talkCounts
			found[talk] = t
			return err
		})
	})
	return found, err
}

// lockOne locks one talk, making its row when it is missing.
func (w talking) lockOne(ctx context.Context, talk chat.Talk, now uint32) (*talkRow, error) {
	rows, err := w.lock(ctx, []chat.Talk{talk})
	if err != nil || rows[talk].counts() {
		return rows[talk], err
	}
	if err := w.adopt(ctx, []chat.Talk{talk}, now, rows); err != nil {
		return nil, err
	}
	return rows[talk], w.save(ctx, []chat.Talk{talk}, rows)
}

// save writes the rows of talks (sorted) that were changed.
func (w talking) save(ctx context.Context, talks []chat.Talk, rows map[chat.Talk]*talkRow) error {
	var values []any
	for _, talk := range talks {
		if t := rows[talk]; t.dirty {
			values = append(values, t.values(talk)...)
		}
	}
	return insert(ctx, w.q, w.d, "IMProxyTalk", talkColumns, values, w.d.upsert(talkKey, talkCounters))
}

// adopt fills the rows of talks that say nothing yet with what the original server's tables say of them; what is missing
// there (a pair's relation and sessions) is created, in the order given. The rows are in talks, to be saved by the caller.
// Where other processes are at work it needs rows that are locked already: its error is unclaimed otherwise.
func (w talking) adopt(ctx context.Context, missing []chat.Talk, now uint32, talks map[chat.Talk]*talkRow) error {
	var none unclaimed
	var pairs, groups []chat.Talk
	for _, t := range missing {
		if talks[t] == nil {
			none = append(none, t)
			talks[t] = new(talkRow)
		}
		if t.Kind == chat.Pair {
			pairs = append(pairs, t)
		} else {
			groups = append(groups, t)
		}
	}
	if len(none) > 0 && w.d.shared() {
		return none
	}
	adopted := slices.Concat(pairs, groups)
	if err := w.adoptPairs(ctx, pairs, now, talks); err != nil {
		return err
	}
	if err := w.lastStored(ctx, adopted, talks); err != nil {
		return err
	}
	for _, talk := range adopted {
		talks[talk].dirty, talks[talk].checked = true, true
	}
	return w.takeOver(ctx, adopted, talks)
}

// unclaimed is the error of a transaction that needs rows of talks that are not there. It must hold no locks while it
// makes them: other talks that it has locked may come after them in the order of keys, and then two transactions could
// wait for each other in a circle. So Store.tx undoes it, makes the rows, and runs it again.
type unclaimed []chat.Talk

// Error says that it did not stay within this package.
func (u unclaimed) Error() string { return fmt.Sprintf("%d talks have no rows to lock", len(u)) }

// claim makes rows that say nothing yet for talks, those that exist aside, in a transaction that does nothing else.
func (w talking) claim(ctx context.Context, talks []chat.Talk) error {
	var values []any
	for _, t := range slices.SortedFunc(slices.Values(talks), compareTalks) {
		values = append(values, new(talkRow).values(t)...)
	}
	return insert(ctx, w.q, w.d, "IMProxyTalk", talkColumns, values, w.d.upsert(talkKey, talkKey[:1]))
}

// adoptPairs finds or makes the relation and both sessions of pairs.
func (w talking) adoptPairs(ctx context.Context, pairs []chat.Talk, now uint32, talks map[chat.Talk]*talkRow) error {
	relations, err := findOrMakeRelations(ctx, w.q, w.d, pairs, now)
	if err != nil {
		return err
	}
	var keys []sessionKey
	for _, p := range pairs {
		keys = append(keys, sessionKey{p.A, p.B, chat.Pair}, sessionKey{p.B, p.A, chat.Pair})
	}
	sessions, err := findOrMakeSessions(ctx, w.q, w.d, keys, now)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		t := talks[p]
		t.relation = relations[p]
		t.sessionA = sessions[sessionKey{p.A, p.B, chat.Pair}]
		t.sessionB = sessions[sessionKey{p.B, p.A, chat.Pair}]
	}
	return nil
}

// takeOver begins the counts of talks with what is counted of them elsewhere, and the mutes of groups likewise.
func (w talking) takeOver(ctx context.Context, adopted []chat.Talk, talks map[chat.Talk]*talkRow) error {
	for _, talk := range adopted {
		talks[talk].rev = 1
	}
	if w.follower == nil {
		return nil
	}
	known := make([]chat.Known, len(adopted))
	for i, talk := range adopted {
		known[i].Talk = talk
		if talk.Kind == chat.Group {
			rows, err := memberRows(ctx, w.q, talk.A)
			if err != nil {
				return err
			}
			known[i].Members = current(rows)
		}
	}
	var levels, mutes []any
	for i, c := range w.follower.Counted(ctx, known) {
		talk, t := adopted[i], talks[adopted[i]]
		t.sentA, t.sentB, t.rev = c.UnreadB, c.UnreadA, max(t.rev, c.Rev)
		if talk.Kind == chat.Group {
			t.sentA = c.Count
		}
		t.before = t.talkCounts
		for _, user := range sortedKeys(c.Levels) {
			levels = append(levels, user, talk.A, min(c.Levels[user], c.Count))
		}
		for _, user := range sortedKeys(c.Mutes) {
			mutes = append(mutes, talk.A, user, c.Mutes[user])
		}
	}
	if err := saveLevels(ctx, w.q, w.d, levels); err != nil {
		return err
	}
	return saveMutes(ctx, w.q, w.d, mutes)
}

// lastStored brings the last ids and created times of talks up to what the message tables have.
func (w talking) lastStored(ctx context.Context, talks []chat.Talk, rows map[chat.Talk]*talkRow) error {
	byTable := make(map[string]map[uint32]*talkRow)
	for _, t := range talks {
		table, id := groupTable(t.A), t.A
		if t.Kind == chat.Pair {
			id = rows[t].relation
			table = pairTable(id)
		}
		if byTable[table] == nil {
			byTable[table] = make(map[uint32]*talkRow)
		}
		byTable[table][id] = rows[t]
	}
	for _, table := range sortedKeys(byTable) {
		if err := lastStored(ctx, w.q, table, byTable[table]); err != nil {
			return err
		}
	}
	return nil
}

// lastStored is for the talks of one table, by relation or group. Ids above chat.MaxMsgID are what the original server
// left where it failed, and are ignored.
func lastStored(ctx context.Context, q querier, table string, rows map[uint32]*talkRow) error {
	key := "relateId"
	owner := "IMRelationShip"
	if strings.HasPrefix(table, "IMGroup") {
		key, owner = "groupId", "IMGroup"
	}
	// Each subquery reads one entry of an index, where the largest stands: MAX would read all of them. In the key of
	// pairs the status stands before the id, so it is looked for under both; in that of groups it stands after.
	largest := func(column, where string) string {
		return fmt.Sprintf("COALESCE((SELECT m.%[1]s FROM %[2]s m WHERE m.%[3]s=o.id%[4]s ORDER BY m.%[1]s DESC LIMIT 1),0)",
			column, table, key, where)
	}
	live, removed := largest("msgId", " AND m.status=0 AND m.msgId<=?"), largest("msgId", " AND m.status=1 AND m.msgId<=?")
	if owner == "IMGroup" {
		live, removed = largest("msgId", " AND m.msgId<=?"), "?*0"
	}
	return chunked(sortedKeys(rows), func(ids []uint32) error {
		query := "SELECT o.id," + live + "," + removed + "," + largest("created", " AND m.status=0") + " FROM " + owner +
			" o WHERE o.id IN (" + marks(len(ids)) + ")"
		return each(ctx, q, query, append([]any{chat.MaxMsgID, chat.MaxMsgID}, args(ids)...), func(scan scanner) error {
			var id, live, removed, created uint32
			err := scan(&id, &live, &removed, &created)
			if t := rows[id]; t != nil {
				t.lastID, t.lastCreated = max(t.lastID, live, removed), max(t.lastCreated, created)
			}
			return err
		})
	})
}
