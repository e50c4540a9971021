package records_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// kind is a kind of write and what reads show of it.
type kind struct {
	name  string
	write func(s *records.Store, n uint32) error
	read  func(s *records.Store) (any, error)
	fresh bool // what others wrote is seen at once, too
}

// sum is what several reads show, or the first error.
type sum struct {
	shown []any
	err   error
}

func (s *sum) add(v any, err error) {
	s.shown, s.err = append(s.shown, v), errors.Join(s.err, err)
}

func (s *sum) result() (any, error) { return fmt.Sprint(s.shown), s.err }

// kinds are all that can be written and read. The store has users 1 to 3, and group 1 with 1 and 2.
func kinds(ctx context.Context) []kind {
	pair, group := chat.PairTalk(1, 2), chat.GroupTalk(1)
	send := func(s *records.Store, d chat.Draft) error {
		r, err := s.Append(ctx, chat.Batch{ID: chat.NewCommitID(), Now: 1000,
			Drafts: []chat.Draft{d}}, counters.Embedded{})
		if err == nil {
			err = r.Stored[0].Err
		}
		return err
	}
	page := func(s *records.Store) (any, error) {
		return testdb.Page(ctx, s, pair,
			chat.PageQuery{Count: 1000})
	}
	groups := func(s *records.Store) (any, error) {
		var v sum
		v.add(s.Find(ctx, 1))
		one, two := chat.GroupVersion{ID: 1}, chat.GroupVersion{ID: 2}
		for _, newer := range s.NewerThan(ctx, []chat.KnownGroups{
			{Versions: []chat.GroupVersion{two}}, {Versions: []chat.GroupVersion{one, two}},
			{Versions: []chat.GroupVersion{one}},
		}) {
			v.add(newer.Value, newer.Err)
		}
		v.add(s.NormalOf(ctx, 1))
		v.add(s.NormalOf(ctx, 2))
		v.add(s.NormalOf(ctx, 3))
		v.add(s.Joined(ctx, []chat.UserInGroup{{Group: 1, User: 3}}))
		return v.result()
	}
	people := func(s *records.Store) (any, error) {
		var v sum
		v.add(s.UsersByID(ctx, []uint32{1, 2, 3}))
		v.add(s.UsersByName(ctx, []string{"ann", "bob", "cy"}))
		v.add(s.PushShields(ctx, []uint32{1, 2}))
		v.add(s.UsersChanged(ctx, 0))
		return v.result()
	}
	recent := func(s *records.Store) (any, error) {
		var v sum
		v.add(s.Recent(ctx, []chat.SessionsAsked{{User: 1}, {User: 2}}, 100))
		return v.result()
	}
	return []kind{
		{name: "a page", read: page, write: func(s *records.Store, n uint32) error {
			return send(s, chat.Draft{Talk: pair, From: 1, Type: chat.PairText,
				Content: fmt.Sprint(n)})
		}},
		{name: "a group's page", read: func(s *records.Store) (any, error) {
			return testdb.Page(ctx, s, group, chat.PageQuery{Count: 1000})
		}, write: func(s *records.Store, n uint32) error {
			return send(s, chat.Draft{Talk: group, From: 1, Type: chat.GroupText,
				Content: fmt.Sprint(n)})
		}},
		{name: "last messages", read: func(s *records.Store) (any, error) {
			return s.Last(ctx, []chat.Talk{group, pair, chat.PairTalk(2, 3)})
		}, write: func(s *records.Store, n uint32) error {
			return send(s, chat.Draft{Talk: chat.PairTalk(2, 3), From: 3, Type: chat.PairText,
				Content: fmt.Sprint(n)})
		}},
		{name: "sounds", read: func(s *records.Store) (any, error) {
			return s.Sounds(ctx, []uint32{1, 2, 3, 4, 5, 6, 7, 8})
		}, write: func(s *records.Store, n uint32) error {
			return send(s, chat.Draft{Talk: pair, From: 2, Type: chat.PairVoice,
				Sound: &chat.Sound{Path: fmt.Sprint(n), Size: n}})
		}},
		{name: "sessions", read: recent, write: func(s *records.Store, n uint32) error {
			return send(s, chat.Draft{Talk: chat.PairTalk(1, 100+n), From: 100 + n,
				Type: chat.PairText, Content: "x"})
		}},
		{name: "removed sessions", read: recent, write: func(s *records.Store, n uint32) error {
			return ignoreNotFound(s.Remove(ctx, 1, chat.PairTalk(1, 100+n), 2000))
		}},
		{name: "synced sessions", read: recent, write: func(s *records.Store, n uint32) error {
			return s.SyncSessions(ctx, 1, []uint32{1, 2}, 2000+n)
		}},
		{name: "unread counters", fresh: true, read: func(s *records.Store) (any, error) {
			var v sum
			v.add(s.Unread(ctx, []uint32{1, 2}))
			v.add(s.UnreadTotals(ctx, []uint32{1, 2}))
			return v.result()
		}, write: func(s *records.Store, n uint32) error {
			return send(s, chat.Draft{Talk: group, From: 1, Type: chat.GroupText,
				Content: fmt.Sprint(n)})
		}},
		{name: "members", read: groups, write: func(s *records.Store, n uint32) error {
			if n%2 == 0 {
				_, err := s.RemoveMembers(ctx, 1, []uint32{3}, 1000+n)
				return err
			}
			_, _, err := s.AddMembers(ctx, 1, []uint32{3}, 1000+n)
			return err
		}},
		{name: "new groups", read: groups, write: func(s *records.Store, n uint32) error {
			_, err := s.Create(ctx, chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "new",
				Members: []uint32{2}}, n)
			return err
		}},
		{name: "mutes", read: func(s *records.Store) (any, error) {
			return s.Mutes(ctx, 1, []uint32{1, 2})
		},
			write: func(s *records.Store, n uint32) error { return s.SetMute(ctx, 1, 2, n) }},
		{name: "signatures", read: people,
			write: func(s *records.Store, n uint32) error {
				return s.SetSignature(ctx, 1,
					fmt.Sprint(n), 1000)
			}},
		{name: "shields", read: people,
			write: func(s *records.Store, n uint32) error {
				return s.SetPushShield(ctx, 2,
					uint8(n%2), 1000+n)
			}},
		{name: "new users", read: people, write: func(s *records.Store, n uint32) error {
			_, err := s.AddUser(ctx, chat.User{Name: fmt.Sprint("user", n)})
			return err
		}},
		{name: "tokens", read: func(s *records.Store) (any, error) {
			return s.Devices(ctx, []uint32{1, 2})
		},
			write: func(s *records.Store, n uint32) error {
				return s.SetToken(ctx, 1, fmt.Sprint("ios:", n), fmt.Sprint(n))
			}},
		{name: "files", read: func(s *records.Store) (any, error) { return s.Waiting(ctx, 2) },
			write: func(s *records.Store, n uint32) error {
				return s.AddFile(ctx, chat.OfflineFile{From: 1, To: 2, Task: fmt.Sprint(n)}, n)
			}},
		{name: "departments", read: func(s *records.Store) (any, error) {
			return s.DepartmentsChanged(ctx, 0)
		},
			write: func(s *records.Store, n uint32) error {
				_, err := s.AddDepartment(ctx, chat.Department{Name: fmt.Sprint(n)}, true)
				return err
			}},
	}
}

// replicated is a store at work on a master and a replica that is two seconds behind.
type replicated struct {
	*testing.T
	master, replica *servers.DatabaseServer
	ours            *records.Store // reads from the replica
	others          *records.Store // another proxy, which has no replica
	n               uint32         // of the last write
}

func startReplicated(t *testing.T) *replicated {
	t.Helper()
	master := servers.StartMariaDB(t, "--server-id=1", "--log-bin")
	db := testdb.On(t, master)
	replica := servers.Replica(t, master, 2)
	copied := testdb.At(db.On(t, replica))
	r := &replicated{T: t, master: master, replica: replica}
	open := func(replica *sqldb.MySQL) *records.Store {
		store, err := records.OpenMySQL(testdb.At(db), replica, records.Options{Log: discard})
		return closing(t, store, err)
	}
	r.others, r.ours = open(nil), open(&copied)
	r.ours.Replica().SetMaxLag(time.Hour)
	addPeople(t, r.others, "ann", "bob", "cy")
	if _, err := r.others.Create(t.Context(),
		chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "x",
			Members: []uint32{1, 2}}, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- r.ours.RunReplica(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	r.await("the replica in use", func() bool { return r.ours.Replica().Trouble() == "" })
	return r
}

// await waits until something is so.
func (r *replicated) await(what string, so func() bool) {
	r.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("waited in vain for %s; trouble: %q", what, r.ours.Replica().Trouble())
		}
	}
}

func (r *replicated) write(k kind, s *records.Store) {
	r.Helper()
	r.n++
	if err := k.write(s, r.n); err != nil {
		r.Fatalf("%s: %v", k.name, err)
	}
}

func (r *replicated) read(k kind, s *records.Store) any {
	r.Helper()
	v, err := k.read(s)
	if err != nil {
		r.Fatalf("%s: %v", k.name, err)
	}
	return fmt.Sprint(v)
}

// inStep waits until both stores show the same of everything.
func (r *replicated) inStep() {
	r.Helper()
	r.await("what others wrote", func() bool {
		for _, k := range kinds(r.Context()) {
			if r.read(k, r.ours) != r.read(k, r.others) {
				return false
			}
		}
		return true
	})
}

func (r *replicated) sql(statement string) {
	r.Helper()
	if _, err := r.replica.Admin(r).ExecContext(r.Context(), statement); err != nil {
		r.Fatal(err)
	}
}

func TestReplica(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	t.Run("what others wrote comes from it, what we wrote does not",
		func(t *testing.T) { r.with(t).testRouting() })
	t.Run("what we wrote stays while it catches up",
		func(t *testing.T) { r.with(t).testCatchingUp() })
	t.Run("it is not used while it is far behind", func(t *testing.T) { r.with(t).testFarBehind() })
	t.Run("reads go on without it", func(t *testing.T) { r.with(t).testAway() })
}

func (r *replicated) with(t *testing.T) *replicated {
	r.T = t
	return r
}

func (r *replicated) testRouting() {
	for _, k := range kinds(r.Context()) {
		r.write(k, r.others) // so that there is something
	}
	r.inStep()
	r.sql("STOP SLAVE SQL_THREAD")
	for _, k := range kinds(r.Context()) {
		before := r.read(k, r.others)
		r.write(k, r.others)
		now := r.read(k, r.others)
		if k.fresh {
			if got := r.read(k, r.ours); got != now {
				r.Errorf("%s that others wrote: %v, want %v", k.name, got, now)
			}
		} else if now != before {
			r.await(k.name+" that only the replica shows",
				func() bool { return r.read(k, r.ours) != now })
		} else if k.name != "removed sessions" {
			r.Errorf("%s: nothing was changed", k.name)
		}
	}
	for _, k := range kinds(r.Context()) {
		r.write(k, r.ours)
		if got, want := r.read(k, r.ours), r.read(k, r.others); got != want {
			r.Errorf("%s that we wrote: %v, want %v", k.name, got, want)
		}
	}
	r.await("what is kept in mind", func() bool {
		// nothing is while the replica is thought to be away
		r.write(kinds(r.Context())[0], r.ours)
		return r.ours.Replica().Ahead() > 0
	})
	r.sql("START SLAVE SQL_THREAD")
	r.inStep()
	r.await("its being forgotten", func() bool { return r.ours.Replica().Ahead() == 0 })
}

// testCatchingUp reads what was written again and again until the replica has it, and a little
// longer.
func (r *replicated) testCatchingUp() {
	all := kinds(r.Context())
	for _, k := range all {
		r.write(k, r.ours)
	}
	want := make(map[string]any)
	for _, k := range all {
		want[k.name] = r.read(k, r.others)
	}
	caughtUp := make(chan struct{})
	go func() {
		defer close(caughtUp)
		r.replica.CatchUp(r, r.master)
	}()
	for done := false; !done || r.ours.Replica().Ahead() > 0; {
		select {
		case <-caughtUp:
			done = true
		default:
		}
		for _, k := range all {
			if got := r.read(k, r.ours); got != want[k.name] {
				r.Fatalf("%s: %v, want %v", k.name, got, want[k.name])
			}
		}
	}
}

func (r *replicated) testFarBehind() {
	r.ours.Replica().SetMaxLag(1500 * time.Millisecond)
	r.await("its not being used", func() bool { return r.ours.Replica().Trouble() != "" })
	if lag, known := r.ours.Replica().Lag(); !known || lag < time.Second {
		r.Errorf("it is %v behind (%t)", lag, known)
	}
	r.sql("STOP SLAVE SQL_THREAD")
	for _, k := range kinds(r.Context()) {
		r.write(k, r.others)
		if got, want := r.read(k, r.ours), r.read(k, r.others); got != want {
			r.Errorf("%s: %v, want %v", k.name, got, want)
		}
	}
	r.sql("START SLAVE SQL_THREAD")
	r.ours.Replica().SetMaxLag(time.Hour)
	r.await("its use", func() bool { return r.ours.Replica().Trouble() == "" })
}

// testAway reads all the time while the replica is frozen, killed and started again: no read fails.
func (r *replicated) testAway() {
	ctx, stop := context.WithCancel(r.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	var reads atomic.Int64
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				for _, k := range kinds(r.Context()) {
					if _, err := k.read(r.ours); err != nil {
						r.Errorf("%s: %v", k.name, err)
					}
				}
				reads.Add(1)
			}
		})
	}
	unused := func() bool { return r.ours.Replica().Trouble() != "" }
	used := func() bool { return r.ours.Replica().Trouble() == "" }
	goesOn := func() {
		r.Helper()
		at := reads.Load()
		r.await("reads", func() bool { return reads.Load() > at+5 })
	}
	r.replica.Freeze(r)
	r.await("its not being used", unused)
	goesOn()
	r.replica.Thaw(r)
	r.await("its use", used)
	goesOn()
	r.replica.Kill(r)
	r.await("its not being used", unused)
	goesOn()
	r.replica.Restart(r)
	r.await("its use", used)
	goesOn()
}
