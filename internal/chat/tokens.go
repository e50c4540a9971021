package chat

import (
	"context"
	"slices"
	"strings"
)

// Platform is where a push token is valid. The values are those of the protocol's ClientType.
type Platform uint8

// The platforms that can be pushed to.
const (
	NoPlatform Platform = 0
	IOS        Platform = 0x11
	Android    Platform = 0x12
)

// Tokens keeps push tokens as the suite does: of each user a text, which is "platform:token", or a
// bare token, or nothing; and of each token the user who was last given it.
type Tokens interface {
	// SetToken stores user's device text, which contains token (empty: the user has none any more),
	// and makes the token the user's. If the text before had a platform, its token is nobody's
	// first.
	SetToken(ctx context.Context, user uint32, device, token string) error
	// Devices returns the device texts of users; those who never had one are missing.
	Devices(ctx context.Context, users []uint32) (map[uint32]string, error)
}

// PushToken is where to push to a user.
type PushToken struct {
	User     uint32
	Platform Platform
	Token    string
	Unread   uint32 // all unread messages of the user
}

// SetToken stores the push token of a user's device. An empty one, which clients send at logout,
// removes it.
func (s *Service) SetToken(
	ctx context.Context, user uint32, platform Platform, token string,
) error {
	if err := checkText("token", token, MaxToken); err != nil {
		return err
	}
	device := token
	switch {
	case token == "":
	case platform == IOS:
		device = "ios:" + token
	case platform == Android:
		device = "android:" + token
	}
	return s.store.Tokens.SetToken(ctx, user, device, token)
}

// SplitDevice takes a device text apart. The platform ends at the first colon; ok is false if there
// is none.
func SplitDevice(device string) (platform, token string, ok bool) {
	return strings.Cut(device, ":")
}

// PushTokens returns where to push to these users, each once, in order of their ids as text. It
// leaves out those without a token or platform and, at night, iOS users who asked not to be
// disturbed.
func (s *Service) PushTokens(ctx context.Context, users []uint32) ([]PushToken, error) {
	users = SortedSet(users)
	if len(users) == 0 {
		return nil, nil
	}
	devices, err := s.store.Tokens.Devices(ctx, users)
	if err != nil {
		return nil, err
	}
	var tokens []PushToken
	for user, device := range devices {
		name, token, _ := SplitDevice(device)
		platform := map[string]Platform{"ios": IOS, "android": Android}[name]
		if platform != NoPlatform && token != "" {
			tokens = append(tokens, PushToken{User: user, Platform: platform, Token: token})
		}
	}
	if tokens, err = s.awake(ctx, tokens); err != nil {
		return nil, err
	}
	slices.SortFunc(tokens, func(a, b PushToken) int { return CompareAsText(a.User, b.User) })
	size := NewMeasure(ctx, "push tokens")
	for _, t := range tokens {
		size.Add(len(t.Token) + 24)
	}
	if err := size.Err(); err != nil {
		return nil, err
	}
	totals, err := s.store.Counters.UnreadTotals(ctx, usersOf(tokens))
	for i := range tokens {
		tokens[i].Unread = totals[tokens[i].User]
	}
	return tokens, err
}

// awake leaves out, from 22:00 to 07:59, the iOS users whose push shield is 1.
func (s *Service) awake(ctx context.Context, tokens []PushToken) ([]PushToken, error) {
	if hour := s.now().Hour(); hour >= 8 && hour < 22 {
		return tokens, nil
	}
	shields, err := s.store.Directory.PushShields(ctx, usersOf(tokens))
	return slices.DeleteFunc(tokens, func(t PushToken) bool {
		return t.Platform == IOS && shields[t.User] == 1
	}), err
}

// usersOf returns the users of tokens, ascending.
func usersOf(tokens []PushToken) []uint32 {
	ids := make([]uint32, len(tokens))
	for i, t := range tokens {
		ids[i] = t.User
	}
	return SortedSet(ids)
}
