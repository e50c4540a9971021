package chat

import (
	"context"
	"maps"
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

// TokensAsked is a request for the push tokens of users.
type TokensAsked struct {
	Users []uint32
	Limit int // how many bytes they may take in the answer, 0: any
}

// fewTokens is how many users, rather more than fewer, are asked for at a time.
const fewTokens = 1000

// PushTokens returns where to push to the users of each request, each user once, in order of their
// ids as text. It leaves out those without a token or platform and, at night, iOS users who asked
// not to be disturbed. A *TooLongError if the tokens exceed the request's limit.
func (s *Service) PushTokens(ctx context.Context, asked []TokensAsked) []Result[[]PushToken] {
	results := make([]Result[[]PushToken], 0, len(asked))
	for from, users := 0, 0; from < len(asked); users = 0 {
		to := from
		for to < len(asked) && (to == from || users+len(asked[to].Users) <= fewTokens) {
			users += len(asked[to].Users)
			to++
		}
		results = append(results, s.pushTokens(ctx, asked[from:to])...)
		from = to
	}
	return results
}

// pushTokens is PushTokens for requests that are served together.
func (s *Service) pushTokens(ctx context.Context, asked []TokensAsked) []Result[[]PushToken] {
	var users []uint32
	for _, a := range asked {
		users = append(users, a.Users...)
	}
	tokens, err := s.tokensOf(ctx, SortedSet(users))
	if err != nil {
		return allFailed[[]PushToken](len(asked), err)
	}
	results := make([]Result[[]PushToken], len(asked))
	for i, a := range asked {
		size := NewMeasure(WithLimit(ctx, a.Limit), "push tokens")
		for _, user := range SortedSet(a.Users) {
			if t, ok := tokens[user]; ok && size.Add(len(t.Token)+24) {
				results[i].Value = append(results[i].Value, t)
			}
		}
		results[i].Err = size.Err()
	}
	var pushed []uint32 // those whose unread messages are told
	for i := range results {
		if results[i].Err != nil {
			results[i].Value = nil
		}
		for _, t := range results[i].Value {
			pushed = append(pushed, t.User)
		}
	}
	totals, err := s.store.Counters.UnreadTotals(ctx, SortedSet(pushed))
	if err != nil {
		return allFailed[[]PushToken](len(asked), err)
	}
	for _, r := range results {
		for i := range r.Value {
			r.Value[i].Unread = totals[r.Value[i].User]
		}
		slices.SortFunc(r.Value, func(a, b PushToken) int { return CompareAsText(a.User, b.User) })
	}
	return results
}

// tokensOf returns where to push to those of users to whom something can be pushed now. What they
// have not read is not counted.
func (s *Service) tokensOf(ctx context.Context, users []uint32) (map[uint32]PushToken, error) {
	devices, err := s.store.Tokens.Devices(ctx, users)
	if err != nil {
		return nil, err
	}
	tokens := make(map[uint32]PushToken, len(devices))
	for user, device := range devices {
		name, token, _ := SplitDevice(device)
		platform := platforms[name]
		if platform != NoPlatform && token != "" {
			tokens[user] = PushToken{User: user, Platform: platform, Token: token}
		}
	}
	return tokens, s.keepAwake(ctx, tokens)
}

// platforms are the platforms by their names in device texts.
var platforms = map[string]Platform{"ios": IOS, "android": Android}

// keepAwake removes, from 22:00 to 07:59, the iOS users whose push shield is 1.
func (s *Service) keepAwake(ctx context.Context, tokens map[uint32]PushToken) error {
	if hour := s.now().Hour(); hour >= 8 && hour < 22 {
		return nil
	}
	shields, err := s.store.Directory.PushShields(ctx, slices.Sorted(maps.Keys(tokens)))
	maps.DeleteFunc(tokens, func(user uint32, t PushToken) bool {
		return t.Platform == IOS && shields[user] == 1
	})
	return err
}
