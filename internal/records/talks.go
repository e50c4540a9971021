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

// lock reads the row of a talk and locks it until the end of the transaction; nil when there is
// none. It also writes the row: a node of a cluster of which several are written to knows nothing
// of the locks at the others, but of two transactions that have written one row it undoes the one
// that comes second to its COMMIT.
func (w talking) lock(ctx context.Context, talk chat.Talk) (*talkRow, error) {
	if w.d.shared() {
		n, err := exec(ctx, w.q, "UPDATE IMProxyTalk SET turn=1-turn WHERE kind=? AND a=? AND b=?",
			uint32(talk.Kind), talk.A, talk.B)
		if err != nil || n == 0 {
			return nil, err
		}
	}
	found := make(map[chat.Talk]*talkRow, 1)
	err := fetchAll(ctx, w.q, w.d, lockOn(w.d, []chat.Talk{talk}, found))
	return found[talk], err
}

// lockOn reads those of the talks (sorted) that have a row and locks them until the end of the
// transaction, which must also write those that it relies on: see lock.
func lockOn(d dialect, talks []chat.Talk, found map[chat.Talk]*talkRow) []fetch {
	return fetches(talks, func(talks []chat.Talk) fetch {
		keys := make([]any, 0, 3*len(talks))
		for _, t := range talks {
			keys = append(keys, uint32(t.Kind), t.A, t.B)
		}
		query := d.lookup(talkColumns, "IMProxyTalk", talkKey, len(talks)) + " ORDER BY kind,a,b" + d.lock()
		return fetch{query, keys, func(scan scanner) error {
			var talk chat.Talk
			t := new(talkRow)
			err := scan(&talk.Kind, &talk.A, &talk.B, &t.relation, &t.sessionA, &t.sessionB, &t.lastID, &t.lastCreated,
				&t.sentA, &t.sentB, &t.readA, &t.readB, &t.rev)
			t.before = t.talkCounts
			found[talk] = t
			return err
		}}
	})
}

// lockOne locks one talk, making its row when it is missing.
func (w talking) lockOne(ctx context.Context, talk chat.Talk, now uint32) (*talkRow, error) {
	t, err := w.lockFirst(ctx, talk)
	if err != nil || t.counts() {
		return t, err
	}
	rows := map[chat.Talk]*talkRow{talk: t}
	if err := w.adopt(ctx, []chat.Talk{talk}, now, rows); err != nil {
		return nil, err
	}
	return rows[talk], w.save(ctx, []chat.Talk{talk}, rows)
}

// lockFirst locks one talk, where others are at work by a row that says nothing when it has none; nil where it needs
// none. It must be the first that the transaction locks: see claim.
func (w talking) lockFirst(ctx context.Context, talk chat.Talk) (*talkRow, error) {
	t, err := w.lock(ctx, talk)
	if err == nil && t == nil && w.d.shared() {
		if err = w.claim(ctx, []chat.Talk{talk}); err == nil {
			t, err = w.lock(ctx, talk)
		}
	}
	return t, err
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
// Where others are at work, they must be there, and locked.
func (w talking) adopt(ctx context.Context, missing []chat.Talk, now uint32, talks map[chat.Talk]*talkRow) error {
	var pairs, groups []chat.Talk
	for _, t := range missing {
		if talks[t] == nil {
			if w.d.shared() {
				return fmt.Errorf("%s has no row to lock", t)
			}
			talks[t] = new(talkRow)
		}
		if t.Kind == chat.Pair {
			pairs = append(pairs, t)
		} else {
			groups = append(groups, t)
		}
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

// claim makes rows that say nothing yet for talks, those that exist aside. The transaction must have locked no other talk
// before: it may come after these in the order of keys, and then two transactions could wait for each other in a circle.
func (w talking) claim(ctx context.Context, talks []chat.Talk) error {
	var values []any
	for _, t := range slices.SortedFunc(slices.Values(talks), compareTalks) {
		values = append(values, new(talkRow).values(t)...)
	}
	return insert(ctx, w.q, w.d, "IMProxyTalk", talkColumns, values, w.d.upsert(talkKey, talkKey[:1]))
}

// claimAnew is claim for a transaction that has locked other talks, and done nothing else: it lets go of them first, and
// of the new rows, too. All is to be locked again.
func (w talking) claimAnew(ctx context.Context, talks []chat.Talk) error {
	if _, err := exec(ctx, w.q, rollback); err != nil {
		return err
	}
	if err := w.claim(ctx, talks); err != nil {
		return err
	}
	_, err := exec(ctx, w.q, begin)
	return err
}

// adoptPairs finds or makes the relation and both sessions of pairs.
func (w talking) adoptPairs(ctx context.Context, pairs []chat.Talk, now uint32, talks map[chat.Talk]*talkRow) error {
	var keys []sessionKey
	for _, p := range pairs {
		keys = append(keys, sessionKey{p.A, p.B, chat.Pair}, sessionKey{p.B, p.A, chat.Pair})
	}
	relations, sessions, err := findOrMake(ctx, w.q, w.d, pairs, keys, now)
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
	members := make([]map[uint32]memberRow, len(adopted)) // of groups
	var asked []fetch
	for i, talk := range adopted {
		known[i].Talk = talk
		if talk.Kind == chat.Group {
			members[i] = make(map[uint32]memberRow)
			asked = append(asked, membersOf(talk.A, members[i]))
		}
	}
	if err := fetchAll(ctx, w.q, w.d, asked); err != nil {
		return err
	}
	for i, rows := range members {
		known[i].Members = current(rows)
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
	owners := make(map[owner]*talkRow, len(talks))
	for _, t := range talks {
		owners[ownerOf(t, rows[t])] = rows[t]
	}
	return lastStored(ctx, w.q, w.d, owners)
}

// owner is that under which a talk's messages are stored: a pair's relation, or a group.
type owner struct {
	kind chat.TalkKind
	id   uint32
}

func ownerOf(talk chat.Talk, t *talkRow) owner {
	if talk.Kind == chat.Group {
		return owner{chat.Group, talk.A}
	}
	return owner{chat.Pair, t.relation}
}

func (o owner) table() string {
	if o.kind == chat.Group {
		return groupTable(o.id)
	}
	return pairTable(o.id)
}

// lastStored brings the last ids and created times up to what the message tables have. Ids above chat.MaxMsgID are what
// the original server left where it failed, and are ignored.
func lastStored(ctx context.Context, q querier, d dialect, owners map[owner]*talkRow) error {
	byTable := make(map[string][]uint32)
	for o := range owners {
		byTable[o.table()] = append(byTable[o.table()], o.id)
	}
	var all []fetch
	for _, table := range sortedKeys(byTable) {
		all = append(all, fetches(byTable[table], func(ids []uint32) fetch { return lastOf(table, ids, owners) })...)
	}
	return fetchAll(ctx, q, d, all)
}

// lastOf fetches the last messages of owners in a table.
func lastOf(table string, ids []uint32, owners map[owner]*talkRow) fetch {
	key, of, kind := "relateId", "IMRelationShip", chat.Pair
	if strings.HasPrefix(table, "IMGroup") {
		key, of, kind = "groupId", "IMGroup", chat.Group
	}
	// Each subquery reads one entry of an index, where the largest stands: MAX would read all of them. In the key of
	// pairs the status stands before the id, so it is looked for under both; in that of groups it stands after.
	largest := func(column, where string) string {
		return fmt.Sprintf("COALESCE((SELECT m.%[1]s FROM %[2]s m WHERE m.%[3]s=o.id%[4]s ORDER BY m.%[1]s DESC LIMIT 1),0)",
			column, table, key, where)
	}
	live, removed := largest("msgId", " AND m.status=0 AND m.msgId<=?"), largest("msgId", " AND m.status=1 AND m.msgId<=?")
	if kind == chat.Group {
		live, removed = largest("msgId", " AND m.msgId<=?"), "?*0"
	}
	query := "SELECT o.id," + live + "," + removed + "," + largest("created", " AND m.status=0") + " FROM " + of +
		" o WHERE o.id IN (" + marks(len(ids)) + ")"
	return fetch{query, append([]any{chat.MaxMsgID, chat.MaxMsgID}, args(ids)...), func(scan scanner) error {
		var id, live, removed, created uint32
		err := scan(&id, &live, &removed, &created)
		if t := owners[owner{kind, id}]; t != nil {
			t.lastID, t.lastCreated = max(t.lastID, live, removed), max(t.lastCreated, created)
		}
		return err
	}}
}
