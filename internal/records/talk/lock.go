package talk

import (
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Elsewhere is where talks are counted beside the records: in Redis, by originals.
type Elsewhere interface {
	// Counted returns what is counted of talks that the records do not know yet, in their order. It
	// has no error: where nothing can be had, everything is 0.
	Counted(ctx context.Context, talks []chat.Known) []chat.Counted
}

// Work is the work on talks within one transaction, for one goroutine.
type Work struct {
	sqldb.Tx
	Elsewhere Elsewhere // nil: nothing is counted elsewhere
}

// Lock reads the row of a talk and locks it until the end of the transaction; it returns nil when
// there is none. It also writes the row: a node of a cluster of which several are written to knows
// nothing of the locks at the others, but of two transactions that have written one row it undoes
// the one that comes second to its COMMIT.
func (w Work) Lock(ctx context.Context, talk chat.Talk) (*Row, error) {
	if w.ManyWriters() {
		n, err := sqldb.Exec(ctx, w,
			"UPDATE IMProxyTalk SET turn=1-turn WHERE kind=? AND a=? AND b=?",
			uint32(talk.Kind), talk.A, talk.B)
		if err != nil || n == 0 {
			return nil, err
		}
	}
	found := make(map[chat.Talk]*Row, 1)
	err := sqldb.FetchAll(ctx, w.Session, w.LockAll([]chat.Talk{talk}, found))
	return found[talk], err
}

// LockAll fetches those of the talks, which are sorted, that have a row, and locks them in that
// order, which is the one in which Lookup finds them, until the end of the transaction. That must
// also write those rows that it relies on: see Lock.
func (w Work) LockAll(talks []chat.Talk, found map[chat.Talk]*Row) []sqldb.Fetch {
	return sqldb.Fetches(w, talks, func(talks []chat.Talk) sqldb.Fetch {
		query := w.Lookup(columns, "IMProxyTalk", Key, len(talks)) + w.ForUpdate()
		return sqldb.Fetch{Text: query, Args: KeyArgs(talks), Row: func(scan sqldb.Scanner) error {
			var talk chat.Talk
			t := new(Row)
			err := scan(&talk.Kind, &talk.A, &talk.B, &t.Relation, &t.SessionA, &t.SessionB,
				&t.LastID, &t.LastCreated, &t.SentA, &t.SentB, &t.ReadA, &t.ReadB, &t.Rev)
			t.Before = t.Counts
			found[talk] = t
			return err
		}}
	})
}

// LockOne locks one talk, and makes and adopts its row when that is missing. now is Unix seconds.
func (w Work) LockOne(ctx context.Context, talk chat.Talk, now uint32) (*Row, error) {
	t, err := w.lockFirst(ctx, talk)
	if err != nil || t.Counted() {
		return t, err
	}
	rows := map[chat.Talk]*Row{talk: t}
	if err := w.Adopt(ctx, []chat.Talk{talk}, now, rows); err != nil {
		return nil, err
	}
	return rows[talk], w.Save(ctx, []chat.Talk{talk}, rows)
}

// lockFirst locks one talk. Where others are at work and the talk has no row, it makes one that
// says nothing yet; else it returns nil for such a talk. It must be the first talk that the
// transaction locks: see claim.
func (w Work) lockFirst(ctx context.Context, talk chat.Talk) (*Row, error) {
	t, err := w.Lock(ctx, talk)
	if err == nil && t == nil && w.ManyWriters() {
		if err = w.claim(ctx, []chat.Talk{talk}); err == nil {
			t, err = w.Lock(ctx, talk)
		}
	}
	return t, err
}

// claim makes rows that say nothing yet for those of the talks that have none. The transaction must
// not have locked other talks before: those may come after the new ones in the order of keys, and
// then two transactions could wait for each other in a circle.
func (w Work) claim(ctx context.Context, talks []chat.Talk) error {
	var values []any
	for _, t := range slices.SortedFunc(slices.Values(talks), Compare) {
		values = new(Row).appendValues(values, t)
	}
	return sqldb.Insert(ctx, w.Session, "IMProxyTalk", columns, values, w.Upsert(Key, Key[:1]))
}

// ClaimAnew makes rows that say nothing yet for talks, in a transaction that has locked other talks
// and done nothing else. It releases those first, and then the new rows, too. All are to be locked
// again.
func (w Work) ClaimAnew(ctx context.Context, talks []chat.Talk) error {
	return w.Anew(ctx, func() error { return w.claim(ctx, talks) })
}

// Save writes the rows of talks, which are sorted, that are dirty.
func (w Work) Save(ctx context.Context, talks []chat.Talk, rows map[chat.Talk]*Row) error {
	values := make([]any, 0, len(talks)*(len(Key)+len(counted)))
	for _, talk := range talks {
		if t := rows[talk]; t.Dirty {
			values = t.appendValues(values, talk)
		}
	}
	return sqldb.Insert(ctx, w.Session, "IMProxyTalk", columns, values, w.Upsert(Key, counted))
}

// Bump saves the counts of a talk that is locked as their next revision.
func (w Work) Bump(ctx context.Context, talk chat.Talk, t *Row) error {
	t.Rev, t.Dirty = t.Rev+1, true
	return w.Save(ctx, []chat.Talk{talk}, map[chat.Talk]*Row{talk: t})
}

// SaveNewGroup makes the row of a group that this transaction has made.
func (w Work) SaveNewGroup(ctx context.Context, group uint32) error {
	talk := chat.GroupTalk(group)
	row := (&Row{Rev: 1}).appendValues(nil, talk)
	return sqldb.Insert(ctx, w.Session, "IMProxyTalk", columns, row, "")
}

// Last fetches the relations and last ids of those of the talks that are counted. It locks nothing.
func Last(
	d sqldb.Dialect, talks []chat.Talk, found func(talk chat.Talk, relation, last uint32),
) []sqldb.Fetch {
	return sqldb.Fetches(d, talks, func(talks []chat.Talk) sqldb.Fetch {
		query := d.Lookup("kind,a,b,relateId,lastId", "IMProxyTalk", Key, len(talks)) + " AND rev>0"
		return sqldb.Fetch{Text: query, Args: KeyArgs(talks), Row: func(scan sqldb.Scanner) error {
			var talk chat.Talk
			var relation, last uint32
			err := scan(&talk.Kind, &talk.A, &talk.B, &relation, &last)
			found(talk, relation, last)
			return err
		}}
	})
}
