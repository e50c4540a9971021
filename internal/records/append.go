package records

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/newest"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Append implements chat.Ledger, in one transaction:
//
//  1. It locks the rows of the talks, and asks with them who is a member, when somebody last joined
//     and which sessions the senders have. Who is no member is refused.
//  2. Rows that are missing are made, and talks whose rows are new are adopted: see package talk.
//  3. Messages get their ids from seq and their times from chat.BoundCreated, in the order of the
//     drafts. A batch that fails gives its ids back, so that there is no gap.
//  4. It writes sounds, messages (a few statements for each shard), sessions, rows of talks, levels
//     of groups, and the time of last talk.
//  5. It writes the commit record.
//
// However many talks it has, that takes MySQL two round trips where texts may be joined: what 1
// asks for goes together, and what 4 and 5 write is sent with the COMMIT. The first message of a
// talk takes five more.
func (s *Store) Append(
	ctx context.Context, b chat.Batch, seq chat.Sequencer,
) (chat.Receipt, error) {
	a := &appending{newest: s.newest}
	purge := s.takeApplied()
	sure := false // whether a refusal is final
	err := s.db.Batch(ctx, func(tx sqldb.Tx) error {
		a.giveBack(ctx, seq) // those of the try before
		a = &appending{Batch: b, Work: s.Talking(tx), stored: make([]chat.Stored, len(b.Drafts)),
			newest: s.newest, member: s.Member}
		a.unsure = func(refused error) bool {
			known := sure
			sure = sure || s.db.MayLack(refused)
			return sure && !known
		}
		err := a.run(ctx, seq)
		if err == nil {
			err = deleteCommits(ctx, tx.Session, purge)
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
	a.keep(err)
	s.AwaitKnown()
	return chat.Receipt{Stored: a.stored, Changes: a.moved}, s.wrote(err, a.subjects()...)
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
func (a *appending) subjects() (all []replica.Subject) {
	for i, d := range a.Drafts {
		if a.stored[i].Err != nil {
			continue
		}
		all = append(all, replica.AboutTalk(d.Talk), replica.AboutUser(d.From))
		if d.Talk.Kind == chat.Pair {
			all = append(all, replica.AboutUser(d.Talk.Peer(d.From)))
		}
		if sound := a.sounds[i]; sound != 0 {
			all = append(all, replica.AboutSound(sound))
		}
	}
	return all
}

// appending is one Append at work, inside its transaction.
type appending struct {
	chat.Batch
	talk.Work
	newest *newest.Cache
	member *fleet.Member

	// unsure reports whether a refusal may not be one when the transaction runs again: see
	// sqldb.DB.MayLack. It says so once.
	unsure func(refused error) bool

	talks    map[chat.Talk]*talk.Row
	joins    map[uint32]uint32 // when somebody last joined each group written to, Unix seconds
	stored   []chat.Stored
	reserved []chat.Reserve             // from the sequencer; Floor is the id before the first
	sounds   map[int]uint32             // ids in IMAudio of voice messages, by the drafts' indices
	sessions map[talk.SessionKey]uint32 // of the senders in groups; 0: made in this transaction

	// read is who had read all there was of a talk at some time, senders in groups included.
	read   map[chat.Talk][]uint32
	levels map[talk.Member]uint32 // how many messages of groups users have seen
	moved  []chat.Change          // what record has recorded
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
		a.countBatch,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lockTalks reads the rows of all talks of the batch and holds them until its end, and with them
// what must be known of those who send to groups: who is no member is refused. Rows are locked in
// the order of their keys, so that two batches never wait for each other in a circle.
func (a *appending) lockTalks(ctx context.Context) error {
	seen := make(map[chat.Talk]bool, len(a.Drafts))
	var talks []chat.Talk
	for _, d := range a.Drafts {
		if !seen[d.Talk] {
			seen[d.Talk] = true
			talks = append(talks, d.Talk)
		}
	}
	slices.SortFunc(talks, talk.Compare)
	groups := make(map[uint32]bool)
	senders := make(map[talk.Member]bool)
	var keys []talk.SessionKey
	a.messages(func(_ int, d *chat.Draft) {
		m := talk.Member{Group: d.Talk.A, User: d.From}
		if d.Talk.Kind == chat.Group && !senders[m] {
			groups[m.Group], senders[m] = true, true
			keys = append(keys, talk.SessionKey{User: m.User, Peer: m.Group, Kind: chat.Group})
		}
	})
	a.talks = make(map[chat.Talk]*talk.Row, len(talks))
	a.joins = make(map[uint32]uint32, len(groups))
	a.sessions = make(map[talk.SessionKey]uint32, len(keys))
	members := make(map[talk.Member]bool, len(senders))
	err := sqldb.FetchAll(ctx, a.Session, slices.Concat(
		a.LockAll(talks, a.talks),
		talk.MembersAmong(a, slices.Collect(maps.Keys(senders)), members),
		latestJoins(a, slices.Collect(maps.Keys(groups)), a.joins),
		talk.Sessions(a, keys, a.sessions),
	))
	a.messages(func(i int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group && !members[talk.Member{Group: d.Talk.A, User: d.From}] {
			a.stored[i].Err = chat.Errorf(chat.NotAllowed,
				"user %d is no member of group %d, or there is no such group", d.From, d.Talk.A)
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

// claimTries is how often rows of talks are made that others take back at once, as the doctor does:
// see talk.Work.Release.
const claimTries = 3

// claimMissing makes rows for talks that are written to for the first time, so that they can be
// locked.
func (a *appending) claimMissing(ctx context.Context) error {
	for try := 0; a.ManyWriters(); try++ {
		missing := a.writtenTo(func(t *talk.Row) bool { return t == nil })
		switch {
		case len(missing) == 0:
			return nil
		case try == claimTries:
			return chat.Errorf(chat.Unavailable,
				"rows of %d talks were taken back before they could be locked", len(missing))
		}
		if err := a.ClaimAnew(ctx, missing); err != nil {
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
	missing := a.writtenTo(func(t *talk.Row) bool { return !t.Counted() })
	if len(missing) == 0 {
		return nil
	}
	return a.Adopt(ctx, missing, a.Now, a.talks)
}

// writtenTo returns those talks that get messages and whose rows are of some kind.
func (a *appending) writtenTo(kind func(*talk.Row) bool) (talks []chat.Talk) {
	seen := make(map[chat.Talk]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if kind(a.talks[d.Talk]) && !seen[d.Talk] {
			seen[d.Talk] = true
			talks = append(talks, d.Talk)
		}
	})
	return talks
}

// number gives every message its id and time, and every talk its new counters, in the order of the
// drafts.
func (a *appending) number(ctx context.Context, seq chat.Sequencer) error {
	at := make(map[chat.Talk]int) // indices into want
	var want []chat.Reserve
	a.messages(func(i int, d *chat.Draft) {
		t := a.talks[d.Talk]
		n, ok := at[d.Talk]
		switch {
		case t.LastID >= chat.MaxMsgID || ok && want[n].Count >= chat.MaxMsgID-t.LastID:
			a.stored[i].Err = chat.Errorf(chat.Invalid, "%s has used up its message ids", d.Talk)
		case ok:
			want[n].Count++
		default:
			at[d.Talk] = len(want)
			want = append(want, chat.Reserve{Talk: d.Talk, Relation: t.Relation, Count: 1,
				Floor: t.LastID, Checked: t.Checked})
		}
	})
	if len(want) > 0 {
		var err error
		a.reserved, err = a.Number(ctx, seq, want, a.talks)
		for _, r := range a.reserved {
			a.newest.Reserved(r.Talk, r.Floor+1, r.Floor+r.Count)
		}
		if err != nil {
			return err
		}
	}
	a.read = make(map[chat.Talk][]uint32)
	a.levels = make(map[talk.Member]uint32)
	for i := range a.Drafts {
		switch d := &a.Drafts[i]; {
		case a.stored[i].Err != nil:
		case d.Read:
			a.readAll(d.Talk, d.From)
		default:
			a.stored[i] = a.add(d)
		}
	}
	return nil
}

// add appends one message to its talk.
func (a *appending) add(d *chat.Draft) chat.Stored {
	t := a.talks[d.Talk]
	t.LastID++
	join := uint32(0)
	if d.Talk.Kind == chat.Group {
		join = a.joins[d.Talk.A]
	}
	t.LastCreated = chat.BoundCreated(d.Time, a.Now, t.LastCreated, join)
	t.Dirty = true
	switch {
	case d.Talk.Kind == chat.Group:
		t.SentA++
		a.readAll(d.Talk, d.From)
	case d.From == d.Talk.A:
		t.SentA++
	default:
		t.SentB++
	}
	return chat.Stored{ID: t.LastID, Created: t.LastCreated}
}

// readAll notes that user has seen all there is of a talk now. Whoever sends in a group has, with
// the message sent.
func (a *appending) readAll(of chat.Talk, user uint32) {
	if t := a.talks[of]; t.Counted() {
		t.Dirty = true
		switch {
		case of.Kind == chat.Group:
			a.levels[talk.Member{Group: of.A, User: user}] = t.SentA
		case user == of.A:
			t.ReadA = t.SentB
		default:
			t.ReadB = t.SentA
		}
	}
	if !slices.Contains(a.read[of], user) {
		a.read[of] = append(a.read[of], user)
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
	changes := make([]chat.Change, 0, len(touched))
	for of := range touched {
		t := a.talks[of]
		if t == nil {
			t = new(talk.Row) // nothing was ever counted
		}
		changes = append(changes, t.Change(of, a.read[of], a.levels))
	}
	slices.SortFunc(changes, func(x, y chat.Change) int { return talk.Compare(x.Talk, y.Talk) })
	return changes
}

// keep adds what was stored to the newest messages that are kept. With an error nobody knows
// whether it was stored.
func (a *appending) keep(unknown error) {
	stored := make(map[chat.Talk][]chat.Message, len(a.reserved))
	a.messages(func(i int, d *chat.Draft) {
		m := chat.Message{ID: a.stored[i].ID, From: d.From, Type: d.Type,
			Created: a.stored[i].Created, Data: d.Content}
		if d.Sound != nil {
			m.Data = strconv.FormatUint(uint64(a.sounds[i]), 10)
		}
		stored[d.Talk] = append(stored[d.Talk], m)
	})
	for _, r := range a.reserved {
		if unknown != nil {
			a.newest.Forget(r.Talk)
		} else {
			a.newest.Stored(r.Talk, stored[r.Talk])
		}
	}
}

// giveBack returns the ids of a batch that will not be stored, so that they leave no gap, unless
// somebody has asked for ids of these talks since.
func (a *appending) giveBack(ctx context.Context, seq chat.Sequencer) {
	if len(a.reserved) > 0 {
		for _, r := range a.reserved {
			a.newest.Dropped(r.Talk)
		}
		seq.GiveBack(context.WithoutCancel(ctx), a.reserved) // the reason may be that ctx has ended
		a.reserved = nil
	}
}
