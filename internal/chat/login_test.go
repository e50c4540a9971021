package chat_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// account adds a user who may log in; wire passwords of tests are just texts.
func (w *world) account(id int, name, password string, status any) {
	w.Helper()
	salt := fmt.Sprint(id % 10000)
	w.user(id, map[string]any{"name": name, "salt": salt,
		"password": chat.HashPassword(password, salt), "status": status})
}

// login says what a login gives: the user's id, "wrong", "locked" or "failed".
func (w *world) login(name, password string) string {
	return w.became(w.logins(chat.LoginTry{Name: name, Password: password})[0])
}

// logins has several try at once.
func (w *world) logins(tries ...chat.LoginTry) []chat.Result[chat.User] {
	return w.svc.Logins(w.ctx, tries)
}

// became says what a login gives.
func (w *world) became(r chat.Result[chat.User]) string {
	user, err := r.Value, r.Err
	switch {
	case err == nil:
		return fmt.Sprint(user.ID)
	case errors.Is(err, chat.ErrWrongLogin):
		return "wrong"
	case errors.Is(err, chat.ErrLockedOut):
		return "locked"
	default:
		return "failed"
	}
}

func TestStoredPasswordsAreMD5OfPasswordAndSalt(t *testing.T) {
	wantSame(t, "as in the suite's seed",
		chat.HashPassword(chat.ClientHash("alice-secret"), "1a2b"),
		"be1a5e2aed4bd0be487f49b71fa4c7de")
}

func TestAUserLogsInByExactNameAndPassword(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		w.account(2, "王小明", "秘密", 0)
		w.account(3, "o'neil", `'; --`, nil)
		w.account(4, "", "nameless", 0)
		w.account(5, "empty", "", 0)
		w.account(6, repeat("名", 32), "long", 0)
		for _, test := range []struct{ name, password, want string }{
			{"alice", "secret", "1"},
			{"王小明", "秘密", "2"},
			{"o'neil", `'; --`, "3"},
			{"empty", "", "5"},
			{repeat("名", 32), "long", "6"},
			{"Alice", "secret", "wrong"},
			{"ALICE", "secret", "wrong"},
			{"alice ", "secret", "wrong"},
			{" alice", "secret", "wrong"},
			{"alic", "secret", "wrong"},
			{"alice%", "secret", "wrong"},
			{"àlice", "secret", "wrong"},
			{"alice", "Secret", "wrong"},
			{"alice", "secret ", "wrong"},
			{"alice", "", "wrong"},
			{"alice", chat.HashPassword("secret", "1"), "wrong"},
			{"nobody", "secret", "wrong"},
			{repeat("名", 33), "long", "wrong"},
		} {
			wantSame(w, fmt.Sprintf("%q with %q", test.name, test.password),
				w.login(test.name, test.password), test.want)
		}
	})
}

func TestALoginTellsWhoLoggedIn(t *testing.T) {
	rule(t, func(w *world) {
		w.user(7, map[string]any{"name": "grace", "nick": "Grace", "sex": 2, "domain": "grace",
			"phone": "138", "email": "g@example.com", "avatar": "a.png",
			"departId": 3, "sign_info": "hi", "updated": 99, "salt": "1a2b",
			"password": chat.HashPassword("secret", "1a2b")})
		user, err := only(w.logins(chat.LoginTry{Name: "grace", Password: "secret"}))
		w.must(err)
		user.Password, user.Salt = "", ""
		wantSame(w, "user", user, chat.User{ID: 7, Name: "grace", Nick: "Grace", Sex: 2,
			Domain: "grace", Phone: "138", Email: "g@example.com",
			Avatar: "a.png", Department: 3, Signature: "hi", Updated: 99})
	})
}

func TestOfSeveralUsersOfANameTheLargestIDInServiceLogsIn(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "bob", "first", 0)
		w.account(5, "bob", "fifth", 0)
		w.account(3, "bob", "third", 0)
		w.account(9, "bob", "ninth", 3)
		w.account(10, "bob ", "padded", 0)
		for password, want := range map[string]string{"fifth": "5", "first": "wrong",
			"third": "wrong", "ninth": "wrong", "padded": "wrong"} {
			wantSame(w, password, w.login("bob", password), want)
		}
	})
}

func TestOnlyUsersInServiceLogIn(t *testing.T) {
	rule(t, func(w *world) {
		for _, status := range []int{1, 2, 3, 4, 255} {
			w.account(status, fmt.Sprint("user", status), "secret", status)
			wantSame(w, fmt.Sprint("status ", status),
				w.login(fmt.Sprint("user", status), "secret"), "wrong")
		}
	})
}

// fails has a login of name fail n times.
func (w *world) fails(name string, n int) {
	w.Helper()
	for i := range n {
		if got := w.login(name, "guess"); got != "wrong" {
			w.Fatalf("failure %d of %s: %s", i+1, name, got)
		}
	}
}

func TestElevenFailuresLockANameOut(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		w.account(2, "bob", "secret", 0)
		w.fails("alice", 11)
		w.fails("nobody", 11)
		for range 3 {
			wantSame(w, "alice, right password", w.login("alice", "secret"), "locked")
			wantSame(w, "alice, wrong password", w.login("alice", "guess"), "locked")
			wantSame(w, "nobody", w.login("nobody", "guess"), "locked")
		}
		wantSame(w, "bob", w.login("bob", "secret"), "2")
		wantSame(w, "another case is another name", w.login("Alice", "secret"), "wrong")
	})
}

func TestASuccessClearsTheFailures(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		for range 3 {
			w.fails("alice", 10)
			wantSame(w, "after ten failures", w.login("alice", "secret"), "1")
		}
		w.fails("alice", 11)
		wantSame(w, "after eleven", w.login("alice", "secret"), "locked")
	})
}

func TestFailuresCountFor1800Seconds(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		w.fails("alice", 1)
		w.advance(seconds(10))
		w.fails("alice", 10)
		w.advance(seconds(1790))
		wantSame(w, "when the first is 1800 s old", w.login("alice", "secret"), "locked")
		w.advance(seconds(1))
		w.fails("alice", 1) // only ten count now, with this one eleven
		wantSame(w, "after one more", w.login("alice", "secret"), "locked")
		w.advance(seconds(10))
		wantSame(w, "when ten are older", w.login("alice", "secret"), "1")
	})
}

func TestRefusedTriesAreNotCounted(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		w.fails("alice", 11)
		for range 18 {
			w.advance(seconds(100))
			wantSame(w, "meanwhile", w.login("alice", "guess"), "locked")
		}
		w.advance(seconds(1))
		wantSame(w, "after 1801 s", w.login("alice", "secret"), "1")
	})
}

func TestTriesSideBySideAreCountedOneByOne(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		w.account(2, "bob", "secret", 0)
		const calls, each = 20, 3
		results := make(chan chat.Result[chat.User], 2*calls*each)
		for range calls {
			go func() {
				var tries []chat.LoginTry
				for range each {
					tries = append(tries, chat.LoginTry{Name: "alice", Password: "guess"},
						chat.LoginTry{Name: "bob", Password: "secret"})
				}
				for _, r := range w.logins(tries...) {
					results <- r
				}
			}()
		}
		count := make(map[string]int)
		for range 2 * calls * each {
			count[w.became(await(w, results))]++
		}
		wantSame(w, "results", count,
			map[string]int{"wrong": 11, "locked": calls*each - 11, "2": calls * each})
	})
}

func TestTriesOfOneNameAreJudgedInTheirOrder(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		w.account(2, "bob", "secret", 0)
		var tries []chat.LoginTry
		var want []string
		try := func(n int, name, password, result string) {
			for range n {
				tries = append(tries, chat.LoginTry{Name: name, Password: password})
				want = append(want, result)
			}
		}
		try(10, "alice", "guess", "wrong")
		try(1, "bob", "secret", "2")
		try(2, "alice", "secret", "1") // which forgets the ten
		try(11, "alice", "guess", "wrong")
		try(3, "nobody", "guess", "wrong")
		try(1, "alice", "secret", "locked")
		try(1, "bob", "guess", "wrong")
		try(1, "bob", "secret", "2")
		var got []string
		for _, r := range w.logins(tries...) {
			got = append(got, w.became(r))
		}
		wantSame(w, "results", got, want)
		wantSame(w, "alice, afterwards", w.login("alice", "secret"), "locked")
		w.fails("nobody", 8)
		wantSame(w, "nobody, after 11", w.login("nobody", "guess"), "locked")
		w.fails("bob", 11)
	})
}

// directory fails while it is told to.
type directory struct {
	chat.Directory
	broken error
}

func (d *directory) UsersByName(
	ctx context.Context, names []string,
) (map[string]chat.User, error) {
	if d.broken != nil {
		return nil, d.broken
	}
	return d.Directory.UsersByName(ctx, names)
}

func TestAStorageFailureIsNoFailedLogin(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		var d directory
		w := start(t, e, func(s *chat.Store) { d.Directory, s.Directory = s.Directory, &d })
		w.account(1, "alice", "secret", 0)
		w.fails("bob", 11)
		d.broken = chat.Errorf(chat.Unavailable, "away")
		for range 20 {
			wantSame(w, "while the storage is away", w.login("alice", "guess"), "failed")
		}
		wantSame(w, "who is locked out", w.login("bob", "guess"), "locked")
		d.broken = nil
		w.fails("alice", 10)
		wantSame(w, "afterwards", w.login("alice", "secret"), "1")
	})
}

// failures fails always.
type failures struct{ chat.Failures }

func (failures) Count(context.Context, []string, time.Time) ([]int, error) {
	return nil, chat.Errorf(chat.Unavailable, "away")
}

func TestNobodyLogsInWhileFailuresCannotBeCounted(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		w := start(t, e, func(s *chat.Store) { s.Failures = failures{s.Failures} })
		w.account(1, "alice", "secret", 0)
		wantSame(w, "right password", w.login("alice", "secret"), "failed")
		wantSame(w, "wrong password", w.login("alice", "guess"), "failed")
	})
}

func TestAbsurdNamesAreNobodysAndAreLockedOutToo(t *testing.T) {
	rule(t, func(w *world) {
		w.account(1, "alice", "secret", 0)
		w.account(2, "", "secret", 0)
		for what, name := range map[string]string{
			"invalid UTF-8":  "alice\xff",
			"a NUL":          "alice\x00",
			"a megabyte":     repeat("alice", 1<<18),
			"33 characters":  repeat("x", 33),
			"a line feed":    "alice\n",
			"SQL":            "x' OR '1'='1",
			"what matches %": "%",
		} {
			w.fails(name, 11)
			wantSame(w, what, w.login(name, "secret"), "locked")
		}
		wantSame(w, "alice", w.login("alice", "secret"), "1")
	})
}
