package redis

import (
	"context"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Mutes returns the mute values of members of a group, in one pipeline. A group that was lost is
// filled, and the records must be asked this time.
func (r *Copy) Mutes(ctx context.Context, group uint32, users []uint32) (map[uint32]uint32, error) {
	at := r.groupSet.known()
	key := mutesKey(group)
	fields := make([]string, len(users))
	for i, user := range users {
		fields[i] = decimal(user) + muteSuffix
	}
	got, err := r.consult(ctx, r.groupSet, at, []link.Command{
		link.Plain("HMGET", key, fields...), link.Plain("HGET", link.Companion(key), "epoch"),
	})
	if err != nil {
		return nil, err
	}
	if !got.complete(at, 1) {
		if !got.sound {
			at, err = r.freshEpoch(ctx, r.groupSet)
		}
		if err == nil {
			err = r.fillFields(ctx, r.groupSet, at, []uint32{group}, mutesOf)
		}
		if err != nil {
			r.log.Debug("mutes are not back in Redis yet", "group", group, "err", err)
		}
		return nil, errLost
	}
	values, err := got.results[0].ToArray()
	if err != nil {
		return nil, err
	}
	if len(values) != len(users) {
		return nil, chat.Errorf(chat.Unavailable, "Redis answered %d of %d mutes", len(values),
			len(users))
	}
	mutes := make(map[uint32]uint32)
	for i, v := range values {
		s, err := v.ToString()
		if n, bad := strconv.ParseUint(s, 10, 32); err == nil && bad == nil {
			mutes[users[i]] = uint32(n)
		}
	}
	return mutes, nil
}
