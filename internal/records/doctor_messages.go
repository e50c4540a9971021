package records

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
)

// messages finds what is wrong with the messages of one table: in their ids, in where they are, in what they refer to.
func (c *Examination) messages(kind chat.TalkKind, shard uint32) func(context.Context, Cursor) (Look, error) {
	table := pairTable(shard)
	if kind == chat.Group {
		table = groupTable(shard)
	}
	query := c.messageFaults(kind, table, shard)
	return func(ctx context.Context, after Cursor) (Look, error) {
		look, err := c.chunk(ctx, table, after, lookRows)
		if err != nil || look.Rows == 0 {
			return look, err
		}
		err = c.query(ctx, table, query, []any{after.a, look.Next.a}, func(scan scanner) error {
			f, err := scanMessage(scan, kind, table)
			look.Faults = append(look.Faults, f)
			return err
		})
		if err != nil {
			return look, err
		}
		types := c.s.messageTypes
		others, err := c.otherTypes(ctx, finding.OtherMessageType, table, types, after, look.Next)
		if err != nil {
			return look, err
		}
		missing, err := c.listen(ctx, table, after, look.Next)
		look.Faults = slices.Concat(look.Faults, others, missing)
		return look, err
	}
}

// messageFaults is the query for messages that are lost, or have an id that is impossible or that an earlier row has.
func (c *Examination) messageFaults(kind chat.TalkKind, table string, shard uint32) string {
	key, owner, parts, fits := "groupId", "IMGroup", "COALESCE(o.id,0),0", "1=1"
	if kind == chat.Pair {
		key, owner, parts = "relateId", "IMRelationShip", "COALESCE(o.smallId,0),COALESCE(o.bigId,0)"
		fits = "(m.fromId=o.smallId AND m.toId=o.bigId OR m.fromId=o.bigId AND m.toId=o.smallId)"
	}
	lost := fmt.Sprintf("(o.id IS NULL OR m.%s%%%d<>%d OR NOT %s)", key, shards, shard, fits)
	impossible := fmt.Sprintf("m.msgId>%d", chat.MaxMsgID)
	duplicate := "(m.status=0 AND " + c.earlier(kind, table) + ")"
	return fmt.Sprintf("SELECT m.id,m.%s,m.msgId,%s,CASE WHEN %s THEN 1 ELSE 0 END,CASE WHEN o.id IS NULL THEN 1 ELSE 0 END FROM %s m LEFT JOIN %s o ON o.id=m.%s"+
		" WHERE m.id>? AND m.id<=? AND (%s OR %s OR %s) ORDER BY m.id", key, parts, lost, table, owner, key, lost, impossible, duplicate)
}

// earlier is the condition that the talk of a message m has an earlier row with its id.
func (c *Examination) earlier(kind chat.TalkKind, table string) string {
	key, index := "groupId", "groupId,msgId,status,created"
	if kind == chat.Pair {
		key, index = "relateId", "relateId,status,msgId,created"
	}
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s d%s WHERE d.%s=m.%s AND d.status=0 AND d.msgId=m.msgId AND d.id<m.id)",
		table, c.by(table, index), key, key)
}

func scanMessage(scan scanner, kind chat.TalkKind, table string) (Fault, error) {
	f := Fault{Kind: finding.DuplicateID, Table: table, Talk: chat.Talk{Kind: kind}}
	var owner, id uint32
	var lost, none bool
	err := scan(&f.Row, &owner, &id, &f.Talk.A, &f.Talk.B, &lost, &none)
	under := "relation"
	if kind == chat.Group {
		under = "group"
	}
	switch {
	case none:
		f.Kind, f.Talk = finding.LostMessage, chat.Talk{}
		f.Text = fmt.Sprintf("%s row %d is of %s %d, which does not exist", table, f.Row, under, owner)
	case lost:
		f.Kind = finding.LostMessage
		f.Text = fmt.Sprintf("%s row %d is of %s %d, but in the wrong table, or between other users", table, f.Row, under, owner)
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
	ctx context.Context, kind finding.Kind, table string, types *passing, after, upTo Cursor,
) (others []Fault, err error) {
	query := "SELECT id,type FROM " + table + " WHERE id>? AND id<=? AND status=0" +
		" AND COALESCE(type,0) NOT IN " + types.in() + " ORDER BY id"
	err = c.query(ctx, table, query, []any{after.a, upTo.a}, func(scan scanner) error {
		var row, typ int64
		err := scan(&row, &typ)
		text := fmt.Sprintf("%s row %d has type %d", table, row, typ)
		others = append(others, Fault{Kind: kind, Table: table, Row: row, Text: text})
		return err
	})
	return others, err
}

// listen notes which sounds voice messages refer to, and finds those whose sound is not there.
func (c *Examination) listen(ctx context.Context, table string, after, upTo Cursor) (missing []Fault, err error) {
	rows := make(map[uint32]int64) // by sound
	voiceless := func(row int64, what string) {
		missing = append(missing, Fault{Kind: finding.MissingSound, Table: table, Row: row, Text: fmt.Sprintf("%s row %d is a voice message %s", table, row, what)})
	}
	query := fmt.Sprintf("SELECT id,COALESCE(content,'') FROM %s WHERE id>? AND id<=? AND type IN (%d,%d)", table, chat.PairVoice, chat.GroupVoice)
	err = c.query(ctx, table, query, []any{after.a, upTo.a}, func(scan scanner) error {
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
	err = chunked(sortedKeys(rows), func(ids []uint32) error {
		return c.query(ctx, "IMAudio", "SELECT id FROM IMAudio WHERE id IN ("+marks(len(ids))+")", args(ids), func(scan scanner) error {
			var id uint32
			err := scan(&id)
			delete(rows, id)
			return err
		})
	})
	for _, id := range sortedKeys(rows) {
		voiceless(rows[id], fmt.Sprintf("whose sound, IMAudio row %d, is not there", id))
	}
	return missing, err
}

// orphans finds sounds that no message refers to; all messages have been looked at before.
func (c *Examination) orphans(ctx context.Context, after Cursor) (Look, error) {
	look, err := c.chunk(ctx, "IMAudio", after, lookRows)
	if err != nil {
		return look, err
	}
	err = c.query(ctx, "IMAudio", "SELECT id FROM IMAudio WHERE id>? AND id<=? AND id<=? AND created<?",
		[]any{after.a, look.Next.a, c.sounds, max(c.began, soundGrace) - soundGrace}, func(scan scanner) error {
			var id uint32
			err := scan(&id)
			if !c.heard.has(id) {
				look.Faults = append(look.Faults, Fault{Kind: finding.OrphanSound, Table: "IMAudio", Row: int64(id),
					Text: fmt.Sprintf("IMAudio row %d", id)})
			}
			return err
		})
	return look, err
}

// renumber gives messages with ids that are impossible, or that an earlier row has, new ones at the end of their talks.
func (c *Examination) renumber(ctx context.Context, faults []Fault, seq chat.Sequencer) (mended int, left []string, err error) {
	byTalk := make(map[chat.Talk][]Fault)
	for _, f := range faults {
		byTalk[f.Talk] = append(byTalk[f.Talk], f)
	}
	for _, talk := range slices.SortedFunc(slices.Values(keysOf(byTalk)), compareTalks) {
		for some := range slices.Chunk(byTalk[talk], moveRows) {
			var gone, moved int
			var why string
			err := c.holding(ctx, talk, func(tx *sql.Tx, h held) (err error) {
				rows, others, err := c.stillFaulty(ctx, tx, h, some)
				if err != nil {
					return err
				}
				if gone = len(some) - len(rows) - others; len(rows) == 0 {
					why, moved = "its relation is not the one in use", 0
					return nil
				}
				moved, why, err = c.move(ctx, tx, h, seq, rows)
				return err
			})
			if err != nil {
				return mended, left, fmt.Errorf("%s: %w", talk, err)
			}
			mended += gone + moved
			for range len(some) - gone - moved {
				left = append(left, fmt.Sprintf("%s: %s", some[0].Text, why))
			}
		}
	}
	return mended, left, nil
}

// stillFaulty reads those messages of the talk held that are as wrong as they were found, in order of their times. others
// is how many of them are not stored under the talk's relation.
func (c *Examination) stillFaulty(ctx context.Context, tx *sql.Tx, h held, faults []Fault) (rows []moving, others int, err error) {
	table, key := faults[0].Table, "relateId"
	if h.talk.Kind == chat.Group {
		key = "groupId"
	}
	params := []any{chat.MaxMsgID}
	for _, f := range faults {
		params = append(params, f.Row)
	}
	query := fmt.Sprintf("SELECT m.id,m.%s,m.msgId,m.created FROM %s m WHERE (m.msgId>? OR m.status=0 AND %s) AND m.id IN (%s)",
		key, table, c.earlier(h.talk.Kind, table), marks(len(faults)))
	err = each(ctx, tx, query, params, func(scan scanner) error {
		m, err := scanMoving(scan, table)
		if m.owner == h.owner() {
			rows = append(rows, m)
		} else {
			others++
		}
		return err
	})
	slices.SortFunc(rows, func(x, y moving) int { return cmp.Or(cmp.Compare(x.created, y.created), cmp.Compare(x.row, y.row)) })
	return rows, others, err
}

// idSet is a set of numbers that takes memory for where there are some: a bit each.
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
