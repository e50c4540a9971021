package company

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Records is what Ensure needs of the records beside the rules.
type Records interface {
	// AddUser makes a user and returns its id.
	AddUser(ctx context.Context, u chat.User) (id uint32, err error)
	// AddDepartment makes a department and returns its id.
	AddDepartment(ctx context.Context, d chat.Department, sameName bool) (id uint32, err error)
	// AllUsers calls f for every user of any status, ascending by id.
	AllUsers(ctx context.Context, f func(chat.User) error) error
	// SyncSessions moves the sessions of users for a group to the time at, Unix seconds.
	SyncSessions(ctx context.Context, group uint32, users []uint32, at uint32) error
}

// State is what Ensure found or made.
type State struct {
	People   []string // the names of all who are there, in the order of their ids
	Made     bool     // the company was made by this call of Ensure
	Complete bool     // everybody of the company is there
}

// Ensure fills records that have no people with the company. Records that have people are left as
// they are. The store is the same records again, for the rules.
func Ensure(ctx context.Context, r Records, store chat.Store, opt chat.Options) (State, error) {
	s, err := stateOf(ctx, r)
	if err != nil || len(s.People) > 0 {
		return s, err
	}
	if err := fill(ctx, r, store, opt); err != nil {
		return s, err
	}
	s, err = stateOf(ctx, r)
	s.Made = true
	return s, err
}

// stateOf is the state that the records are in.
func stateOf(ctx context.Context, r Records) (s State, err error) {
	there := make(map[string]bool)
	err = r.AllUsers(ctx, func(u chat.User) error {
		s.People = append(s.People, u.Name)
		there[u.Name] = true
		return nil
	})
	s.Complete = true
	for _, p := range people {
		s.Complete = s.Complete && there[p.name]
	}
	return s, err
}

// fill puts the company into the records, through rules of its own, which end with it. These go by
// the clock of the story, so that everything was said and done at its own time in the last two
// days.
func fill(ctx context.Context, r Records, store chat.Store, opt chat.Options) (err error) {
	f := &filling{
		records: r, now: time.Now(),
		users: make(map[string]uint32), groups: make(map[string]uint32),
	}
	opt.Now = f.clock
	f.at(story[0].ago + time.Hour)
	if f.rules, err = chat.New(store, opt); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var ran errgroup.Group
	ran.Go(func() error { return f.rules.Run(running) })
	defer func() {
		stop()
		err = cmp.Or(err, ran.Wait())
	}()
	steps := []func(context.Context) error{f.hire, f.gather, f.talk, f.leaveFile, f.showGroups}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return fmt.Errorf("filling the store with the demo company: %w; "+
				"empty the directory and try again", err)
		}
	}
	return nil
}

// filling is one fill at work. The goroutine of fill owns it, but for shown, which the goroutines
// of the rules read, too.
type filling struct {
	records       Records
	rules         *chat.Service
	now           time.Time
	shown         atomic.Int64      // what the clock of the story shows, Unix seconds
	users, groups map[string]uint32 // ids by name
}

// clock is the clock that the rules go by.
func (f *filling) clock() time.Time { return time.Unix(f.shown.Load(), 0) }

// at sets the clock to that long ago.
func (f *filling) at(ago time.Duration) { f.shown.Store(f.now.Add(-ago).Unix()) }

// hire makes departments and people.
func (f *filling) hire(ctx context.Context) (err error) {
	ids := make(map[string]uint32)
	for i, d := range departments {
		dept := chat.Department{Name: d.name, Parent: ids[d.above], Priority: uint32(i)}
		ids[d.name], err = f.records.AddDepartment(ctx, dept, false)
		if err != nil {
			return fmt.Errorf("department %s: %w", d.name, err)
		}
	}
	for i, p := range people {
		u := chat.User{
			Name: p.name, Nick: p.nick, Domain: p.domain, Sex: p.sex,
			Phone: fmt.Sprintf("138000000%02d", i+1), Email: p.domain + "@example.com",
			Department: ids[p.department], Signature: p.signature, Salt: chat.NewSalt(),
		}
		u.Password = chat.HashPassword(chat.ClientHash(Password), u.Salt)
		if f.users[p.name], err = f.records.AddUser(ctx, u); err != nil {
			return fmt.Errorf("user %s: %w", p.name, err)
		}
	}
	return nil
}

// gather makes the groups.
func (f *filling) gather(ctx context.Context) (err error) {
	for _, t := range teams {
		g := chat.NewGroup{
			Creator: f.users[t.members[0]], Type: chat.NormalGroup,
			Name: t.name, Members: f.members(t),
		}
		if t.open {
			g.Type = chat.TemporaryGroup
		}
		if f.groups[t.name], _, err = f.rules.CreateGroup(ctx, g); err != nil {
			return fmt.Errorf("group %s: %w", t.name, err)
		}
	}
	return nil
}

// members is the ids of a team.
func (f *filling) members(t team) (ids []uint32) {
	for _, name := range t.members {
		ids = append(ids, f.users[name])
	}
	return ids
}

// talk has people say and read what the story has. Those who say something have read what was
// there.
func (f *filling) talk(ctx context.Context) error {
	for _, e := range story {
		f.at(e.ago)
		done := make(chan error, 1)
		kind, id := f.addressee(e.to)
		from := f.users[e.from]
		f.rules.ReadAck(ctx, from, chat.TalkOf(from, kind, id), func(err error) { done <- err })
		err := <-done
		if e.text != "" && err == nil {
			f.rules.Send(ctx, f.message(e), func(_ uint32, err error) { done <- err })
			err = <-done
		}
		if err != nil {
			return fmt.Errorf("%s to %s: %w", e.from, e.to, err)
		}
	}
	return nil
}

// addressee is the kind of talk, and the id, that a name in the story stands for.
func (f *filling) addressee(to string) (chat.TalkKind, uint32) {
	if name, ok := strings.CutPrefix(to, "#"); ok {
		return chat.Group, f.groups[name]
	}
	return chat.Pair, f.users[to]
}

// message is what somebody says, to be sent.
func (f *filling) message(e event) chat.NewMessage {
	kind, id := f.addressee(e.to)
	m := chat.NewMessage{
		From: f.users[e.from], To: id, Type: chat.PairText,
		Time: uint32(f.shown.Load()), Data: []byte(e.text),
	}
	if e.text == chime {
		m.Type, m.Data = chat.PairVoice, VoiceData(ChimeSeconds, Chime())
	}
	if kind == chat.Group {
		m.Type |= chat.GroupText &^ chat.PairText
	}
	return m
}

// leaveFile has a file wait for somebody. The file itself would be with the suite's file server.
func (f *filling) leaveFile(ctx context.Context) error {
	return f.rules.AddFile(ctx, chat.OfflineFile{
		From: f.users["carol"], To: f.users["bob"],
		Task: "demo-roadmap", Name: "路线图 roadmap.pdf", Size: 482_113,
	})
}

// showGroups does what the group sync does for a running proxy, which does not go back as far as
// the story does.
func (f *filling) showGroups(ctx context.Context) error {
	last := make(map[string]time.Duration)
	for _, e := range story {
		if name, ok := strings.CutPrefix(e.to, "#"); ok && e.text != "" {
			last[name] = e.ago
		}
	}
	for _, t := range teams {
		at := uint32(f.now.Add(-last[t.name]).Unix())
		if err := f.records.SyncSessions(ctx, f.groups[t.name], f.members(t), at); err != nil {
			return fmt.Errorf("group %s: %w", t.name, err)
		}
	}
	return nil
}
