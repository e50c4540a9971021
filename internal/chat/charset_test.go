package chat_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// narrow are character sets of tables, each with a text that it has and some that it lacks. SQLite
// has no such sets.
var narrow = []struct {
	set, has string
	lacks    []string
}{
	{"ascii", "anna", []string{"müller", "王小明", "😀"}},
	{"latin1", "müller", []string{"王小明", "😀", "müller王"}},
	{"latin1 COLLATE latin1_bin", "müller", []string{"王小明", "😀"}},
	{"gbk", "王小明", []string{"😀"}},
	{"utf8mb3", "王小明", []string{"😀", "王😀"}},
	{"utf8mb3 COLLATE utf8mb3_bin", "한국", []string{"😀"}},
}

// inNarrowTables runs a test for each of the character sets, with tables in it where the engine
// knows that, and a user 1 whose name it has.
func inNarrowTables(
	t *testing.T, tables []string, test func(w *world, has string, lacks []string),
) {
	t.Helper()
	for _, n := range narrow {
		t.Run(n.set, func(t *testing.T) {
			rule(t, func(w *world) {
				for _, table := range tables {
					if w.engine.Name != "embedded" {
						w.raw.Run("ALTER TABLE " + table + " CONVERT TO CHARACTER SET " + n.set)
					}
				}
				password := chat.HashPassword("right", "1")
				w.user(1, map[string]any{"name": n.has, "salt": "1", "password": password})
				test(w, n.has, n.lacks)
			})
		})
	}
}

func TestANameThatTheTablesCharacterSetLacksIsNobodys(t *testing.T) {
	inNarrowTables(t, []string{"IMUser"}, func(w *world, has string, lacks []string) {
		store := w.store.Directory.(*records.Store)
		for _, name := range lacks {
			err := w.loginError(name, "right")
			wantError(w, "login as "+name, err, chat.ErrWrongLogin)
			for range chat.LockoutFailures - 1 {
				_ = w.loginError(name, "wrong")
			}
			err = w.loginError(name, "right")
			wantError(w, "a login too many as "+name, err, chat.ErrLockedOut)
		}
		found, err := store.Accounts(w.ctx, nil, append([]string{has}, lacks...))
		w.must(err)
		if len(found) != 1 || found[0].Name != has {
			w.Errorf("of %q and %q these are found: %v", has, lacks, found)
		}
		wantSame(w, "the user of "+has, w.login(has, "right"), "1")
	})
}

func wantError(w *world, what string, err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Errorf("%s: %v, want %v", what, err, want)
	}
}

// loginError is why somebody cannot log in.
func (w *world) loginError(name, password string) error {
	return w.logins(chat.LoginTry{Name: name, Password: password})[0].Err
}

func TestNamesThatAreLookedUpTogetherDoNotHarmEachOther(t *testing.T) {
	inNarrowTables(t, []string{"IMUser"}, func(w *world, has string, lacks []string) {
		for round := range 10 {
			var tries []chat.LoginTry
			for i := range 30 {
				try := chat.LoginTry{Name: has, Password: "right"}
				if i%5 == 0 {
					try.Name = fmt.Sprint(lacks[i/5%len(lacks)], round, i)
				}
				tries = append(tries, try)
			}
			for i, r := range w.logins(tries...) {
				want := error(nil)
				if i%5 == 0 {
					want = chat.ErrWrongLogin
				}
				wantError(w, "login as "+tries[i].Name, r.Err, want)
			}
		}
	})
}

func TestUsersOfANameThatTheTablesCharacterSetLacksAreRefused(t *testing.T) {
	inNarrowTables(t, []string{"IMUser"}, func(w *world, has string, lacks []string) {
		if w.engine.Name == "embedded" {
			return // which can store them all
		}
		store := w.store.Directory.(*records.Store)
		w.leavesNoTrace(func() {
			for _, name := range lacks {
				_, err := store.AddUser(w.ctx, chat.User{Name: name})
				wantKind(w, err, chat.Invalid)
				err = store.AddUsers(w.ctx, []chat.User{{Name: "fresh"}, {Name: name}})
				wantKind(w, err, chat.Invalid)
				_, err = store.ChangeUsers(w.ctx, []uint32{1}, func(u *chat.User) error {
					u.Name = name
					return nil
				})
				wantKind(w, err, chat.Invalid)
			}
			_, err := store.AddUser(w.ctx, chat.User{Name: has})
			wantKind(w, err, chat.NotAllowed)
		})
	})
}

func TestAGroupNameThatTheTablesCharacterSetLacksIsNoGroups(t *testing.T) {
	inNarrowTables(t, []string{"IMGroup"}, func(w *world, has string, lacks []string) {
		id := w.made(chat.NewGroup{
			Creator: 1, Type: chat.NormalGroup, Name: has, Members: []uint32{1},
		})
		store := w.store.Directory.(*records.Store)
		for _, name := range lacks {
			found, err := store.GroupsNamed(w.ctx, name)
			w.must(err)
			wantSame(w, "groups named "+name, len(found), 0)
		}
		found, err := store.GroupsNamed(w.ctx, has)
		w.must(err)
		wantSame(w, "groups named "+has, found, []uint32{id})
	})
}

func TestATaskThatTheTablesCharacterSetLacksHasNoFiles(t *testing.T) {
	inNarrowTables(t, []string{"IMTransmitFile"}, func(w *world, has string, lacks []string) {
		file := chat.OfflineFile{From: 1, To: 2, Task: has, Name: "name", Size: 3}
		w.must(w.svc.AddFile(w.ctx, file))
		for _, task := range lacks {
			w.must(w.svc.RemoveFile(w.ctx, 1, 2, task))
		}
		files, err := w.svc.WaitingFiles(w.ctx, 2)
		w.must(err)
		wantSame(w, "files", files, []chat.OfflineFile{file})
		w.must(w.svc.RemoveFile(w.ctx, 1, 2, has))
		files, err = w.svc.WaitingFiles(w.ctx, 2)
		w.must(err)
		wantSame(w, "files after removing it", len(files), 0)
	})
}
