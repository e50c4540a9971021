package repair

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// messages returns what finds what is wrong with the messages of one shard: with their ids, where
// they are stored, and what they refer to.
func (c *Examination) messages(
	shard tables.Shard,
) func(ctx context.Context, after, upTo int64) ([]Fault, error) {
	table, query := shard.Table(), c.messageFaults(shard)
	return func(ctx context.Context, after, upTo int64) (faults []Fault, err error) {
		args := []any{after, upTo}
		err = c.query(ctx, table, query, args, func(scan sqldb.Scanner) error {
			f, err := scanMessage(scan, shard)
			faults = append(faults, f)
			return err
		})
		if err != nil {
			return nil, err
		}
		told, _ := c.records.TypesTold()
		others, err := c.otherTypes(ctx, finding.OtherMessageType, table, told, after, upTo)
		if err != nil {
			return nil, err
		}
		missing, err := c.listen(ctx, table, after, upTo)
		return slices.Concat(faults, others, missing), err
	}
}

// messageFaults is the query for messages that are lost, and for those whose id is impossible or is
// that of an earlier row.
func (c *Examination) messageFaults(shard tables.Shard) string {
	key, parts, fits := shard.OwnerColumn(), "COALESCE(o.id,0),0", "1=1"
	if shard.Kind == chat.Pair {
		parts = "COALESCE(o.smallId,0),COALESCE(o.bigId,0)"
		fits = "(m.fromId=o.smallId AND m.toId=o.bigId OR m.fromId=o.bigId AND m.toId=o.smallId)"
	}
	lost := fmt.Sprintf("(o.id IS NULL OR m.%s%%%d<>%d OR NOT %s)", key, tables.Shards,
		shard.Number, fits)
	impossible := fmt.Sprintf("m.msgId>%d", chat.MaxMsgID)
	duplicate := "(m.status=0 AND " + c.earlier(shard.Kind, shard.Table()) + ")"
	return fmt.Sprintf("SELECT m.id,m.%s,m.msgId,%s,CASE WHEN %s THEN 1 ELSE 0 END,"+
		"CASE WHEN o.id IS NULL THEN 1 ELSE 0 END FROM %s m LEFT JOIN %s o ON o.id=m.%s"+
		" WHERE m.id>? AND m.id<=? AND (%s OR %s OR %s) ORDER BY m.id", key, parts, lost,
		shard.Table(), shard.OwnerTable(), key, lost, impossible, duplicate)
}

// earlier is the condition that a message m, in a shard's table, has an id that an earlier row of
// its talk has.
func (c *Examination) earlier(kind chat.TalkKind, table string) string {
	index := "groupId,msgId,status,created"
	if kind == chat.Pair {
		index = "relateId,status,msgId,created"
	}
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s d%s WHERE d.%s=m.%[3]s AND d.status=0"+
		" AND d.msgId=m.msgId AND d.id<m.id)",
		table, c.by(table, index), tables.Shard{Kind: kind}.OwnerColumn())
}

func scanMessage(scan sqldb.Scanner, shard tables.Shard) (Fault, error) {
	table := shard.Table()
	f := Fault{Kind: finding.DuplicateID, Table: table, Talk: chat.Talk{Kind: shard.Kind}}
	var owner, id uint32
	var lost, none bool
	err := scan(&f.Row, &owner, &id, &f.Talk.A, &f.Talk.B, &lost, &none)
	of := "relation"
	if shard.Kind == chat.Group {
		of = "group"
	}
	of = fmt.Sprintf("%s row %d is of %s %d, ", table, f.Row, of, owner)
	switch {
	case none:
		f.Kind, f.Talk = finding.LostMessage, chat.Talk{}
		f.Text = of + "which does not exist"
	case lost:
		f.Kind = finding.LostMessage
		f.Text = of + "but in the wrong table, or between other users"
	default:
		if id > chat.MaxMsgID {
			f.Kind = finding.ImpossibleID
		}
		f.Text = fmt.Sprintf("%s row %d of %s has id %d", table, f.Row, f.Talk, id)
	}
	return f, err
}

// otherTypes finds rows of types that are not told to peers. All tables that have types call a row
// removed by status 1.
func (c *Examination) otherTypes(
	ctx context.Context, kind finding.Kind, table, told string, after, upTo int64,
) (others []Fault, err error) {
	query := "SELECT id,type FROM " + table + " WHERE id>? AND id<=? AND status=0" +
		" AND COALESCE(type,0) NOT IN " + told + " ORDER BY id"
	err = c.query(ctx, table, query, []any{after, upTo}, func(scan sqldb.Scanner) error {
		var row, typ int64
		err := scan(&row, &typ)
		text := fmt.Sprintf("%s row %d has type %d", table, row, typ)
		others = append(others, Fault{Kind: kind, Table: table, Row: row, Text: text})
		return err
	})
	return others, err
}

// listen notes which sounds voice messages refer to, and finds messages whose sound is not there.
func (c *Examination) listen(
	ctx context.Context, table string, after, upTo int64,
) (missing []Fault, err error) {
	rows := make(map[uint32]int64) // by sound
	voiceless := func(row int64, what string) {
		missing = append(missing, Fault{Kind: finding.MissingSound, Table: table, Row: row,
			Text: fmt.Sprintf("%s row %d is a voice message %s", table, row, what)})
	}
	query := fmt.Sprintf("SELECT id,COALESCE(content,'') FROM %s WHERE id>? AND id<=?"+
		" AND type IN (%d,%d)", table, chat.PairVoice, chat.GroupVoice)
	err = c.query(ctx, table, query, []any{after, upTo}, func(scan sqldb.Scanner) error {
		var row int64
		var content string
		err := scan(&row, &content)
		id, bad := strconv.ParseUint(content, 10, 31)
		if bad != nil || id == 0 {
			voiceless(row, "that names no sound")
			return err
		}
		c.heard.add(uint32(id))
		rows[uint32(id)] = row
		return err
	})
	if err != nil {
		return nil, err
	}
	sounds := slices.Sorted(maps.Keys(rows))
	there, err := c.among(ctx, "IMAudio", "SELECT id FROM IMAudio WHERE id IN (%s)", sounds)
	for _, id := range sounds {
		if !there[id] {
			voiceless(rows[id], fmt.Sprintf("whose sound, IMAudio row %d, is not there", id))
		}
	}
	return missing, err
}

// orphans finds sounds that no message refers to. All messages have been scanned before.
func (c *Examination) orphans(ctx context.Context, after, upTo int64) (faults []Fault, err error) {
	const query = "SELECT id FROM IMAudio WHERE id>? AND id<=? AND id<=? AND created<?"
	args := []any{after, upTo, c.sounds, max(c.began, soundGrace) - soundGrace}
	err = c.query(ctx, "IMAudio", query, args, func(scan sqldb.Scanner) error {
		var id uint32
		err := scan(&id)
		if !c.heard.has(id) {
			faults = append(faults, Fault{Kind: finding.OrphanSound, Table: "IMAudio",
				Row: int64(id), Text: fmt.Sprintf("IMAudio row %d", id)})
		}
		return err
	})
	return faults, err
}

// renumber appends messages whose ids are impossible, or are those of earlier rows, to their talks
// with new ids.
func (c *Examination) renumber(
	ctx context.Context, faults []Fault, seq chat.Sequencer,
) (mended int, left []string, err error) {
	byTalk := make(map[chat.Talk][]Fault)
	for _, f := range faults {
		byTalk[f.Talk] = append(byTalk[f.Talk], f)
	}
	for _, of := range slices.SortedFunc(maps.Keys(byTalk), talk.Compare) {
		for some := range slices.Chunk(byTalk[of], moveRows) {
			var gone, moved int
			var why string
			err := c.holding(ctx, of, func(h held) (err error) {
				rows, others, err := c.stillFaulty(ctx, h, some)
				if err != nil {
					return err
				}
				if gone = len(some) - len(rows) - others; len(rows) == 0 {
					why, moved = "its relation is not the one in use", 0
					return nil
				}
				moved, why, err = c.move(ctx, h, seq, rows)
				return err
			})
			if err != nil {
				return mended, left, fmt.Errorf("%s: %w", of, err)
			}
			mended += gone + moved
			for range len(some) - gone - moved {
				left = append(left, fmt.Sprintf("%s: %s", some[0].Text, why))
			}
		}
	}
	return mended, left, nil
}

// stillFaulty reads those messages of the talk held that are as wrong as they were found, in order
// of their times. others is how many of them are not stored under the talk's relation.
func (c *Examination) stillFaulty(
	ctx context.Context, h held, faults []Fault,
) (rows []moving, others int, err error) {
	table := faults[0].Table
	params := []any{chat.MaxMsgID}
	for _, f := range faults {
		params = append(params, f.Row)
	}
	query := fmt.Sprintf("SELECT m.id,m.%s,m.msgId,m.created FROM %s m"+
		" WHERE (m.msgId>? OR m.status=0 AND %s) AND m.id IN (%s)",
		h.Owner().Shard().OwnerColumn(), table, c.earlier(h.Talk.Kind, table),
		sqldb.Params(len(faults)))
	err = sqldb.Each(ctx, h.tx, query, params, func(scan sqldb.Scanner) error {
		m, err := scanMoving(scan, table)
		if m.owner == h.Owner().ID {
			rows = append(rows, m)
		} else {
			others++
		}
		return err
	})
	slices.SortFunc(rows, func(x, y moving) int {
		return cmp.Or(cmp.Compare(x.created, y.created), cmp.Compare(x.row, y.row))
	})
	return rows, others, err
}

// idSet is a set of numbers: a bit each, in pages of 65536 that are made when they are needed.
type idSet map[uint32]*[1024]uint64

func (b *idSet) add(n uint32) {
	if *b == nil {
		*b = make(idSet)
	}
	page := (*b)[n>>16]
	if page == nil {
		page = new([1024]uint64)
		(*b)[n>>16] = page
	}
	page[n>>6&1023] |= 1 << (n & 63)
}

func (b *idSet) has(n uint32) bool {
	page := (*b)[n>>16]
	return page != nil && page[n>>6&1023]&(1<<(n&63)) != 0
}
