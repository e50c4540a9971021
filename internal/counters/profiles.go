package counters

import "context"

// Keys in which the unread instance tells original servers of times, in Unix seconds.
const (
	usersChanged = "total_user_update"  // the last change to any user
	usersRead    = "total_user_updated" // where original servers read that
	lastLook     = "last_update_group"  // how far the group sync has looked
)

// noteStart writes total_user_update, once, when there is neither that nor total_user_updated.
func (r *Redis) noteStart(ctx context.Context) error {
	if r.noted {
		return nil
	}
	results, err := r.unread.do(ctx, []command{plain("GET", usersChanged), plain("GET", usersRead)})
	if err == nil && text(results[0]) == "" && text(results[1]) == "" {
		_, err = r.unread.do(ctx, []command{plain("SETNX", usersChanged, decimal(r.unix()))})
	}
	r.noted = err == nil
	return err
}

// SetSignature implements chat.Profiles.
func (r *Redis) SetSignature(ctx context.Context, user uint32, text string, now uint32) error {
	return r.noteUser(ctx, now, r.books.SetSignature(ctx, user, text, now))
}

// SetAvatar implements chat.Profiles.
func (r *Redis) SetAvatar(ctx context.Context, user uint32, url string, now uint32) error {
	return r.noteUser(ctx, now, r.books.SetAvatar(ctx, user, url, now))
}

// SetPushShield implements chat.Profiles. No time of it is kept in Redis.
func (r *Redis) SetPushShield(ctx context.Context, user uint32, shield uint8, now uint32) error {
	return r.books.SetPushShield(ctx, user, shield, now)
}

// noteUser notes that a user was changed, if it was. When Redis is away, original servers learn of it a change later.
func (r *Redis) noteUser(ctx context.Context, now uint32, err error) error {
	if err != nil {
		return err
	}
	if _, err := r.unread.do(ctx, []command{run(raise, usersChanged, decimal(now))}); err != nil {
		r.log.Warn("the time of a user's change is not in Redis", "err", err)
	}
	return nil
}

// Mark returns a mark of the records; how far the group sync has looked, if they do not know, as Redis says.
func (r *Redis) Mark(ctx context.Context, name string) (value uint32, ok bool, err error) {
	value, ok, err = r.books.Mark(ctx, name)
	if err != nil || ok || name != lastLook {
		return value, ok, err
	}
	results, err := r.unread.do(ctx, []command{plain("GET", lastLook)})
	if err != nil {
		return 0, false, nil
	}
	value = count(text(results[0]))
	return value, value > 0, nil
}

// SetMark sets a mark of the records; how far the group sync has looked also in Redis.
func (r *Redis) SetMark(ctx context.Context, name string, value uint32) error {
	if err := r.books.SetMark(ctx, name, value); err != nil || name != lastLook {
		return err
	}
	if _, err := r.unread.do(ctx, []command{plain("SET", lastLook, decimal(value))}); err != nil {
		r.log.Debug("how far the group sync has looked is not in Redis", "err", err)
	}
	return nil
}
