package redis

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Apply implements records.Follower. Changes carry the counts of the records and their revision,
// and the scripts add what is missing to what stands in Redis. So increments of original servers
// stay. A change that was applied before, or is older than one that was, changes nothing.
func (r *Copy) Apply(ctx context.Context, commits []chat.Commit) error {
	if err := r.apply(ctx, commits); err != nil {
		return err
	}
	r.keepTail(commits)
	return nil
}

func (r *Copy) apply(ctx context.Context, commits []chat.Commit) error {
	var changes []chat.Change
	var devices []chat.Device
	for _, c := range commits {
		changes = append(changes, c.Changes...)
		devices = append(devices, c.Devices...)
	}
	all, ctx := errgroup.WithContext(ctx)
	if slices.ContainsFunc(changes, ofGroup) {
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
	}
	if len(devices) > 0 {
		all.Go(func() error { return inPieces(ctx, devices, r.applyDevices) })
	}
	err := inPieces(ctx, changes, r.applyCounts)
	return cmp.Or(all.Wait(), err)
}

func ofGroup(c chat.Change) bool { return c.Talk.Kind == chat.Group }

// piece is how many changes are applied at a time. A batch of messages is one piece. A backlog is
// several, so that each gets its answer in time.
const piece = 1024

func inPieces[T any](ctx context.Context, all []T, apply func(context.Context, []T) error) error {
	for some := range slices.Chunk(all, piece) {
		if err := apply(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// applyTries is how often commands are sent again because an epoch began meanwhile.
const applyTries = 5

// inEpoch sends the commands that build returns for an epoch. When that turns out not to be the
// current one, it sends those for the next: the commands may be done twice without harm. It returns
// the epoch and the answers, and logs what Redis refused to do.
func (r *Copy) inEpoch(ctx context.Context, ro *role, build func(at uint32) []link.Command) (
	at uint32, results []rueidis.RedisMessage, err error,
) {
	at = ro.known()
	for range applyTries {
		if at == 0 {
			if at, err = r.freshEpoch(ctx, ro); err != nil {
				return 0, nil, err
			}
		}
		commands := build(at)
		if len(commands) == 0 {
			return at, nil, nil
		}
		got, err := r.ask(ctx, ro, at, commands)
		if err != nil {
			return 0, nil, err
		}
		if got.sound {
			r.complain(commands, got.results)
			return at, got.results, nil
		}
		at = 0
	}
	return 0, nil, ro.losing()
}

// complain logs which commands Redis refused, as it does where a key has another type. They are not
// tried again, which would not help.
func (r *Copy) complain(commands []link.Command, results []rueidis.RedisMessage) {
	for i, c := range commands {
		if err := failure(results[i]); err != nil {
			r.log.Error("a key in Redis does not follow", "key", c.Keys[0], "err", err)
		}
	}
}

// applyCounts moves ids and counts in one pipeline, in which commands of one script stand together:
// so they go as one call. In a second pipeline it moves the levels of groups, which depend on the
// counts.
func (r *Copy) applyCounts(ctx context.Context, changes []chat.Change) error {
	counts := make(map[int]int) // where the count of changes[i] is among the results
	_, results, err := r.inEpoch(ctx, r.unread, func(at uint32) (commands []link.Command) {
		for i, c := range changes {
			if c.Talk.Kind == chat.Group {
				counts[i] = len(commands)
				commands = append(commands, link.Run(moveCount, countKey(c.Talk.A),
					revision(at, c.Rev), decimal(c.Before), decimal(c.Count)))
			}
		}
		for _, c := range changes { // when Redis was away, ids were given out without it
			if c.Talk.Kind == chat.Group && (c.New || c.LastID > 0) ||
				c.Talk.Kind == chat.Pair && c.Relation > 0 && c.LastID > 0 {
				key := idKey(chat.Reserve{Talk: c.Talk, Relation: c.Relation})
				commands = append(commands, link.Run(raise, key, decimal(c.LastID)))
			}
		}
		for _, c := range changes {
			if c.Talk.Kind == chat.Pair {
				commands = append(commands, movePairs(at, c)...)
			}
		}
		return commands
	})
	if err != nil {
		return err
	}
	_, _, err = r.inEpoch(ctx, r.unread, func(at uint32) (commands []link.Command) {
		for i, k := range counts {
			c := changes[i]
			count, ok := number(results[k])
			if !ok || count <= 0 {
				continue // a group without messages has no levels
			}
			for _, u := range c.Users {
				level := strconv.FormatInt(max(0, count-int64(u.Unread)), 10)
				commands = append(commands, link.Run(moveLevel, levelKey(u.User, c.Talk.A),
					revision(at, c.Rev), level))
			}
		}
		return commands
	})
	return err
}

// movePairs moves what the users of a pair have unread.
func movePairs(at uint32, c chat.Change) (commands []link.Command) {
	for _, u := range c.Users {
		commands = append(commands, link.Run(movePair, unreadKey(u.User),
			decimal(c.Talk.Peer(u.User)), revision(at, c.Rev), flag(u.Clear), decimal(u.Before),
			decimal(u.Unread)))
	}
	return commands
}

// fields are what a change says of the fields of a group's hash.
type fields struct {
	key    string
	suffix string   // ends the name of each field, after the user
	pairs  []string // user, value, user, value, …; an empty value removes the field
}

// fill is the command that makes the hash complete.
func (f fields) fill(at, rev uint32) link.Command {
	args := append([]string{decimal(at), revision(at, rev), f.suffix}, f.pairs...)
	return link.Run(fillFields, f.key, args...)
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

// applyFields brings the hashes of the changes' groups up to date. One that lost something is made
// complete, also where the change says nothing about it. So original servers find a group again as
// soon as there is talk in it.
func (r *Copy) applyFields(
	ctx context.Context, ro *role, changes []chat.Change, of func(chat.Change) fields,
) error {
	var groups []uint32
	at, results, err := r.inEpoch(ctx, ro, func(at uint32) (commands []link.Command) {
		groups = nil
		for _, c := range changes {
			if c.Talk.Kind != chat.Group || c.Rev == 0 {
				continue
			}
			f := of(c)
			if len(f.pairs) == 0 && at == firstEpoch && !c.New {
				continue // nothing can be missing
			}
			groups = append(groups, c.Talk.A)
			args := append([]string{decimal(at), revision(at, c.Rev), flag(c.New), f.suffix},
				f.pairs...)
			commands = append(commands, link.Run(moveFields, f.key, args...))
		}
		return commands
	})
	if err != nil {
		return err
	}
	var lost []uint32
	for i := range results {
		if complete, ok := number(results[i]); ok && complete == 0 {
			lost = append(lost, groups[i])
		}
	}
	return r.fillFields(ctx, ro, at, chat.SortedSet(lost), of)
}

// fillFields makes the hashes of groups complete from the records.
func (r *Copy) fillFields(
	ctx context.Context, ro *role, at uint32, groups []uint32, of func(chat.Change) fields,
) error {
	if len(groups) == 0 {
		return nil
	}
	now, err := r.records.GroupsNow(ctx, groups)
	if err != nil {
		return err
	}
	var commands []link.Command
	for _, c := range now {
		commands = append(commands, of(c).fill(at, c.Rev))
	}
	got, err := r.ask(ctx, ro, at, commands)
	if err == nil {
		r.complain(commands, got.results)
	}
	return err
}
