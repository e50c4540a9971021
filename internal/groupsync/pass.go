package groupsync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// loop is a Syncer at work. Only the goroutine of Run touches it.
type loop struct {
	Syncer
	holder  string    // names this process among those that want the lease
	holds   bool      // this process has the lease, as far as it knows
	renewed time.Time // when the lease was last asked for

	// done is the news up to which each group was synced. It has only groups with talk since the
	// mark, less the overlap. A pass leaves out a group whose news are the same as those here,
	// because then nothing has changed that it would have to do:
	//
	// The news were read before the members and their sessions. When the group was done, each
	// member had a session at or after At, or a removed one. Sessions never disappear, and removed
	// ones stay removed until the member sends a message. So there is work only for new members,
	// and after talk at a later time. New members raise Version once they have joined. Later talk
	// moves At, whoever stores it, proxy or original.
	//
	// It does no harm that At has a resolution of a second, or that clocks differ. A later message
	// with the same At moves its sender's session, and all others have one there already. A message
	// with an earlier At (of a clock that is behind, or of a commit that took long) makes the
	// group's news other ones, and moves nothing back. What is read while members or sessions
	// change is at worst done twice.
	//
	// One case is left. A sender's own message may set its session back by as much as its proxy's
	// clock is behind. When that and a message with the same At as before come between two passes,
	// the session stays there until there is talk again. It is in the list, and shows the talk.
	done map[uint32]chat.GroupNews
}

// hold takes the lease, or renews it.
func (l *loop) hold(ctx context.Context) (held bool, err error) {
	l.renewed = time.Now() // before the call: the lease lasts at least as long as we think
	held, err = l.Store.HoldLease(ctx, lease, l.holder, l.Lease)
	ours := held || err != nil // perhaps; to give up what is not ours does no harm
	if ours != l.holds {
		l.Log.Debug("group sync: the lease has moved", "ours", ours)
	}
	l.holds = ours
	return held, err
}

// pass moves the sessions of all members to the time of the last talk. The mark moves only when all
// of it worked. held is false when another process has the lease, or got it meanwhile: that one
// does the work then.
func (l *loop) pass(ctx context.Context) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if held, err := l.hold(ctx); !held || err != nil {
		return false, err
	}
	now := uint32(l.Now().Unix())
	since, ok, err := l.Marks.Mark(ctx, mark)
	if err != nil {
		return true, err
	}
	if !ok || since > now { // a clock was set back, or that of whoever set the mark is ahead
		since = now
	}
	groups, err := l.Store.ChangedGroups(ctx, max(since, overlap)-overlap)
	if err != nil {
		return true, err
	}
	if held, err := l.syncAll(ctx, groups); !held || err != nil {
		return held, err
	}
	return true, l.Marks.SetMark(ctx, mark, now)
}

// syncAll syncs the groups that are not done. It goes on with the others when one fails. held is
// false when the lease was lost meanwhile.
func (l *loop) syncAll(ctx context.Context, groups []chat.GroupNews) (held bool, err error) {
	changed := make(map[uint32]bool, len(groups))
	var failed int
	var first error
	for _, news := range groups {
		changed[news.Group] = true
		if l.done[news.Group] == news {
			continue
		}
		if time.Since(l.renewed) > l.Lease/3 {
			if held, err := l.hold(ctx); !held || err != nil {
				return held, err
			}
		}
		if err := l.sync(ctx, news.Group, news.At); err == nil {
			l.done[news.Group] = news
		} else if failed++; first == nil {
			first = fmt.Errorf("group %d: %w", news.Group, err)
		}
		if err := ctx.Err(); err != nil {
			// What is done is noted, and the next pass goes on from here.
			return true, fmt.Errorf("out of time: %w", err)
		}
	}
	if first != nil {
		return true, fmt.Errorf("%d of %d groups failed, the first one: %w",
			failed, len(groups), first)
	}
	maps.DeleteFunc(l.done, func(group uint32, _ chat.GroupNews) bool { return !changed[group] })
	return true, nil
}

// sync moves the sessions of a group's members to the time at.
func (l *loop) sync(ctx context.Context, group, at uint32) error {
	users, err := l.Store.Behind(ctx, group, at)
	if err != nil {
		return err
	}
	slices.SortFunc(users, chat.CompareAsText)
	for some := range slices.Chunk(users, chunk) {
		if err := l.Store.SyncSessions(ctx, group, some, at); err != nil {
			return err
		}
	}
	return nil
}
