package doctor

import (
	"context"
	"fmt"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// strayUnread looks at the unread counters that Redis has of a user: a pair that never talked has no relation. The
// counters are read before the relations are, which are there before anything is counted.
func (d *Doctor) strayUnread(ctx context.Context, user uint32, peers []uint32) error {
	users, err := d.Records.KnownUsers(ctx, []uint32{user})
	if err != nil {
		return err
	}
	if !users[user] {
		d.report.add("unread-nobody", fmt.Sprintf("user %d has unread counters of %d others", user, len(peers)))
	}
	talks := make([]chat.Talk, len(peers))
	for i, peer := range peers {
		talks[i] = chat.PairTalk(user, peer)
	}
	known, err := d.Records.Known(ctx, talks)
	if err != nil {
		return err
	}
	var stray []uint32
	for i, t := range talks {
		if !known[t] {
			stray = append(stray, peers[i])
			d.report.add("unread-stray", fmt.Sprintf("user %d has unread messages of user %d, with whom there was no talk", user, peers[i]))
		}
	}
	if !d.Repair || len(stray) == 0 {
		return nil
	}
	if err := d.Copy.DropUnread(ctx, user, stray); err != nil {
		return err
	}
	d.report.mended("unread-stray", len(stray), nil)
	return nil
}

// strayMembers looks at groups of which Redis has members: those that MySQL does not have at all. The others have been
// compared.
func (d *Doctor) strayMembers(ctx context.Context, groups []uint32) error {
	talks := make([]chat.Talk, len(groups))
	for i, group := range groups {
		talks[i] = chat.GroupTalk(group)
	}
	known, err := d.Records.Known(ctx, talks)
	if err != nil {
		return err
	}
	for _, t := range talks {
		if known[t] {
			continue
		}
		d.report.add("member-extra", fmt.Sprintf("Redis has members of %s, which MySQL does not have", t))
		if !d.Repair {
			continue
		}
		err := d.Records.HoldGroup(ctx, t.A, func(state chat.Change) error { return d.Copy.BringMembers(ctx, state) })
		if err != nil {
			return err
		}
		d.report.mended("member-extra", 1, nil)
	}
	return nil
}
