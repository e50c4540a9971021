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

const journalColumns = "kind,a,b,oldTable,oldRow,oldOwner,oldId,oldCreated," +
	"newTable,newRow,newOwner,newId,newCreated,at"

// move appends messages to the talk held, in the order given. Each gets the next id, and a time
// that is not before that of the message with the largest id, so that paging by id and sorting by
// time agree. Nothing else in its row changes, and nobody's unread count does. In one transaction
// the journal says what each row was and is, the row is copied, and the old one is deleted.
//
// A message of a group stays where it is if a member who has joined since it was written would see
// it by this. moved is how many were appended, and why says what became of the others.
func (c *Examination) move(
	ctx context.Context, h held, seq chat.Sequencer, rows []moving,
) (moved int, why string, err error) {
	last, err := c.lastTime(ctx, h)
	if err != nil {
		return 0, "", err
	}
	var joins []uint32 // when those who are in the group have joined it
	if h.Talk.Kind == chat.Group {
		joins, err = column[uint32](ctx, h.tx, "SELECT DISTINCT updated FROM IMGroupMember"+
			" WHERE groupId=? AND status=0", h.Talk.A)
		if err != nil {
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
	locked := map[chat.Talk]*talk.Row{h.Talk: h.Row}
	if _, err := h.tx.Number(ctx, seq, []chat.Reserve{want}, locked); err != nil {
		return 0, "", err
	}
	first := h.LastID + 1
	if err := c.copyRows(ctx, h, rows, times, first, now); err != nil {
		return 0, "", err
	}
	h.LastID = first + uint32(len(rows)) - 1
	h.LastCreated, h.Dirty = max(h.LastCreated, last), true
	return len(rows), why, nil
}

// lastTime is when the message with the talk's largest id was created. Of several with that id, the
// first row counts.
func (c *Examination) lastTime(ctx context.Context, h held) (at uint32, err error) {
	shard := h.Owner().Shard()
	table := shard.Table()
	from := table + c.by(table, "relateId,status,msgId,created") +
		c.by(table, "groupId,msgId,status,created") +
		" WHERE " + shard.OwnerColumn() + "=? AND status=0 AND msgId"
	last, err := column[uint32](ctx, h.tx,
		"SELECT COALESCE(MAX(msgId),0) FROM "+from+"<=?", h.Owner().ID, chat.MaxMsgID)
	if err != nil {
		return 0, err
	}
	times, err := column[uint32](ctx, h.tx,
		"SELECT created FROM "+from+"=? ORDER BY id LIMIT 1", h.Owner().ID, last[0])
	if err != nil || len(times) == 0 {
		return 0, err
	}
	return times[0], nil
}

// copyRows writes the journal and the new rows, and deletes the old ones. The new rows have the ids
// from first on.
func (c *Examination) copyRows(
	ctx context.Context, h held, rows []moving, times []uint32, first, now uint32,
) error {
	shard := h.Owner().Shard()
	target, key := shard.Table(), shard.OwnerColumn()
	bySource := make(map[string][]uint32)
	var journal []any
	for i, m := range rows {
		bySource[m.table] = append(bySource[m.table], uint32(m.row))
		journal = append(journal, uint32(h.Talk.Kind), h.Talk.A, h.Talk.B,
			m.table, m.row, m.owner, m.id, m.created,
			target, 0, h.Owner().ID, first+uint32(i), times[i], now)
	}
	err := sqldb.Insert(ctx, h.tx.Session, "IMProxyJournal", journalColumns, journal, "")
	if err != nil {
		return err
	}
	sources := slices.Sorted(maps.Keys(bySource))
	columns, err := c.copied(target, key, sources)
	if err != nil {
		return err
	}
	var selects []string
	var params []any
	for _, source := range sources {
		selects = append(selects, "SELECT j.newOwner,j.newId,j.newCreated,m."+
			strings.Join(columns, ",m.")+" FROM IMProxyJournal j JOIN "+source+
			" m ON m.id=j.oldRow WHERE j.kind=? AND j.a=? AND j.b=?"+
			" AND j.newId>=? AND j.newId<=? AND j.oldTable=?")
		params = append(params, uint32(h.Talk.Kind), h.Talk.A, h.Talk.B,
			first, first+uint32(len(rows))-1, source)
	}
	names := strings.Join(columns, ",")
	query := fmt.Sprintf("INSERT INTO %s (%s,msgId,created,%s)"+
		" SELECT newOwner,newId,newCreated,%[3]s FROM (%s) x ORDER BY newId",
		target, key, names, strings.Join(selects, " UNION ALL "))
	copied, err := sqldb.Exec(ctx, h.tx, query, params...)
	if err != nil {
		return err
	}
	deleted := int64(0)
	for _, source := range sources {
		ids := bySource[source]
		query := sqldb.WithParams("DELETE FROM "+source+" WHERE id IN (%s)", len(ids))
		n, err := sqldb.Exec(ctx, h.tx, query, sqldb.Args(ids)...)
		if err != nil {
			return err
		}
		deleted += n
	}
	if want := int64(len(rows)); copied != want || deleted != want {
		return fmt.Errorf("%d messages were to be moved, %d were copied and %d deleted; nothing "+
			"of it is kept", want, copied, deleted)
	}
	return nil
}

// copied returns the columns of messages that a move takes over as they are. Those that forks have
// added are among them.
func (c *Examination) copied(target, key string, sources []string) ([]string, error) {
	all := c.seen.Tables[target].Names()
	for _, source := range sources {
		for column := range c.seen.Tables[source].Names() {
			if !all[column] {
				return nil, chat.Errorf(chat.Invalid,
					"%s has a column %s that %s has not: it would be lost", source, column, target)
			}
		}
	}
	own := []string{"id", strings.ToLower(key), "msgid", "created"}
	names := slices.Sorted(maps.Keys(c.seen.Tables[sources[0]].Names()))
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains(own, strings.ToLower(name))
	}), nil
}
