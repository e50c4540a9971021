package chat_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// model is what should be stored, by the rules: the simplest thing that could be right.
type model struct {
	said     map[chat.Talk][]said
	seen     map[userTalk]int // of said, how many the user has read
	sessions map[userTalk]uint32
	joined   map[userTalk]uint32 // members, and since when
}

type userTalk struct {
	user uint32
	talk chat.Talk
}

type said struct {
	from, at uint32
}

func (m *model) send(from uint32, talk chat.Talk, now uint32) (id uint32, ok bool) {
	me := userTalk{from, talk}
	if _, member := m.joined[me]; talk.Kind == chat.Group && !member {
		return 0, false
	}
	m.said[talk] = append(m.said[talk], said{from, now})
	m.sessions[me] = now
	if talk.Kind == chat.Group {
		m.seen[me] = len(m.said[talk])
	} else {
		m.sessions[userTalk{talk.Peer(from), talk}] = now
	}
	return uint32(len(m.said[talk])), true
}

// in reports whether a talk is between user and somebody, or in a group that user is in.
func (m *model) in(user uint32, talk chat.Talk) bool {
	_, member := m.joined[userTalk{user, talk}]
	return member || talk.Kind == chat.Pair && (talk.A == user || talk.B == user)
}

func (m *model) unread(user uint32, talk chat.Talk) (n int) {
	if !m.in(user, talk) {
		return 0
	}
	for _, s := range m.said[talk][m.seen[userTalk{user, talk}]:] {
		if talk.Kind == chat.Group || s.from != user {
			n++
		}
	}
	return n
}

// view says what user should see, and world.view what it does: unread messages, sessions and the messages of talks.
func (m *model) view(user uint32, talks []chat.Talk) (texts []string) {
	for _, talk := range talks {
		if n := m.unread(user, talk); n > 0 {
			texts = append(texts, fmt.Sprintf("unread %s: %d", talk, n))
		}
		if at, ok := m.sessions[userTalk{user, talk}]; ok && len(m.said[talk]) > 0 {
			texts = append(texts, fmt.Sprintf("session %s: %d", talk, at))
		}
		for i, s := range m.said[talk] {
			if m.in(user, talk) && s.at >= m.joined[userTalk{user, talk}] {
				texts = append(texts, fmt.Sprintf("message %s: %d from %d at %d", talk, i+1, s.from, s.at))
			}
		}
	}
	slices.Sort(texts)
	return texts
}

func (w *world) view(user uint32, talks []chat.Talk) (texts []string) {
	w.Helper()
	unread, _, err := w.svc.Unread(w.ctx, user)
	w.must(err)
	for _, u := range unread {
		texts = append(texts, fmt.Sprintf("unread %s: %d", u.Talk, u.Unread))
	}
	sessions, err := w.svc.RecentSessions(w.ctx, user, 0)
	w.must(err)
	for _, s := range sessions {
		texts = append(texts, fmt.Sprintf("session %s: %d", s.Talk, s.Updated))
	}
	for _, talk := range talks {
		if talk.Kind == chat.Pair && user != talk.A && user != talk.B {
			continue
		}
		for _, m := range w.all(user, talk) {
			texts = append(texts, fmt.Sprintf("message %s: %d from %d at %d", talk, m.ID, m.From, m.Created))
		}
	}
	slices.Sort(texts)
	return texts
}

// A life is a long series of things that a few users do at random; after each the world must be as the model says.
type life struct {
	*world
	model
	rand  *rand.Rand
	users []uint32
	talks []chat.Talk
	log   []string
}

func TestALongLifeGoesByTheRules(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rule(t, func(w *world) {
				l := &life{world: w, rand: rand.New(rand.NewPCG(seed, 1)), users: []uint32{1, 2, 3, 10},
					model: model{map[chat.Talk][]said{}, map[userTalk]int{}, map[userTalk]uint32{}, map[userTalk]uint32{}}}
				for i, u := range l.users {
					for _, v := range l.users[:i] {
						l.talks = append(l.talks, chat.PairTalk(u, v))
					}
				}
				for range 2 {
					g := chat.GroupTalk(w.group(l.users[:3]...))
					l.talks = append(l.talks, g)
					for _, u := range l.users[:3] {
						l.joined[userTalk{u, g}] = w.now()
					}
				}
				for range 80 {
					l.step()
					l.check()
				}
			})
		})
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (l *life) step() {
	l.Helper()
	l.advance(time.Duration(l.rand.IntN(3)) * time.Second)
	user, talk := pick(l.rand, l.users), pick(l.rand, l.talks)
	switch what := l.rand.IntN(100); {
	case what < 55:
		l.sendSome(1 + l.rand.IntN(4))
	case what < 70:
		l.note("%d reads %s", user, talk)
		if talk.Kind == chat.Group || talk.A == user || talk.B == user {
			l.reads(user, talk)
			l.seen[userTalk{user, talk}] = len(l.said[talk])
		}
	case what < 80:
		l.note("%d removes %s", user, talk)
		if talk.Kind == chat.Group || talk.A == user || talk.B == user {
			l.removeSession(userTalk{user, talk})
		}
	case what < 98:
		if talk.Kind == chat.Group {
			l.changeMember(userTalk{user, talk})
		}
	default:
		l.note("restart")
		l.restart()
	}
}

func (l *life) note(format string, args ...any) {
	l.log = append(l.log, fmt.Sprintf("%d: ", l.now())+fmt.Sprintf(format, args...))
}

// sendSome sends messages without waiting for each other's answers.
func (l *life) sendSome(n int) {
	l.Helper()
	type sent struct {
		answer <-chan answer
		id     uint32
		ok     bool
	}
	var all []sent
	for range n {
		from, talk := pick(l.rand, l.users), pick(l.rand, l.talks)
		m := l.groupText(from, talk.A, "x")
		if talk.Kind == chat.Pair {
			if from != talk.A && from != talk.B {
				continue
			}
			m = l.pairText(from, talk.Peer(from), "x")
		}
		l.note("%d sends to %s", from, talk)
		id, ok := l.model.send(from, talk, l.now())
		all = append(all, sent{l.submit(m), id, ok})
	}
	for _, s := range all {
		if a := await(l, s.answer); a.id != s.id || (a.err == nil) != s.ok {
			l.Errorf("answered %d, %v; want %d, stored %t", a.id, a.err, s.id, s.ok)
		}
	}
}

func (l *life) removeSession(s userTalk) {
	l.Helper()
	err := l.svc.RemoveSession(l.ctx, s.user, s.talk)
	if _, ok := l.sessions[s]; !ok {
		wantKind(l, err, chat.NotFound)
		return
	}
	l.must(err)
	delete(l.sessions, s)
	l.seen[s] = len(l.said[s.talk])
}

func (l *life) changeMember(m userTalk) {
	l.Helper()
	others := 0
	for k := range l.joined {
		if k.talk == m.talk && k.user != m.user {
			others++
		}
	}
	_, member := l.joined[m]
	switch {
	case !member:
		l.note("%d joins %s", m.user, m.talk)
		l.joins(m.talk.A, m.user)
		l.joined[m] = l.now()
	case others > 0:
		l.note("%d leaves %s", m.user, m.talk)
		l.leaves(m.talk.A, m.user)
		delete(l.joined, m)
		delete(l.sessions, m)
	default:
		return
	}
	l.seen[m] = len(l.said[m.talk])
}

func (l *life) check() {
	l.Helper()
	for _, u := range l.users {
		wantSame(l, fmt.Sprint("what ", u, " sees"), l.world.view(u, l.talks), l.model.view(u, l.talks))
	}
	totals, err := l.svc.Counters.UnreadTotals(l.ctx, l.users)
	l.must(err)
	maps.DeleteFunc(totals, func(_, n uint32) bool { return n == 0 })
	want := make(map[uint32]uint32)
	for _, u := range l.users {
		for _, talk := range l.talks {
			if n := l.model.unread(u, talk); n > 0 {
				want[u] += uint32(n)
			}
		}
	}
	wantSame(l, "totals", totals, want)
	if l.Failed() {
		l.Fatalf("after\n%s", strings.Join(l.log, "\n"))
	}
}
