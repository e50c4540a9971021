package counters

import (
	"context"
	"strconv"
)

// SetMute implements chat.Mutes: the records store it, and Apply copies it.
func (r *Redis) SetMute(ctx context.Context, group, user, value uint32) error {
	return r.books.SetMute(ctx, group, user, value)
}

// Mutes implements chat.Mutes: from Redis in one pipeline; what it has lost, from the records.
func (r *Redis) Mutes(ctx context.Context, group uint32, users []uint32) (map[uint32]uint32, error) {
	if _, err := r.books.Find(ctx, group); err != nil || len(users) == 0 {
		return nil, err
	}
	at := r.groupSet.known()
	key := mutesKey(group)
	fields := make([]string, len(users))
	for i, user := range users {
		fields[i] = decimal(user) + muteSuffix
	}
	got, err := r.consult(ctx, r.groupSet, at, []command{plain("HMGET", key, fields...), plain("HGET", companion(key), "epoch")})
	if err == nil && !got.complete(at, 1) {
		if !got.sound {
			at, err = r.settled(ctx, r.groupSet)
		}
		if err == nil {
			err = r.fillFields(ctx, r.groupSet, at, []uint32{group}, mutesOf)
		}
		if err != nil {
			r.log.Debug("mutes are not back in Redis yet", "group", group, "err", err)
		}
		return r.books.Mutes(ctx, group, users)
	}
	if err != nil {
		return r.books.Mutes(ctx, group, users)
	}
	values, err := got.results[0].ToArray()
	if err != nil || len(values) != len(users) {
		return r.books.Mutes(ctx, group, users)
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
