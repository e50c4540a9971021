package counters

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
)

// SharedRecords is what Shared needs of the records.
type SharedRecords interface {
	Records
	chat.Tokens
	chat.Profiles
	chat.Mutes
	Find(ctx context.Context, group uint32) (chat.GroupInfo, error)
	// InGroups returns the groups that each user is in, the latest joined first, without what is
	// counted.
	InGroups(ctx context.Context, users []uint32) (map[uint32][]chat.UserGroup, error)
	// Mark is a value by name; ok is false when there is none.
	Mark(ctx context.Context, name string) (value uint32, ok bool, err error)
	SetMark(ctx context.Context, name string, value uint32) error
}

// Shared is the records with their copy in Redis, as several proxies and original servers share
// them. It implements chat.Counters, chat.Mutes, chat.Tokens and chat.Profiles. It is safe for
// concurrent use. The copy itself is the chat.Sequencer.
type Shared struct {
	Records SharedRecords
	Copy    *redis.Copy
}

// Apply implements chat.Counters.
func (s Shared) Apply(ctx context.Context, commits []chat.Commit) error {
	return s.Copy.Apply(ctx, commits)
}

// Unread implements chat.Counters. Which groups users are in, the records say.
func (s Shared) Unread(ctx context.Context, users []uint32) (map[uint32][]chat.Count, error) {
	if len(users) == 0 {
		return nil, nil
	}
	in, err := s.Records.InGroups(ctx, users)
	if err != nil {
		return nil, err
	}
	if unread, err := s.Copy.Unread(ctx, users, in); err == nil {
		return unread, nil
	}
	return s.Records.Unread(ctx, users)
}

// UnreadTotals implements chat.Counters.
func (s Shared) UnreadTotals(ctx context.Context, users []uint32) (map[uint32]uint32, error) {
	unread, err := s.Unread(ctx, users)
	totals := make(map[uint32]uint32, len(unread))
	for user, counts := range unread {
		for _, c := range counts {
			totals[user] += c.Unread
		}
	}
	return totals, err
}

// SetMute implements chat.Mutes: the records store it, and Apply copies it.
func (s Shared) SetMute(ctx context.Context, group, user, value uint32) error {
	return s.Records.SetMute(ctx, group, user, value)
}

// Mutes implements chat.Mutes.
func (s Shared) Mutes(
	ctx context.Context, group uint32, users []uint32,
) (map[uint32]uint32, error) {
	if _, err := s.Records.Find(ctx, group); err != nil || len(users) == 0 {
		return nil, err
	}
	if mutes, err := s.Copy.Mutes(ctx, group, users); err == nil {
		return mutes, nil
	}
	return s.Records.Mutes(ctx, group, users)
}

// SetToken implements chat.Tokens: the records store it, and Apply copies it.
func (s Shared) SetToken(ctx context.Context, user uint32, device, token string) error {
	return s.Records.SetToken(ctx, user, device, token)
}

// Devices implements chat.Tokens.
func (s Shared) Devices(ctx context.Context, users []uint32) (map[uint32]string, error) {
	if devices, err := s.Copy.Devices(ctx, users); err == nil {
		return devices, nil
	}
	return s.Records.Devices(ctx, users)
}

// SetSignature implements chat.Profiles.
func (s Shared) SetSignature(ctx context.Context, user uint32, text string, now uint32) error {
	return s.changed(ctx, now, s.Records.SetSignature(ctx, user, text, now))
}

// SetAvatar implements chat.Profiles.
func (s Shared) SetAvatar(ctx context.Context, user uint32, url string, now uint32) error {
	return s.changed(ctx, now, s.Records.SetAvatar(ctx, user, url, now))
}

// SetPushShield implements chat.Profiles. Redis keeps no time of it.
func (s Shared) SetPushShield(ctx context.Context, user uint32, shield uint8, now uint32) error {
	return s.Records.SetPushShield(ctx, user, shield, now)
}

// changed tells Redis when a user was changed, unless the change failed.
func (s Shared) changed(ctx context.Context, now uint32, err error) error {
	if err == nil {
		s.Copy.NoteUserChange(ctx, now)
	}
	return err
}

// syncMark is the mark of how far the group sync has got, which original servers keep in Redis.
const syncMark = "last_update_group"

// Mark returns a mark of the records. How far the group sync has got Redis says where they do not
// know.
func (s Shared) Mark(ctx context.Context, name string) (value uint32, ok bool, err error) {
	value, ok, err = s.Records.Mark(ctx, name)
	if err == nil && !ok && name == syncMark {
		value = s.Copy.SyncedUntil(ctx)
		ok = value > 0
	}
	return value, ok, err
}

// SetMark sets a mark of the records; how far the group sync has got, in Redis as well.
func (s Shared) SetMark(ctx context.Context, name string, value uint32) error {
	err := s.Records.SetMark(ctx, name, value)
	if err == nil && name == syncMark {
		s.Copy.NoteSynced(ctx, value)
	}
	return err
}
