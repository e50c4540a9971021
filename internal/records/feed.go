package records

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Feed tells which messages are added to a store that others write. It only reads: the ids of rows rise, so a look asks
// each table for what is above the last id seen, which costs one step in its primary key. A Feed is for one goroutine.
type Feed struct {
	db   *sql.DB
	d    dialect
	seen [2 * shards]int64 // the last id of each table, see feedTable
}

// Added is a message in the store.
type Added struct {
	chat.Message // Data of a voice message is empty
	Talk         chat.Talk
	Size         int    // bytes of the text, or of the sound
	To           uint32 // the other user, or the group
	Group        bool   // To is a group
	FromName     string // the sender's login name; empty when there is no such user
	ToName       string // the same of the other user, or the group's name
}

// feedBatch is how many messages of one table are read at once.
const feedBatch = 500

// OpenFeed opens the embedded store in a file for reading alone. The feed begins before the first message.
func OpenFeed(path string) (*Feed, error) {
	db, err := openSQLiteMode(path, "ro", "deferred", 1, "query_only(true)")
	if err != nil {
		return nil, err
	}
	return &Feed{db: db, d: sqliteDialect{}}, nil
}

// OpenMySQLFeed opens the records in a MySQL for reading alone. The feed begins before the first message.
func OpenMySQLFeed(ctx context.Context, m MySQL) (*Feed, error) {
	m.MaxConns = 1
	db, err := openMySQL(m, nil)
	if err != nil {
		return nil, err
	}
	f := &Feed{db: db, d: mysqlDialect{}}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(f.d.explain(err), db.Close())
	}
	return f, nil
}

// Close closes the store.
func (f *Feed) Close() error { return f.db.Close() }

// feedTable is the table of a place in Feed.seen: those of pairs, then those of groups.
func feedTable(place int) string {
	if place < shards {
		return pairTable(uint32(place))
	}
	return groupTable(uint32(place - shards))
}

// Skip moves the feed behind all messages there are, and returns the last of them, at most max, oldest first. With since
// (Unix seconds) above 0 it returns all that were created since, without a bound; that reads the tables once.
func (f *Feed) Skip(ctx context.Context, max int, since uint32) ([]Added, error) {
	var tops []string
	for place := range f.seen {
		tops = append(tops, fmt.Sprintf("SELECT %d AS place,COALESCE(MAX(id),0) FROM %s", place, feedTable(place)))
	}
	err := each(ctx, f.db, strings.Join(tops, " UNION ALL "), nil, func(scan scanner) error {
		var place int
		var id int64
		err := scan(&place, &id)
		f.seen[place] = id
		return err
	})
	if err != nil {
		return nil, f.failed(err)
	}
	last, err := f.read(ctx, func(place int) (string, []any) {
		if since > 0 {
			return "m.id<=? AND m.created>=? ORDER BY m.id", []any{f.seen[place], since}
		}
		return "m.id<=? ORDER BY m.id DESC LIMIT ?", []any{f.seen[place], max}
	}, nil)
	if since == 0 && len(last) > max {
		last = last[len(last)-max:]
	}
	return last, err
}

// Next returns messages that were added since the feed was last asked, in order of their times; those of a talk in order
// of their ids. There are none when nothing was added, and more may be left when there are many.
func (f *Feed) Next(ctx context.Context) ([]Added, error) {
	seen := f.seen
	added, err := f.read(ctx, func(place int) (string, []any) {
		return "m.id>? ORDER BY m.id LIMIT ?", []any{f.seen[place], feedBatch}
	}, &seen)
	if err == nil {
		f.seen = seen
	}
	return added, err
}

// read collects messages of all tables, each under its own condition, and notes in seen the last ids.
func (f *Feed) read(ctx context.Context, condition func(place int) (string, []any), seen *[2 * shards]int64) (found []Added, err error) {
	var selects []string
	var params []any
	for place := range f.seen {
		talk := "m.groupId AS one,0 AS other,m.userId AS sender"
		if place < shards {
			talk = "m.fromId AS one,m.toId AS other,m.fromId AS sender"
		}
		where, args := condition(place)
		selects = append(selects, fmt.Sprintf(`SELECT * FROM (SELECT %d AS place,m.id AS id,%s,m.msgId,m.type,m.created,COALESCE(m.content,'') AS content,COALESCE(s.size,0) AS size
 FROM %s m LEFT JOIN IMAudio s ON m.type IN (2,18) AND s.id=CAST(m.content AS UNSIGNED) WHERE m.status=0 AND %s) x`,
			place, talk, feedTable(place), where))
		params = append(params, args...)
	}
	err = each(ctx, f.db, strings.Join(selects, " UNION ALL "), params, func(scan scanner) error {
		var a Added
		var place int
		var id int64
		var one, other uint32
		if err := scan(&place, &id, &one, &other, &a.From, &a.ID, &a.Type, &a.Created, &a.Data, &a.Size); err != nil {
			return err
		}
		a.Talk, a.To, a.Group = chat.GroupTalk(one), one, place >= shards
		if place < shards {
			a.Talk, a.To = chat.PairTalk(one, other), other
		}
		if a.Type.Voice() {
			a.Data = ""
		} else {
			a.Size = len(a.Data)
		}
		if seen != nil {
			seen[place] = max(seen[place], id)
		}
		found = append(found, a)
		return nil
	})
	if err == nil {
		err = f.name(ctx, found)
	}
	slices.SortFunc(found, func(a, b Added) int { // within a talk, times rise with ids
		return cmp.Or(cmp.Compare(a.Created, b.Created), compareTalks(a.Talk, b.Talk), cmp.Compare(a.ID, b.ID))
	})
	return found, f.failed(err)
}

// name fills in names.
func (f *Feed) name(ctx context.Context, found []Added) error {
	users, groups := make(map[uint32]string), make(map[uint32]string)
	for _, a := range found {
		users[a.From] = ""
		if a.Group {
			groups[a.To] = ""
		} else {
			users[a.To] = ""
		}
	}
	for table, names := range map[string]map[uint32]string{"IMUser": users, "IMGroup": groups} {
		err := chunked(sortedKeys(names), func(ids []uint32) error {
			query := "SELECT id,name FROM " + table + " WHERE id IN (" + marks(len(ids)) + ")"
			return each(ctx, f.db, query, args(ids), func(scan scanner) error {
				var id uint32
				var name string
				err := scan(&id, &name)
				names[id] = name
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	for i := range found {
		a := &found[i]
		a.FromName, a.ToName = users[a.From], users[a.To]
		if a.Group {
			a.ToName = groups[a.To]
		}
	}
	return nil
}

func (f *Feed) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading messages: %w", f.d.explain(err))
}
