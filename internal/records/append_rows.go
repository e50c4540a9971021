package records

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// What follows are the rows that an Append writes.

// addSounds gives voice messages their rows in IMAudio, whose ids become the messages' contents.
func (a *appending) addSounds(ctx context.Context) error {
	var voices []int // indices into Drafts
	var rows [][]any
	a.messages(func(i int, d *chat.Draft) {
		if d.Sound != nil {
			voices = append(voices, i)
			rows = append(rows, []any{
				d.From, d.Talk.Peer(d.From), d.Sound.Path, d.Sound.Size, d.Sound.Duration, d.Time,
			})
		}
	})
	ids, err := a.InsertIDs(ctx,
		"INSERT INTO IMAudio (fromId,toId,path,size,duration,created) VALUES (?,?,?,?,?,?)", rows)
	if err != nil {
		return err
	}
	a.sounds = make(map[int]uint32, len(voices))
	for n, i := range voices {
		id, err := sqldb.NewID("IMAudio", ids[n], nil)
		if err != nil {
			return err
		}
		a.sounds[i] = id
	}
	return nil
}

// addMessages writes the messages, a few statements for each shard. The content of a voice message
// is the id of its sound.
func (a *appending) addMessages(ctx context.Context) error {
	values := make(map[tables.Shard][]any)
	a.messages(func(i int, d *chat.Draft) {
		st, owner := a.stored[i], a.talks[d.Talk].Owner(d.Talk)
		content := d.Content
		if sound := a.sounds[i]; sound != 0 {
			content = strconv.FormatUint(uint64(sound), 10)
		}
		shard := owner.Shard()
		row := append(values[shard], owner.ID, d.From)
		if owner.Kind == chat.Pair {
			row = append(row, d.Talk.Peer(d.From))
		}
		values[shard] = append(row, st.ID, content, uint32(d.Type), 0, st.Created, st.Created)
	})
	for _, shard := range slices.SortedFunc(maps.Keys(values), tables.CompareShards) {
		columns := "relateId,fromId,toId,msgId,content,type,status,updated,created"
		if shard.Kind == chat.Group {
			columns = "groupId,userId,msgId,content,type,status,updated,created"
		}
		err := sqldb.Insert(ctx, a.Session, shard.Table(), columns, values[shard], "")
		if err != nil {
			return err
		}
	}
	return nil
}

// makeSessions makes the sessions of those who send in groups and have none.
func (a *appending) makeSessions(ctx context.Context) error {
	_, err := talk.MakeSessions(ctx, a.Session, a.senders(), a.sessions, a.Now)
	return err
}

// senders are the keys of the sessions of those who send in groups.
func (a *appending) senders() (keys []talk.SessionKey) {
	a.messages(func(_ int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group {
			keys = append(keys, talk.SessionKey{User: d.From, Peer: d.Talk.A, Kind: chat.Group})
		}
	})
	return keys
}

// touchSessions brings the sessions of the talks to the top of their users' lists: those of both
// users of a pair, and of the sender in a group. It also brings removed relations back to life.
func (a *appending) touchSessions(ctx context.Context) error {
	var ids []uint32
	for _, key := range a.senders() {
		if id := a.sessions[key]; id != 0 { // 0: it was made just now
			ids = append(ids, id)
		}
	}
	relations := make(map[uint32]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if t := a.talks[d.Talk]; d.Talk.Kind == chat.Pair && !relations[t.Relation] {
			ids = append(ids, t.SessionA, t.SessionB)
			relations[t.Relation] = true
		}
	})
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if err := talk.ReviveSessions(ctx, a.Session, ids, a.Now); err != nil {
		return err
	}
	return talk.ReviveRelations(ctx, a.Session, slices.Sorted(maps.Keys(relations)), a.Now)
}

// saveTalks saves the talks whose counts moved. Each gets its next revision.
func (a *appending) saveTalks(ctx context.Context) error {
	var talks []chat.Talk
	for talk, t := range a.talks {
		if t.Dirty {
			t.Rev++
			talks = append(talks, talk)
		}
	}
	slices.SortFunc(talks, talk.Compare)
	return a.Save(ctx, talks, a.talks)
}

func (a *appending) saveLevels(ctx context.Context) error {
	var rows []any
	for m, level := range a.levels {
		rows = append(rows, m.User, m.Group, level)
	}
	return talk.SaveLevels(ctx, a.Session, rows)
}

// touchGroups notes when there was last talk in the groups; the group sync goes by it.
func (a *appending) touchGroups(ctx context.Context) error {
	groups := make(map[uint32]bool)
	a.messages(func(_ int, d *chat.Draft) {
		if d.Talk.Kind == chat.Group {
			groups[d.Talk.A] = true
		}
	})
	return sqldb.ExecIn(ctx, a.Session, "UPDATE IMGroup SET lastChated=? WHERE id IN (%s)",
		slices.Sorted(maps.Keys(groups)), a.Now)
}

// record writes the commit record: by it Outcome finds out whether this transaction was committed.
func (a *appending) record(ctx context.Context) error {
	a.moved = a.changes()
	return a.Record(ctx, chat.Commit{ID: a.ID, Changes: a.moved}, a.Now)
}

// countBatch tells other proxies that this one has stored messages.
func (a *appending) countBatch(ctx context.Context) error {
	if len(a.reserved) == 0 {
		return nil
	}
	return a.member.CountBatch(ctx, a.Session)
}
