package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
)

// strayUnread finds unread counters in Redis of users who never talked to each other: such a pair
// has no relation. The counters are read before the relations are, and a relation is there before
// anything is counted; so no counter is stray because its talk has just begun.
func (d *Doctor) strayUnread(ctx context.Context, peers map[uint32][]uint32) error {
	var talks []chat.Talk
	for user, others := range peers {
		for _, peer := range others {
			talks = append(talks, chat.PairTalk(user, peer))
		}
	}
	users := slices.Sorted(maps.Keys(peers))
	there, err := d.Records.KnownUsers(ctx, users)
	if err != nil {
		return err
	}
	known, err := d.Records.Known(ctx, talks)
	if err != nil {
		return err
	}
	for _, user := range users {
		if !there[user] {
			d.report.add(finding.UnreadNobody,
				fmt.Sprintf("user %d has unread counters of %d others", user, len(peers[user])))
		}
		var stray []uint32
		for _, peer := range peers[user] {
			if !known[chat.PairTalk(user, peer)] {
				stray = append(stray, peer)
				d.report.add(finding.UnreadStray, fmt.Sprintf(
					"user %d has unread messages of user %d, with whom there was no talk", user,
					peer))
			}
		}
		if !d.Repair || len(stray) == 0 {
			continue
		}
		if err := d.Copy.DropUnread(ctx, user, stray); err != nil {
			return err
		}
		d.report.mended(finding.UnreadStray, len(stray), nil)
	}
	return nil
}

// strayMembers finds groups that have members in Redis and are not in MySQL at all. (The members of
// all other groups have been compared.)
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
		d.report.add(finding.MemberExtra,
			fmt.Sprintf("Redis has members of %s, which MySQL does not have", t))
		if !d.Repair {
			continue
		}
		err := d.Records.HoldGroup(ctx, t.A, func(state chat.Change) error {
			return d.Copy.ReconcileMembers(ctx, state)
		})
		if err != nil {
			return err
		}
		d.report.mended(finding.MemberExtra, 1, nil)
	}
	return nil
}
