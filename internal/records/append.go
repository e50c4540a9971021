package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Append implements chat.Ledger. docs/architecture.md, "The write path", tells the whole story.
func (s *Store) Append(ctx context.Context, b chat.Batch, seq chat.Sequencer) (chat.Receipt, error) {
	var a *appending
	purge := s.takeApplied()
	err := s.tx(ctx, func(tx *sql.Tx) error {
		a = &appending{Batch: b, q: tx, d: s.dialect, stored: make([]chat.Stored, len(b.Drafts))}
		if err := a.run(ctx, seq); err != nil {
			return err
		}
		return deleteCommits(ctx, tx, purge)
	})
	if err != nil {
		s.putApplied(purge)
		if chat.KindOf(err) != chat.UnknownOutcome {
			return chat.Receipt{}, err
		}
	}
	return chat.Receipt{Stored: a.stored, Changes: a.changes()}, err
}

// appending is one Append at work, inside its transaction.
type appending struct {
	chat.Batch
	q querier
	d dialect

	talks    map[chat.Talk]*talkRow
	members  map[member]bool   // of the groups written to, as far as drafts ask
	joins    map[uint32]uint32 // the latest join of each of these groups
	stored   []chat.Stored
	contents []string // of messages as they go to the table

	moved  map[chat.Talk][]chat.Moved // by Changes
	levels map[member]uint32          // groups: how far users have seen
}

func (a *appending) run(ctx context.Context, seq chat.Sequencer) error {
	steps := []func(context.Context) error{
		a.lockTalks,
		a.checkMembers,
		a.adoptMissing,
		func(ctx context.Context) error { return a.number(ctx, seq) },
		a.addSounds,
		a.addMessages,
		a.touchSessions,
		a.saveTalks,
		a.saveLevels,
		a.touchGroups,
		a.record,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lockTalks reads the rows of all talks of the batch and holds them until its end. They are locked in the order of
// their key, so that two batches never wait for each other in a circle.
func (a *appending) lockTalks(ctx context.Context) (err error) {
	seen := make(map[chat.Talk]bool, len(a.Drafts))
	var talks []chat.Talk
	for _, d := range a.Drafts {
		if !seen[d.Talk] {
			seen[d.Talk] = true
			talks = append(talks, d.Talk)
		}
	}
	slices.SortFunc(talks, compareTalks)
	a.talks, err = lockTalks(ctx, a.q, a.d, talks)
	return err
}

// messages calls f for every message of the batch that has not been refused.
func (a *appending) messages(f func(i int, d *chat.Draft)) {
	for i := range a.Drafts {
		if d := &a.Drafts[i]; !d.Read && a.stored[i].Err == nil {
			f(i, d)
		}
	}
}

// checkMembers refuses messages to groups from people who are not in them.
func (a *appending) checkMembers(ctx context.Context) (err error) {
	asked := make(map[member]bool)
	groups := make(map[uint32]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group {
			asked[member{d.Talk.A, d.From}] = true
			groups[d.Talk.A] = true
		}
	})
	if len(asked) == 0 {
		return nil
	}
	if a.members, err = membersAmong(ctx, a.q, a.d, keysOf(asked)); err != nil {
		return err
	}
	if a.joins, err = latestJoins(ctx, a.q, keysOf(groups)); err != nil {
		return err
	}
	a.messages(func(i int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group && !a.members[member{d.Talk.A, d.From}] {
			a.stored[i].Err = chat.Errorf(chat.NotAllowed, "user %d is no member of group %d, or there is no such group", d.From, d.Talk.A)
		}
	})
	return nil
}

// adoptMissing makes talk rows for the talks that are written to for the first time.
func (a *appending) adoptMissing(ctx context.Context) error {
	var missing []chat.Talk
	seen := make(map[chat.Talk]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if a.talks[d.Talk] == nil && !seen[d.Talk] {
			seen[d.Talk] = true
			missing = append(missing, d.Talk)
		}
	})
	return adopt(ctx, a.q, a.d, missing, a.Now, a.talks)
}

// number gives every message its id and time, and every talk its new counters, in the order of the drafts.
func (a *appending) number(ctx context.Context, seq chat.Sequencer) error {
	at := make(map[chat.Talk]int) // indices into want
	var want []chat.Reserve
	a.messages(func(i int, d *chat.Draft) {
		t := a.talks[d.Talk]
		n, ok := at[d.Talk]
		switch {
		case t.lastID >= chat.MaxMsgID || ok && want[n].Count >= chat.MaxMsgID-t.lastID:
			a.stored[i].Err = chat.Errorf(chat.Invalid, "%s has used up its message ids", d.Talk)
		case ok:
			want[n].Count++
		default:
			at[d.Talk] = len(want)
			want = append(want, chat.Reserve{Talk: d.Talk, Relation: t.relation, Count: 1, Floor: t.lastID})
		}
	})
	if len(want) > 0 {
		for i, first := range seq.Next(ctx, want) {
			a.talks[want[i].Talk].lastID = first - 1
		}
	}
	a.moved = make(map[chat.Talk][]chat.Moved)
	a.levels = make(map[member]uint32)
	a.contents = make([]string, len(a.Drafts))
	for i := range a.Drafts {
		switch d := &a.Drafts[i]; {
		case a.stored[i].Err != nil:
		case d.Read:
			a.readAll(d.Talk, d.From)
		default:
			a.stored[i] = a.place(d)
			a.contents[i] = d.Content
		}
	}
	return nil
}

// place appends one message to its talk.
func (a *appending) place(d *chat.Draft) chat.Stored {
	t := a.talks[d.Talk]
	t.lastID++
	join := uint32(0)
	if d.Talk.Kind == chat.Group {
		join = a.joins[d.Talk.A]
	}
	t.lastCreated = chat.BoundCreated(d.Time, a.Now, t.lastCreated, join)
	t.dirty = true
	switch {
	case d.Talk.Kind == chat.Group:
		t.sentA++
		for i := range a.moved[d.Talk] {
			a.moved[d.Talk][i].Unread++
		}
		a.readAll(d.Talk, d.From)
	case d.From == d.Talk.A:
		t.sentA++
		a.addUnread(d.Talk, d.Talk.B)
	default:
		t.sentB++
		a.addUnread(d.Talk, d.Talk.A)
	}
	return chat.Stored{ID: t.lastID, Created: t.lastCreated}
}

// readAll notes that user has seen all there is of a talk now. In a group a sender has, with its own message.
func (a *appending) readAll(talk chat.Talk, user uint32) {
	if t := a.talks[talk]; t != nil {
		t.dirty = true
		switch {
		case talk.Kind == chat.Group:
			a.levels[member{talk.A, user}] = t.sentA
		case user == talk.A:
			t.readA = t.sentB
		default:
			t.readB = t.sentA
		}
	}
	*a.movedOf(talk, user) = chat.Moved{User: user, Clear: true}
}

func (a *appending) addUnread(talk chat.Talk, user uint32) { a.movedOf(talk, user).Unread++ }

// movedOf is the entry of a user among the changes of a talk.
func (a *appending) movedOf(talk chat.Talk, user uint32) *chat.Moved {
	list := a.moved[talk]
	for i := range list {
		if list[i].User == user {
			return &list[i]
		}
	}
	a.moved[talk] = append(list, chat.Moved{User: user})
	return &a.moved[talk][len(list)]
}

// changes is how the batch moved the counters, in the order of the talks' keys.
func (a *appending) changes() []chat.Change {
	added := make(map[chat.Talk]uint32)
	a.messages(func(_ int, d *chat.Draft) { added[d.Talk]++ })
	var changes []chat.Change
	for talk, users := range a.moved {
		c := chat.Change{Talk: talk, Added: added[talk], Users: users}
		if t := a.talks[talk]; t != nil {
			c.Relation, c.LastID = t.relation, t.lastID
		}
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(x, y chat.Change) int { return compareTalks(x.Talk, y.Talk) })
	return changes
}

// addSounds gives voice messages their rows in IMAudio, whose ids become the messages' contents.
func (a *appending) addSounds(ctx context.Context) (err error) {
	a.messages(func(i int, d *chat.Draft) {
		if d.Sound == nil || err != nil {
			return
		}
		var res sql.Result
		res, err = a.q.ExecContext(ctx, "INSERT INTO IMAudio (fromId,toId,path,size,duration,created) VALUES (?,?,?,?,?,?)",
			d.From, d.Talk.Peer(d.From), d.Sound.Path, d.Sound.Size, d.Sound.Duration, d.Time)
		if err == nil {
			var id int64
			id, err = res.LastInsertId()
			a.contents[i] = strconv.FormatInt(id, 10)
		}
	})
	return err
}

// addMessages writes the messages, one statement per table.
func (a *appending) addMessages(ctx context.Context) error {
	values := make(map[string][]any) // by table
	a.messages(func(i int, d *chat.Draft) {
		st := a.stored[i]
		var name string
		var row []any
		if d.Talk.Kind == chat.Group {
			name = groupTable(d.Talk.A)
			row = []any{d.Talk.A, d.From}
		} else {
			relation := a.talks[d.Talk].relation
			name = pairTable(relation)
			row = []any{relation, d.From, d.Talk.Peer(d.From)}
		}
		row = append(row, st.ID, a.contents[i], uint32(d.Type), 0, st.Created, st.Created)
		values[name] = append(values[name], row...)
	})
	for _, name := range sortedKeys(values) {
		columns := "relateId,fromId,toId,msgId,content,type,status,updated,created"
		if name[:7] == "IMGroup" {
			columns = "groupId,userId,msgId,content,type,status,updated,created"
		}
		if err := insert(ctx, a.q, a.d, name, columns, values[name], ""); err != nil {
			return err
		}
	}
	return nil
}

// touchSessions brings the sessions of the talks to life: of both users of a pair, of the sender in a group.
func (a *appending) touchSessions(ctx context.Context) error {
	var ids []uint32
	var inGroups []sessionKey
	relations := make(map[uint32]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group {
			inGroups = append(inGroups, sessionKey{d.From, d.Talk.A, chat.Group})
			return
		}
		t := a.talks[d.Talk]
		ids = append(ids, t.sessionA, t.sessionB)
		relations[t.relation] = true
	})
	if len(inGroups) > 0 {
		sessions, err := findOrMakeSessions(ctx, a.q, a.d, inGroups, a.Now)
		if err != nil {
			return err
		}
		for _, id := range sessions {
			ids = append(ids, id)
		}
	}
	if err := reviveSessions(ctx, a.q, ids, a.Now); err != nil {
		return err
	}
	return reviveRelations(ctx, a.q, keysOf(relations), a.Now)
}

func (a *appending) saveTalks(ctx context.Context) error {
	var rows []any
	for _, talk := range keysOf(a.talks) {
		if t := a.talks[talk]; t.dirty {
			rows = append(rows, t.values(talk)...)
		}
	}
	return insert(ctx, a.q, a.d, "IMProxyTalk", talkColumns, rows, a.d.upsert(talkKey, talkCounters))
}

func (a *appending) saveLevels(ctx context.Context) error {
	var rows []any
	for m, level := range a.levels {
		rows = append(rows, m.user, m.group, level)
	}
	return saveLevels(ctx, a.q, a.d, rows)
}

// touchGroups notes when there was last talk in the groups; the group sync goes by it.
func (a *appending) touchGroups(ctx context.Context) error {
	groups := make(map[uint32]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group {
			groups[d.Talk.A] = true
		}
	})
	return chunked(keysOf(groups), func(ids []uint32) error {
		_, err := exec(ctx, a.q, "UPDATE IMGroup SET lastChated=? WHERE id IN ("+marks(len(ids))+")", append([]any{a.Now}, args(ids)...)...)
		return err
	})
}

// record writes the commit record: by it Settle finds out whether this transaction was committed.
func (a *appending) record(ctx context.Context) error {
	changes, err := json.Marshal(a.changes())
	if err != nil {
		return err
	}
	_, err = exec(ctx, a.q, "INSERT INTO IMProxyCommit (id,created,changes) VALUES (?,?,?)", a.ID.String(), a.Now, string(changes))
	return err
}
