package repair

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// moving is a message that is to be appended to its talk anew.
type moving struct {
	table   string
	row     int64
	owner   uint32 // the relation or group it is stored under
	id      uint32
	created uint32
}

func scanMoving(scan sqldb.Scanner, table string) (m moving, err error) {
	m.table = table
	err = scan(&m.row, &m.owner, &m.id, &m.created)
	return m, err
}

const journalColumns = "kind,a,b,oldTable,oldRow,oldOwner,oldId,oldCreated,newTable,newRow,newOwner,newId,newCreated,at"

// move appends messages to the talk held, in the order given: each gets the next id, and a time that is not before that of
// the message with the largest id, so that paging by id and sorting by time agree. Nothing else in its row changes, and
// nobody's unread count does. In one transaction the journal gets what it was and is, the row is copied and the old one
// deleted.
//
// In a group those messages are left that a member would see by this who has joined since they were written.
func (c *Examination) move(ctx context.Context, tx talk.Work, h talk.Held, seq chat.Sequencer, rows []moving) (moved int, why string, err error) {
	last, err := c.lastTime(ctx, tx, h)
	if err != nil {
		return 0, "", err
	}
	var joins []uint32
	if h.Talk.Kind == chat.Group {
		if joins, err = c.joins(ctx, tx, h.Talk.A); err != nil {
			return 0, "", err
		}
	}
	now := c.records.Unix()
	times := make([]uint32, 0, len(rows))
	rows = slices.DeleteFunc(slices.Clone(rows), func(m moving) bool {
		at := chat.BoundCreated(m.created, now, last, 0)
		if slices.ContainsFunc(joins, func(j uint32) bool { return m.created < j && j <= at }) {
			why = "somebody has joined since it was written, who would see it"
			return true
		}
		last = at
		times = append(times, at)
		return false
	})
	if len(rows) == 0 {
		return 0, why, nil
	}
	if uint64(h.LastID)+uint64(len(rows)) > chat.MaxMsgID {
		return 0, "the talk has used up its message ids", nil
	}
	want := chat.Reserve{Talk: h.Talk, Relation: h.Relation, Count: uint32(len(rows)),
		Floor: h.LastID, Checked: h.Checked}
	held := map[chat.Talk]*talk.Row{h.Talk: h.Row}
	if _, err := tx.Number(ctx, seq, []chat.Reserve{want}, held); err != nil {
		return 0, "", err
	}
	first := h.LastID + 1
	if err := c.copyRows(ctx, tx, h, rows, times, first, now); err != nil {
		return 0, "", err
	}
	h.LastID, h.LastCreated, h.Dirty = first+uint32(len(rows))-1, max(h.LastCreated, last), true
	return len(rows), why, nil
}

// lastTime is when the message with the talk's largest id was created; of several with that id, the first.
func (c *Examination) lastTime(ctx context.Context, tx talk.Work, h talk.Held) (at uint32, err error) {
	shard := h.Owner().Shard()
	table, key := shard.Table(), shard.OwnerColumn()
	from := table + c.by(table, "relateId,status,msgId,created") + c.by(table, "groupId,msgId,status,created")
	var last uint32
	err = sqldb.Each(ctx, tx, "SELECT COALESCE(MAX(msgId),0) FROM "+from+" WHERE "+key+"=? AND status=0 AND msgId<=?",
		[]any{h.Owner().ID, chat.MaxMsgID}, func(scan sqldb.Scanner) error { return scan(&last) })
	if err != nil {
		return 0, err
	}
	err = sqldb.Each(ctx, tx, "SELECT created FROM "+from+" WHERE "+key+"=? AND status=0 AND msgId=? ORDER BY id LIMIT 1",
		[]any{h.Owner().ID, last}, func(scan sqldb.Scanner) error { return scan(&at) })
	return at, err
}

// joins returns when those who are in a group have joined it.
func (c *Examination) joins(ctx context.Context, tx talk.Work, group uint32) (at []uint32, err error) {
	err = sqldb.Each(ctx, tx, "SELECT DISTINCT updated FROM IMGroupMember WHERE groupId=? AND status=0", []any{group}, func(scan sqldb.Scanner) error {
		var t uint32
		err := scan(&t)
		at = append(at, t)
		return err
	})
	return at, err
}

// copyRows writes the journal, the new rows and deletes the old ones.
func (c *Examination) copyRows(ctx context.Context, tx talk.Work, h talk.Held, rows []moving, times []uint32, first, now uint32) error {
	shard := h.Owner().Shard()
	target, key := shard.Table(), shard.OwnerColumn()
	sources := make(map[string][]uint32)
	var journal []any
	for i, m := range rows {
		sources[m.table] = append(sources[m.table], uint32(m.row))
		journal = append(journal, uint32(h.Talk.Kind), h.Talk.A, h.Talk.B, m.table, m.row, m.owner, m.id, m.created,
			target, 0, h.Owner().ID, first+uint32(i), times[i], now)
	}
	if err := sqldb.Insert(ctx, tx.Session, "IMProxyJournal", journalColumns, journal, ""); err != nil {
		return err
	}
	columns, err := c.copied(target, key, slices.Sorted(maps.Keys(sources)))
	if err != nil {
		return err
	}
	var selects []string
	var params []any
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		selects = append(selects, "SELECT j.newOwner,j.newId,j.newCreated,m."+strings.Join(columns, ",m.")+" FROM IMProxyJournal j JOIN "+source+
			" m ON m.id=j.oldRow WHERE j.kind=? AND j.a=? AND j.b=? AND j.newId>=? AND j.newId<=? AND j.oldTable=?")
		params = append(params, uint32(h.Talk.Kind), h.Talk.A, h.Talk.B, first, first+uint32(len(rows))-1, source)
	}
	names := strings.Join(columns, ",")
	copied, err := sqldb.Exec(ctx, tx, fmt.Sprintf("INSERT INTO %s (%s,msgId,created,%s) SELECT newOwner,newId,newCreated,%s FROM (%s) x ORDER BY newId",
		target, key, names, names, strings.Join(selects, " UNION ALL ")), params...)
	if err != nil {
		return err
	}
	deleted := int64(0)
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		n, err := sqldb.Exec(ctx, tx, "DELETE FROM "+source+" WHERE id IN ("+sqldb.Params(len(sources[source]))+")", sqldb.Args(sources[source])...)
		if err != nil {
			return err
		}
		deleted += n
	}
	if want := int64(len(rows)); copied != want || deleted != want {
		return fmt.Errorf("%d messages were to be moved, %d were copied and %d deleted; nothing of it is kept", want, copied, deleted)
	}
	return nil
}

// copied returns the columns of the messages that a move takes over as they are, those that forks have added included.
func (c *Examination) copied(target, key string, sources []string) ([]string, error) {
	all := c.seen.Tables[target].Names()
	for _, source := range sources {
		for column := range c.seen.Tables[source].Names() {
			if !all[column] {
				return nil, chat.Errorf(chat.Invalid, "%s has a column %s that %s has not: it would be lost", source, column, target)
			}
		}
	}
	own := []string{"id", strings.ToLower(key), "msgid", "created"}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.seen.Tables[sources[0]].Names())), func(name string) bool {
		return slices.Contains(own, strings.ToLower(name))
	}), nil
}
