package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// setToken has a user's device get a token.
func (w *world) setToken(user uint32, platform chat.Platform, token string) {
	w.Helper()
	w.must(w.svc.SetToken(w.ctx, user, platform, token))
}

// pushes says where to push to users: "user/platform/token/unread" of each.
func (w *world) pushes(users ...uint32) string {
	w.Helper()
	tokens, err := only(w.svc.PushTokens(w.ctx, []chat.TokensAsked{{Users: users}}))
	w.must(err)
	var texts []string
	for _, t := range tokens {
		texts = append(texts, fmt.Sprintf("%d/%x/%s/%d", t.User, uint8(t.Platform), t.Token,
			t.Unread))
	}
	return strings.Join(texts, " ")
}

// owners are the users that tokens name.
func (w *world) owners() []string {
	w.Helper()
	return w.raw.Rows("SELECT token,userId FROM IMProxyToken ORDER BY token")
}

func TestATokenIsKeptWithItsPlatform(t *testing.T) {
	for name, test := range map[string]struct {
		platform chat.Platform
		token    string
		device   string
		pushed   string
	}{
		"ios":                              {chat.IOS, "tok", "ios:tok", "1/11/tok/0"},
		"android":                          {chat.Android, "tok", "android:tok", "1/12/tok/0"},
		"no platform":                      {chat.NoPlatform, "tok", "tok", ""},
		"a platform that is not pushed to": {1, "tok", "tok", ""},
		"colons in the token":              {chat.IOS, "a:b:c", "ios:a:b:c", "1/11/a:b:c/0"},
		"a bare token with a colon":        {chat.NoPlatform, "a:b", "a:b", ""},
		"a bare token that names one":      {chat.NoPlatform, "ios:b", "ios:b", "1/11/b/0"},
		"no token":                         {chat.IOS, "", "", ""},
		"512 characters": {chat.Android, repeat("语", 512), "android:" +
			repeat("语", 512), "1/12/" + repeat("语", 512) + "/0"},
		"case and spaces": {chat.IOS, "Tok ", "ios:Tok ", "1/11/Tok /0"},
	} {
		t.Run(name, func(t *testing.T) {
			rule(t, func(w *world) {
				w.setToken(1, test.platform, test.token)
				w.raw.Want("SELECT device FROM IMProxyDevice", test.device)
				wantSame(w, "pushed to", w.pushes(1), test.pushed)
			})
		})
	}
}

func TestTokensThatCannotBeKeptAreRefused(t *testing.T) {
	rule(t, func(w *world) {
		w.leavesNoTrace(func() {
			for _, token := range []string{repeat("x", 513), "a\x00b", "a\xff"} {
				wantKind(w, w.svc.SetToken(w.ctx, 1, chat.IOS, token), chat.Invalid)
			}
		})
	})
}

func TestANewTokenReplacesTheOldOne(t *testing.T) {
	rule(t, func(w *world) {
		w.setToken(1, chat.IOS, "old")
		w.setToken(1, chat.Android, "new")
		wantSame(w, "pushed to", w.pushes(1), "1/12/new/0")
		wantSame(w, "owners", w.owners(), []string{"new 1"})
		w.setToken(1, chat.Android, "new") // the same again
		wantSame(w, "owners after the same again", w.owners(), []string{"new 1"})
		w.setToken(1, chat.IOS, "old") // back to the first
		wantSame(w, "owners after going back", w.owners(), []string{"old 1"})
	})
}

func TestABareTokenIsForgottenWhenReplacedUnlessAnotherHasIt(t *testing.T) {
	rule(t, func(w *world) {
		w.setToken(1, chat.NoPlatform, "bare")
		w.setToken(1, chat.IOS, "new")
		wantSame(w, "owners", w.owners(), []string{"new 1"})
		w.setToken(2, chat.NoPlatform, "one")
		w.setToken(3, chat.NoPlatform, "one")
		w.setToken(2, chat.IOS, "two")
		wantSame(w, "owners", w.owners(), []string{"new 1", "one 3", "two 2"})
	})
}

func TestATokenNamesTheUserItWasGivenToLast(t *testing.T) {
	rule(t, func(w *world) {
		w.setToken(1, chat.IOS, "tok")
		w.setToken(2, chat.IOS, "tok")
		wantSame(w, "owners", w.owners(), []string{"tok 2"})
		wantSame(w, "both keep their device", w.pushes(1, 2), "1/11/tok/0 2/11/tok/0")
		// the former owner's old token is unlinked, whoever has it now
		w.setToken(1, chat.IOS, "other")
		wantSame(w, "owners", w.owners(), []string{"other 1"})
	})
}

func TestLogoutUnlinksTheTokenAndWritesNoneForNothing(t *testing.T) {
	rule(t, func(w *world) {
		w.setToken(1, chat.IOS, "tok")
		w.setToken(1, chat.IOS, "")
		wantSame(w, "pushed to", w.pushes(1), "")
		w.raw.Want("SELECT userId,device FROM IMProxyDevice", "1 ")
		wantSame(w, "owners", w.owners(), []string(nil))
		w.setToken(1, chat.IOS, "") // again
		w.setToken(2, chat.NoPlatform, "")
		wantSame(w, "owners after more logouts", w.owners(), []string(nil))
		w.setToken(1, chat.IOS, "tok")
		wantSame(w, "pushed to after a login", w.pushes(1), "1/11/tok/0")
		wantSame(w, "owners after a login", w.owners(), []string{"tok 1"})
	})
}

func TestUsersAreAnsweredOnceEachInOrderAsText(t *testing.T) {
	rule(t, func(w *world) {
		for _, user := range []uint32{1, 2, 10, 3, 100} {
			w.setToken(user, chat.Android, "t")
		}
		w.setToken(4, chat.NoPlatform, "bare")
		wantSame(w, "pushed to", w.pushes(3, 2, 100, 10, 2, 4, 1, 77, 0, 1),
			"1/12/t/0 10/12/t/0 100/12/t/0 2/12/t/0 3/12/t/0")
		wantSame(w, "pushed to nobody", w.pushes(), "")
	})
}

func TestThePushCountIsAllUnreadOfTheUser(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2, 3)
		w.setToken(2, chat.IOS, "t")
		w.says(1, 2, "a", "b")
		w.says(3, 2, "c")
		w.saysIn(g, 1, "d")
		wantSame(w, "pushed to", w.pushes(2), "2/11/t/4")
		w.reads(2, chat.PairTalk(1, 2))
		wantSame(w, "pushed to", w.pushes(2), "2/11/t/2")
	})
}

func TestIOSUsersWithAShieldAreLeftOutAtNight(t *testing.T) {
	for at, night := range map[string]bool{
		"21:59:59": false, "22:00:00": true, "23:59:59": true, "00:00:00": true, "03:30:00": true,
		"07:59:59": true, "08:00:00": false, "12:00:00": false,
	} {
		t.Run(at, func(t *testing.T) {
			rule(t, func(w *world) {
				for user, shield := range map[int]int{1: 0, 2: 1, 3: 2, 4: 255, 5: 1} {
					w.user(user, map[string]any{"push_shield_status": shield})
				}
				for _, user := range []uint32{1, 2, 3, 4, 77} {
					w.setToken(user, chat.IOS, "i")
				}
				w.setToken(5, chat.Android, "a")
				local, err := time.ParseInLocation(time.TimeOnly, at,
					time.FixedZone("where the proxy is", 8*3600))
				w.must(err)
				w.clock.set(local)
				want := "1/11/i/0 2/11/i/0 3/11/i/0 4/11/i/0 5/12/a/0 77/11/i/0"
				if night {
					want = strings.Replace(want, "2/11/i/0 ", "", 1)
				}
				wantSame(w, "pushed to", w.pushes(1, 2, 3, 4, 5, 77), want)
			})
		})
	}
}

func TestManyUsersAreAskedForAtOnce(t *testing.T) {
	rule(t, func(w *world) {
		var users []uint32
		for i := range uint32(1500) {
			users = append(users, i+1)
		}
		w.setToken(3, chat.IOS, "a")
		w.setToken(1400, chat.IOS, "b")
		wantSame(w, "pushed to", w.pushes(users...), "1400/11/b/0 3/11/a/0")
		for i, r := range w.svc.PushTokens(w.ctx, []chat.TokensAsked{
			{Users: users[:3]}, {Users: users}, {Users: users[3:]}, {Users: users[:2]},
		}) {
			w.must(r.Err)
			wantSame(w, fmt.Sprint("tokens of request ", i), len(r.Value), []int{1, 2, 1, 0}[i])
		}
		w.clock.set(noon.Add(12 * time.Hour))
		wantSame(w, "pushed to at night", w.pushes(users...), "1400/11/b/0 3/11/a/0")
	})
}
