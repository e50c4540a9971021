package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/newest"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// lastIDs tells the counters of talks by which it is known whether what is kept of them counts:
// see package newest.
type lastIDs interface {
	// LastIDs returns the counter of each talk, and the epoch of the counters. Of a talk Relation
	// is known. The error says that they are not known.
	LastIDs(ctx context.Context, of []chat.Reserve) (ids []uint32, epoch uint32, err error)
	// Epoch is the epoch in which what is read from now on can be kept.
	Epoch() uint32
}

// soleWriter is lastIDs of the embedded store: no other process stores messages there, so that what
// is kept is what this one stored last. (The doctor may move messages; that is seen when they are
// read again.)
type soleWriter struct{ *newest.Cache }

func (soleWriter) Epoch() uint32 { return 0 }

func (w soleWriter) LastIDs(
	_ context.Context, of []chat.Reserve,
) (ids []uint32, _ uint32, err error) {
	ids = make([]uint32, len(of))
	for i, r := range of {
		ids[i], _ = w.Last(r.Talk)
	}
	return ids, 0, nil
}

// othersStored is lastIDs of a MySQL database on which proxies count without Redis. What is kept
// counts in the epoch in which it was read: see package fleet. After that the rows of the talks
// tell whether it lacks something.
//
// What is read from the tables belongs to the epoch that was known before. So it lacks nothing that
// others had stored when that epoch was found.
type othersStored struct {
	soleWriter
	*fleet.Member
	pool *sqldb.Pool
	// behind says that tables are read from a replica, which may lack what others have stored. Then
	// what is read belongs to no epoch until the rows of the talks, at the master, confirm it.
	behind bool
}

// Epoch implements lastIDs.
func (o othersStored) Epoch() uint32 {
	if o.behind {
		return 0
	}
	return o.Known()
}

// LastIDs implements lastIDs.
func (o othersStored) LastIDs(
	ctx context.Context, of []chat.Reserve,
) (ids []uint32, epoch uint32, err error) {
	if epoch, err = o.Member.Epoch(ctx); err != nil {
		return nil, 0, err
	}
	ids = make([]uint32, len(of))
	doubtful := make(map[chat.Talk]chat.Reserve) // Floor is the newest id that is kept
	for i, r := range of {
		var read uint32
		if ids[i], read = o.Last(r.Talk); read != epoch && ids[i] > 0 {
			r.Floor = ids[i]
			doubtful[r.Talk] = r
		}
	}
	return ids, epoch, o.confirm(ctx, doubtful, epoch)
}

// confirm renews what is kept of those of the talks in which nothing else was stored. A talk
// without a row, or whose row says nothing yet, is one that no proxy has written to.
func (o othersStored) confirm(
	ctx context.Context, talks map[chat.Talk]chat.Reserve, epoch uint32,
) error {
	if len(talks) == 0 {
		return nil
	}
	keys := make([]chat.Talk, 0, len(talks))
	for t := range talks {
		keys = append(keys, t)
	}
	ctx, cancel := o.pool.Bounded(ctx)
	defer cancel()
	err := sqldb.FetchAll(ctx, o.pool.Session,
		talk.Last(o.pool, keys, func(t chat.Talk, relation, last uint32) {
			r := talks[t]
			if last != r.Floor || t.Kind == chat.Pair && relation != r.Relation {
				delete(talks, t)
			}
		}))
	if err != nil {
		return o.pool.Fail("reading the last ids of talks", err)
	}
	for t, r := range talks {
		o.Renew(t, r.Floor, epoch)
	}
	return nil
}
