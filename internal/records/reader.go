package records

import (
	"context"
	"log/slog"
	"maps"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// reader reads from one server, the master or a replica.
type reader struct {
	*sqldb.Pool
	messageTypes, groupTypes *passing
	log                      *slog.Logger
	// everybody is the list of all people, by its limit in bytes. It is long, so that those who ask
	// for it while it is read share the next one.
	everybody *sqldb.Shared[int, everybody]
}

func newReader(s *Store, pool *sqldb.Pool) reader {
	r := reader{Pool: pool, messageTypes: s.messageTypes, groupTypes: s.groupTypes, log: s.log}
	r.everybody = &sqldb.Shared[int, everybody]{Find: r.findEverybody, Most: 1}
	return r
}

// read calls f for the replica, if that has what this proxy wrote about subjects, else for the
// master. What fails on the replica is done again on the master: f begins anew whenever it is
// called.
func read[T any](
	ctx context.Context, s *Store, f func(context.Context, reader) (T, error),
	subjects ...replica.Subject,
) (T, error) {
	if s.replica.Has(subjects) {
		bounded, cancel := context.WithTimeout(ctx, replica.Timeout)
		defer cancel()
		v, err := f(bounded, s.late)
		if err == nil || chat.KindOf(err) != chat.Unavailable || ctx.Err() != nil {
			return v, err
		}
		s.replica.Failed(err)
	}
	return f(ctx, s.reader)
}

// readEach is read for many things by their keys: the replica is asked for those alone that it has.
func readEach[K comparable, V any](
	ctx context.Context, s *Store, keys []K, about func(K) replica.Subject,
	find func(r reader, ctx context.Context, keys []K) (map[K]V, error),
) (map[K]V, error) {
	if s.replica == nil {
		return find(s.reader, ctx, keys)
	}
	var there, here []K // what the replica has, and what only the master has
	for _, k := range keys {
		if s.replica.Has([]replica.Subject{about(k)}) {
			there = append(there, k)
		} else {
			here = append(here, k)
		}
	}
	found := make(map[K]V, len(keys))
	for _, some := range [][]K{there, here} {
		if len(some) == 0 {
			continue
		}
		part, err := read(ctx, s, func(ctx context.Context, r reader) (map[K]V, error) {
			return find(r, ctx, some)
		}, replica.AboutEach(some, about)...)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, part)
	}
	return found, nil
}

// readRequests is read for many requests: the replica answers those alone of which it has all that
// they are about.
func readRequests[Q, V any](
	ctx context.Context, s *Store, requests []Q, about func(Q) []replica.Subject,
	find func(r reader, ctx context.Context, requests []Q) ([]chat.Result[V], error),
) []chat.Result[V] {
	type part struct {
		at       []int // which of the requests they are
		requests []Q
		subjects []replica.Subject
	}
	var there, here part // what the replica has, and what only the master has
	for i, q := range requests {
		p, of := &here, about(q)
		if s.replica.Has(of) {
			p = &there
		}
		p.at, p.requests = append(p.at, i), append(p.requests, q)
		p.subjects = append(p.subjects, of...)
	}
	results := make([]chat.Result[V], len(requests))
	for _, p := range []part{there, here} {
		if len(p.at) == 0 {
			continue
		}
		found, err := read(ctx, s, func(ctx context.Context, r reader) ([]chat.Result[V], error) {
			return find(r, ctx, p.requests)
		}, p.subjects...)
		for k, i := range p.at {
			if results[i].Err = err; err == nil {
				results[i] = found[k]
			}
		}
	}
	return results
}

// readSurely is read for what is refused when it is not found. A node of a cluster that may lack it
// catches up first, and is asked again.
func readSurely[T any](
	ctx context.Context, s *Store, f func(context.Context, reader) (T, error),
	subjects ...replica.Subject,
) (T, error) {
	v, err := read(ctx, s, f, subjects...)
	if !s.db.MayLack(err) {
		return v, err
	}
	if err := s.db.CatchUp(ctx); err != nil {
		return v, err
	}
	return f(ctx, s.reader)
}

// wrote notes what was committed just now, so that it is not read from a replica that does not have
// it yet. It returns err, and notes nothing when there is one.
func (s *Store) wrote(err error, subjects ...replica.Subject) error {
	if err == nil {
		s.replica.Wrote(subjects)
	}
	return err
}

// wroteAnything is wrote where it is not known what was written.
func (s *Store) wroteAnything(err error) error {
	if err == nil {
		s.replica.WroteAnything()
	}
	return err
}

// RunReplica measures how far the replica is behind, until ctx ends. Without it, and where there is
// no replica, all is read from the master.
func (s *Store) RunReplica(ctx context.Context) error { return s.replica.Run(ctx, s.db) }

// Replica is what is known of the replica; nil where there is none.
func (s *Store) Replica() *replica.Replica { return s.replica }
