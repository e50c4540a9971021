package redis

import (
	"context"
	"strconv"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Mutes returns the mute values of members of a group, in one pipeline. A group that was lost is
// filled, and the records must be asked this time.
func (r *Copy) Mutes(ctx context.Context, group uint32, users []uint32) (map[uint32]uint32, error) {
	key := mutesKey(group)
	fields := make([]string, len(users))
	for i, user := range users {
		fields[i] = decimal(user) + muteSuffix
	}
	q := about(r.groupSet)
	all := q.read("HMGET", key, fields...)
	if err := r.consult(ctx, &q); err != nil {
		return nil, err
	}
	if !q.complete(all) {
		at, err := r.soundEpoch(ctx, &q)
		if err == nil {
			err = r.fillFields(ctx, r.groupSet, at, []uint32{group}, mutesOf)
		}
		if err != nil {
			r.log.Debug("mutes are not back in Redis yet", "group", group, "err", err)
		}
		return nil, errLost
	}
	values, err := q.answer(all).ToArray()
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
