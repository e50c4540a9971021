package counters

import (
	"context"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Apply implements chat.Counters and records.Follower. Changes carry the counts of the records and their revision, so the
// scripts add what is missing to what stands there: increments of original servers stay, and what was applied before, or
// is older than that, changes nothing.
func (r *Redis) Apply(ctx context.Context, commits []chat.Commit) error {
	var changes []chat.Change
	var devices []chat.Device
	for _, c := range commits {
		changes = append(changes, c.Changes...)
		devices = append(devices, c.Devices...)
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return inPieces(ctx, changes, r.applyCounts) })
	all.Go(func() error {
		return inPieces(ctx, changes, func(ctx context.Context, changes []chat.Change) error {
			return r.applyFields(ctx, r.groupMember, changes, membersOf)
		})
	})
	all.Go(func() error {
		return inPieces(ctx, changes, func(ctx context.Context, changes []chat.Change) error {
			return r.applyFields(ctx, r.groupSet, changes, mutesOf)
		})
	})
	all.Go(func() error { return inPieces(ctx, devices, r.applyDevices) })
	return all.Wait()
}

// piece is how many changes are applied at a time: a batch of messages is one piece, and a backlog is several, each of
// which gets its answer in time.
const piece = 1024

func inPieces[T any](ctx context.Context, all []T, apply func(context.Context, []T) error) error {
	for some := range slices.Chunk(all, piece) {
		if err := apply(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// applyCounts moves ids and counts, in one pipeline, and in a second one the levels of groups: they go by the counts.
func (r *Redis) applyCounts(ctx context.Context, changes []chat.Change) error {
	var commands []command
	counts := make(map[int]int) // where the count of changes[i] is among the results
	for i, c := range changes {
		rev := decimal(c.Rev)
		if c.Talk.Kind == chat.Group {
			counts[i] = len(commands)
			commands = append(commands, run(moveCount, countKey(c.Talk.A), rev, decimal(c.Before), decimal(c.Count)))
			if c.New || c.LastID > 0 {
				commands = append(commands, run(raise, groupIDKey(c.Talk.A), decimal(c.LastID)))
			}
			continue
		}
		if c.LastID > 0 && c.Relation > 0 {
			commands = append(commands, run(raise, pairIDKey(c.Relation), decimal(c.LastID)))
		}
		for _, u := range c.Users {
			commands = append(commands, run(movePair, unreadKey(u.User), decimal(c.Talk.Peer(u.User)), rev, flag(u.Clear),
				decimal(u.Before), decimal(u.Unread)))
		}
	}
	got, err := r.ask(ctx, r.unread, r.unread.known(), commands)
	if err != nil {
		return err
	}
	r.complain(commands, got)
	var levels []command
	for i, c := range changes {
		at, group := counts[i]
		if !group {
			continue
		}
		count, ok := number(got.results[at])
		if !ok || count <= 0 {
			continue // nothing is written while there is nothing
		}
		for _, u := range c.Users {
			level := max(0, count-int64(u.Unread))
			levels = append(levels, run(moveLevel, levelKey(u.User, c.Talk.A), decimal(c.Rev), strconv.FormatInt(level, 10)))
		}
	}
	if len(levels) == 0 {
		return nil
	}
	got, err = r.ask(ctx, r.unread, r.unread.known(), levels)
	if err == nil {
		r.complain(levels, got)
	}
	return err
}

// complain logs what Redis refused to do: a key of the wrong type. Trying again would not help.
func (r *Redis) complain(commands []command, got answers) {
	for i, c := range commands {
		if err := failure(got.results[i]); err != nil {
			r.log.Error("a counter in Redis does not follow", "key", c.keys[0], "err", err)
		}
	}
}

// fields are what a change says of the fields of a hash.
type fields struct {
	key    string
	suffix string
	pairs  []string // user, value; no value: it goes
}

func membersOf(c chat.Change) fields {
	f := fields{key: membersKey(c.Talk.A)}
	for _, m := range c.Members {
		value := ""
		if m.Joined > 0 {
			value = decimal(m.Joined)
		}
		f.pairs = append(f.pairs, decimal(m.User), value)
	}
	return f
}

func mutesOf(c chat.Change) fields {
	f := fields{key: mutesKey(c.Talk.A), suffix: muteSuffix}
	for _, m := range c.Mutes {
		f.pairs = append(f.pairs, decimal(m.User), decimal(m.Value))
	}
	return f
}

// applyFields brings the hashes of the changes' groups up to date. One that lost something is made complete, also where
// the change says nothing about it: so a group is there again, for original servers, as soon as there is talk in it.
func (r *Redis) applyFields(ctx context.Context, ro *role, changes []chat.Change, of func(chat.Change) fields) error {
	at := ro.known()
	for range 2 {
		var commands []command
		var groups []uint32
		for _, c := range changes {
			if c.Talk.Kind != chat.Group || c.Rev == 0 {
				continue
			}
			f := of(c)
			if len(f.pairs) == 0 && at == firstEpoch && !c.New {
				continue // nothing can be missing
			}
			groups = append(groups, c.Talk.A)
			commands = append(commands, run(moveFields, f.key, append([]string{decimal(at), decimal(c.Rev), flag(c.New), f.suffix}, f.pairs...)...))
		}
		if len(commands) == 0 {
			return nil
		}
		got, err := r.ask(ctx, ro, at, commands)
		if err != nil {
			return err
		}
		r.complain(commands, got)
		if got.sound {
			var lost []uint32
			for i, group := range groups {
				if complete, ok := number(got.results[i]); ok && complete == 0 {
					lost = append(lost, group)
				}
			}
			return r.fillFields(ctx, ro, at, chat.SortedSet(lost), of)
		}
		if at, err = r.settled(ctx, ro); err != nil {
			return err
		}
	}
	return chat.Errorf(chat.Unavailable, "Redis %s (%s) loses what it has again and again", ro.name, ro.Instance)
}

// fillFields makes the hashes of groups complete from the records.
func (r *Redis) fillFields(ctx context.Context, ro *role, at uint32, groups []uint32, of func(chat.Change) fields) error {
	if len(groups) == 0 {
		return nil
	}
	now, err := r.books.GroupsNow(ctx, groups)
	if err != nil {
		return err
	}
	var commands []command
	for _, c := range now {
		f := of(c)
		commands = append(commands, run(fillFields, f.key, append([]string{decimal(at), decimal(c.Rev), f.suffix}, f.pairs...)...))
	}
	if len(commands) == 0 {
		return nil
	}
	got, err := r.ask(ctx, ro, at, commands)
	if err == nil {
		r.complain(commands, got)
	}
	return err
}
