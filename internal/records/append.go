package records

import (
	"context"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Append implements chat.Ledger. docs/architecture.md, "The write path", tells the whole story.
func (s *Store) Append(ctx context.Context, b chat.Batch, seq chat.Sequencer) (chat.Receipt, error) {
	a := new(appending)
	purge := s.takeApplied()
	sure := false // that what is refused is to be
	err := s.batchTx(ctx, func(q batched, d dialect) error {
		a.giveBack(ctx, seq) // those of the try before
		a = &appending{Batch: b, talking: talking{q, d, s.follower}, tx: q, stored: make([]chat.Stored, len(b.Drafts))}
		a.unsure = func(refused error) bool {
			known := sure
			sure = sure || s.mayLack(refused)
			return sure && !known
		}
		err := a.run(ctx, seq)
		if err == nil {
			err = deleteCommits(ctx, q, purge)
		}
		if err != nil {
			a.giveBack(ctx, seq)
		}
		return err
	})
	if err != nil {
		s.putApplied(purge)
		if chat.KindOf(err) != chat.UnknownOutcome {
			a.giveBack(ctx, seq)
			return chat.Receipt{}, err
		}
	}
	return chat.Receipt{Stored: a.stored, Changes: a.changes()}, s.wrote(err, a.subjects()...)
}

// refusal is why a message was refused; nil: none was.
func (a *appending) refusal() error {
	for i := range a.stored {
		if err := a.stored[i].Err; err != nil {
			return err
		}
	}
	return nil
}

// subjects is what the batch wrote about.
func (a *appending) subjects() (all []subject) {
	for i, d := range a.Drafts {
		if a.stored[i].Err != nil {
			continue
		}
		all = append(all, aboutTalk(d.Talk), aboutUser(d.From))
		if d.Talk.Kind == chat.Pair {
			all = append(all, aboutUser(d.Talk.Peer(d.From)))
		}
		if id, err := strconv.ParseUint(a.contents[i], 10, 32); err == nil && d.Sound != nil {
			all = append(all, aboutSound(uint32(id)))
		}
	}
	return all
}

// appending is one Append at work, inside its transaction.
type appending struct {
	chat.Batch
	talking
	tx batched // is talking's q

	// unsure says of a refusal that it may be otherwise when the transaction runs again.
	unsure func(refused error) bool

	talks    map[chat.Talk]*talkRow
	joins    map[uint32]uint32 // the latest join of each group written to
	stored   []chat.Stored
	reserved []chat.Reserve        // from the sequencer; Floor is the id before the first
	contents []string              // of messages as they go to the table
	sessions map[sessionKey]uint32 // of the senders in groups; 0: made in this transaction

	read   map[chat.Talk][]uint32 // who had read all there was of a talk at some time, a sender in a group included
	levels map[member]uint32      // groups: how far users have seen
}

func (a *appending) run(ctx context.Context, seq chat.Sequencer) error {
	steps := []func(context.Context) error{
		a.lockTalks,
		a.claimMissing,
		a.adoptMissing,
		a.makeSessions,
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

// lockTalks reads the rows of all talks of the batch and holds them until its end, and with them what must be known of
// those who send to groups: who is no member is refused. They are locked in the order of their key, so that two batches
// never wait for each other in a circle.
func (a *appending) lockTalks(ctx context.Context) error {
	seen := make(map[chat.Talk]bool, len(a.Drafts))
	var talks []chat.Talk
	for _, d := range a.Drafts {
		if !seen[d.Talk] {
			seen[d.Talk] = true
			talks = append(talks, d.Talk)
		}
	}
	slices.SortFunc(talks, compareTalks)
	groups := make(map[uint32]bool)
	senders := make(map[member]bool)
	var keys []sessionKey
	a.messages(func(_ int, d *chat.Draft) {
		if m := (member{d.Talk.A, d.From}); d.Talk.Kind == chat.Group && !senders[m] {
			groups[m.group], senders[m] = true, true
			keys = append(keys, sessionKey{m.user, m.group, chat.Group})
		}
	})
	a.talks = make(map[chat.Talk]*talkRow, len(talks))
	a.joins = make(map[uint32]uint32, len(groups))
	a.sessions = make(map[sessionKey]uint32, len(keys))
	members := make(map[member]bool, len(senders))
	err := fetchAll(ctx, a.q, a.d, slices.Concat(
		lockOn(a.d, talks, a.talks),
		membersAmong(a.d, keysOf(senders), members),
		latestJoins(keysOf(groups), a.joins),
		sessionsOf(a.d, keys, a.sessions),
	))
	a.messages(func(i int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group && !members[member{d.Talk.A, d.From}] {
			a.stored[i].Err = chat.Errorf(chat.NotAllowed, "user %d is no member of group %d, or there is no such group", d.From, d.Talk.A)
		}
	})
	if refused := a.refusal(); err == nil && a.unsure(refused) {
		err = refused
	}
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

// claimTries is how often rows of talks are made that others take back at once: the doctor does, see Examination.letGo.
const claimTries = 3

// claimMissing makes rows for talks that are written to for the first time, so that they can be locked.
func (a *appending) claimMissing(ctx context.Context) error {
	for try := 0; a.d.shared(); try++ {
		missing := a.writtenTo(func(t *talkRow) bool { return t == nil })
		switch {
		case len(missing) == 0:
			return nil
		case try == claimTries:
			return chat.Errorf(chat.Unavailable, "rows of %d talks were taken back before they could be locked", len(missing))
		}
		if err := a.claimAnew(ctx, missing); err != nil {
			return err
		}
		if err := a.lockTalks(ctx); err != nil {
			return err
		}
	}
	return nil
}

// adoptMissing fills the rows of talks that are written to for the first time.
func (a *appending) adoptMissing(ctx context.Context) error {
	missing := a.writtenTo(func(t *talkRow) bool { return !t.counts() })
	if len(missing) == 0 {
		return nil
	}
	return a.adopt(ctx, missing, a.Now, a.talks)
}

// writtenTo is those talks that get messages whose rows are of some kind.
func (a *appending) writtenTo(kind func(*talkRow) bool) (talks []chat.Talk) {
	seen := make(map[chat.Talk]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if kind(a.talks[d.Talk]) && !seen[d.Talk] {
			seen[d.Talk] = true
			talks = append(talks, d.Talk)
		}
	})
	return talks
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
			want = append(want, chat.Reserve{Talk: d.Talk, Relation: t.relation, Count: 1, Floor: t.lastID, Checked: t.checked})
		}
	})
	if len(want) > 0 {
		if err := a.reserve(ctx, seq, want); err != nil {
			return err
		}
	}
	a.read = make(map[chat.Talk][]uint32)
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
		a.readAll(d.Talk, d.From)
	case d.From == d.Talk.A:
		t.sentA++
	default:
		t.sentB++
	}
	return chat.Stored{ID: t.lastID, Created: t.lastCreated}
}

// readAll notes that user has seen all there is of a talk now. In a group a sender has, with its own message.
func (a *appending) readAll(talk chat.Talk, user uint32) {
	if t := a.talks[talk]; t.counts() {
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
	if !slices.Contains(a.read[talk], user) {
		a.read[talk] = append(a.read[talk], user)
	}
}

// changes is how the batch moved the counters, in the order of the talks' keys.
func (a *appending) changes() []chat.Change {
	touched := make(map[chat.Talk]bool)
	for i, d := range a.Drafts {
		if a.stored[i].Err == nil {
			touched[d.Talk] = true
		}
	}
	var changes []chat.Change
	for talk := range touched {
		t := a.talks[talk]
		if t == nil {
			t = new(talkRow) // nothing was ever counted
		}
		changes = append(changes, t.change(talk, a.read[talk], a.levels))
	}
	slices.SortFunc(changes, func(x, y chat.Change) int { return compareTalks(x.Talk, y.Talk) })
	return changes
}

// addSounds gives voice messages their rows in IMAudio, whose ids become the messages' contents.
func (a *appending) addSounds(ctx context.Context) error {
	var voices []int // indices into Drafts
	var rows [][]any
	a.messages(func(i int, d *chat.Draft) {
		if d.Sound != nil {
			voices = append(voices, i)
			rows = append(rows, []any{d.From, d.Talk.Peer(d.From), d.Sound.Path, d.Sound.Size, d.Sound.Duration, d.Time})
		}
	})
	ids, err := a.tx.insertIDs(ctx, "INSERT INTO IMAudio (fromId,toId,path,size,duration,created) VALUES (?,?,?,?,?,?)", rows)
	if err != nil {
		return err
	}
	for n, i := range voices {
		id, err := madeID("IMAudio", ids[n], nil)
		if err != nil {
			return err
		}
		a.contents[i] = strconv.FormatUint(uint64(id), 10)
	}
	return nil
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

// makeSessions makes the sessions of those who send in groups and have none.
func (a *appending) makeSessions(ctx context.Context) error {
	_, err := makeSessions(ctx, a.q, a.d, a.senders(), a.sessions, a.Now)
	return err
}

// senders are the keys of the sessions of those who send in groups.
func (a *appending) senders() (keys []sessionKey) {
	a.messages(func(_ int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group {
			keys = append(keys, sessionKey{d.From, d.Talk.A, chat.Group})
		}
	})
	return keys
}

// touchSessions brings the sessions of the talks to life: of both users of a pair, of the sender in a group.
func (a *appending) touchSessions(ctx context.Context) error {
	var ids []uint32
	for _, key := range a.senders() {
		if id := a.sessions[key]; id != 0 { // 0: it was made just now
			ids = append(ids, id)
		}
	}
	relations := make(map[uint32]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if t := a.talks[d.Talk]; d.Talk.Kind == chat.Pair && !relations[t.relation] {
			ids = append(ids, t.sessionA, t.sessionB)
			relations[t.relation] = true
		}
	})
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if err := reviveSessions(ctx, a.q, ids, a.Now); err != nil {
		return err
	}
	return reviveRelations(ctx, a.q, sortedKeys(relations), a.Now)
}

// saveTalks saves the talks whose counts moved, as their next revision.
func (a *appending) saveTalks(ctx context.Context) error {
	var talks []chat.Talk
	for talk, t := range a.talks {
		if t.dirty {
			t.rev++
			talks = append(talks, talk)
		}
	}
	slices.SortFunc(talks, compareTalks)
	return a.save(ctx, talks, a.talks)
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
	return chunked(sortedKeys(groups), func(ids []uint32) error {
		_, err := exec(ctx, a.q, "UPDATE IMGroup SET lastChated=? WHERE id IN ("+marks(len(ids))+")", append([]any{a.Now}, args(ids)...)...)
		return err
	})
}

// record writes the commit record: by it Settle finds out whether this transaction was committed.
func (a *appending) record(ctx context.Context) error {
	return record(ctx, a.q, chat.Commit{ID: a.ID, Changes: a.changes()}, a.Now)
}
