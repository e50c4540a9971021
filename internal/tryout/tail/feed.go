package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Feed tells which messages are added to a store that others write. It only reads. The ids of rows
// rise, so it asks each shard for the rows above the last id that it has seen, which costs one step
// in the primary key. A Feed is for one goroutine. The caller closes its pool.
type Feed struct {
	pool   *sqldb.Pool
	shards []tables.Shard
	seen   []int64 // by shard, the last id seen
}

// Added is a message in the store.
type Added struct {
	chat.Message // its Data is empty for a voice message
	Talk         chat.Talk
	Size         int    // bytes of the text, or of the sound
	To           uint32 // the other user, or the group
	Group        bool   // whether To is a group
	FromName     string // the sender's login name; empty when there is no such user
	ToName       string // the other user's login name, or the group's name
}

// feedBatch is how many messages of one shard are read at once.
const feedBatch = 500

// NewFeed returns a feed of a database, which begins before the first message.
func NewFeed(pool *sqldb.Pool) *Feed {
	shards := tables.AllShards()
	return &Feed{pool: pool, shards: shards, seen: make([]int64, len(shards))}
}

// Open opens a MySQL that is only read, with one connection, and connects to it. The caller closes
// the pool.
func Open(ctx context.Context, m sqldb.MySQL) (*sqldb.Pool, error) {
	m.MaxConns = 1
	pool, err := sqldb.OpenMySQLPool(m, tables.Options(nil))
	if err != nil {
		return nil, err
	}
	if err := pool.Connections().PingContext(ctx); err != nil {
		return nil, errors.Join(pool.Explain(err), pool.Close())
	}
	return pool, nil
}

// Skip moves the feed behind all messages there are, and returns the last of them, at most max, the
// oldest first. With since (Unix seconds) above 0 it returns all messages created since, however
// many; then it reads the tables once from end to end.
func (f *Feed) Skip(ctx context.Context, max int, since uint32) ([]Added, error) {
	var tops []string
	for i, shard := range f.shards {
		const top = "SELECT %d AS shard,COALESCE(MAX(id),0) FROM %s"
		tops = append(tops, fmt.Sprintf(top, i, shard.Table()))
	}
	query := strings.Join(tops, " UNION ALL ")
	err := sqldb.Each(ctx, f.pool, query, nil, func(scan sqldb.Scanner) error {
		var i int
		var id int64
		err := scan(&i, &id)
		f.seen[i] = id
		return err
	})
	if err != nil {
		return nil, f.failed(err)
	}
	last, err := f.read(ctx, func(i int) (string, []any) {
		if since > 0 {
			return "m.id<=? AND m.created>=? ORDER BY m.id", []any{f.seen[i], since}
		}
		return "m.id<=? ORDER BY m.id DESC LIMIT ?", []any{f.seen[i], max}
	}, nil)
	if since == 0 && len(last) > max {
		last = last[len(last)-max:]
	}
	return last, err
}

// Next returns messages that were added since the feed was last asked, in order of their times, and
// those of a talk in order of their ids. It returns none when none were added. When there are many,
// some are left for the next call.
func (f *Feed) Next(ctx context.Context) ([]Added, error) {
	seen := slices.Clone(f.seen)
	added, err := f.read(ctx, func(i int) (string, []any) {
		return "m.id>? ORDER BY m.id LIMIT ?", []any{f.seen[i], feedBatch}
	}, seen)
	if err == nil {
		f.seen = seen
	}
	return added, err
}

// read collects the messages of all shards that fulfil the condition of their shard. Where seen is
// not nil, it notes there the last id of each shard.
func (f *Feed) read(
	ctx context.Context, condition func(i int) (string, []any), seen []int64,
) (found []Added, err error) {
	var selects []string
	var params []any
	for i, shard := range f.shards {
		to := "m.groupId AS one,0 AS other"
		if shard.Kind == chat.Pair {
			to = "m.fromId AS one,m.toId AS other"
		}
		where, args := condition(i)
		selects = append(selects, fmt.Sprintf(`SELECT * FROM (SELECT %d AS shard,m.id AS id,%s,
  m.%s AS sender,m.msgId,m.type,m.created,COALESCE(m.content,'') AS content,COALESCE(s.size,0) AS size
 FROM %s m LEFT JOIN IMAudio s ON m.type IN (2,18) AND s.id=CAST(m.content AS UNSIGNED)
 WHERE m.status=0 AND %s) x`, i, to, shard.Sender(), shard.Table(), where))
		params = append(params, args...)
	}
	query := strings.Join(selects, " UNION ALL ")
	err = sqldb.Each(ctx, f.pool, query, params, func(scan sqldb.Scanner) error {
		var a Added
		var i int
		var id int64
		var one, other uint32
		err := scan(&i, &id, &one, &other, &a.From, &a.ID, &a.Type, &a.Created, &a.Data, &a.Size)
		if err != nil {
			return err
		}
		if a.Group = f.shards[i].Kind == chat.Group; a.Group {
			a.Talk, a.To = chat.GroupTalk(one), one
		} else {
			a.Talk, a.To = chat.PairTalk(one, other), other
		}
		if a.Type.Voice() {
			a.Data = ""
		} else {
			a.Size = len(a.Data)
		}
		if seen != nil {
			seen[i] = max(seen[i], id)
		}
		found = append(found, a)
		return nil
	})
	if err == nil {
		err = f.name(ctx, found)
	}
	slices.SortFunc(found, func(a, b Added) int { // within a talk, times rise with ids
		return cmp.Or(cmp.Compare(a.Created, b.Created), talk.Compare(a.Talk, b.Talk),
			cmp.Compare(a.ID, b.ID))
	})
	return found, f.failed(err)
}

// name fills in the names of users and groups.
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
		err := sqldb.Chunked(slices.Sorted(maps.Keys(names)), func(ids []uint32) error {
			query := sqldb.WithParams("SELECT id,name FROM "+table+" WHERE id IN (%s)", len(ids))
			return sqldb.Each(ctx, f.pool, query, sqldb.Args(ids), sqldb.Into(names))
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

// failed says what an error is about, and what to do; nil stays nil.
func (f *Feed) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("reading messages: %w", f.pool.Explain(err))
}
