package records

import (
	"context"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// What follows are the rows that an Append writes.

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

// record writes the commit record: by it Outcome finds out whether this transaction was committed.
func (a *appending) record(ctx context.Context) error {
	return record(ctx, a.q, chat.Commit{ID: a.ID, Changes: a.changes()}, a.Now)
}
