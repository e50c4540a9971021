package chat_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// counted are the real counters; they note what is applied to them, and fail while they are told
// to.
type counted struct {
	chat.Counters
	came chan chat.Commit // every commit applied, or tried

	mu   sync.Mutex
	away bool

	revs map[chat.Talk]uint32 // the last seen by moved
}

func newCounted() *counted {
	return &counted{came: make(chan chat.Commit, 1000), revs: make(map[chat.Talk]uint32)}
}

func (c *counted) wrap(s *chat.Store) { c.Counters, s.Counters = s.Counters, c }

func (c *counted) goAway(away bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = away
}

// drain forgets what came.
func (c *counted) drain() {
	for len(c.came) > 0 {
		<-c.came
	}
}

func (c *counted) Apply(ctx context.Context, commits []chat.Commit) error {
	c.mu.Lock()
	away := c.away
	c.mu.Unlock()
	for _, commit := range commits {
		c.came <- commit
	}
	if away {
		return chat.Errorf(chat.Unavailable, "away")
	}
	return c.Counters.Apply(ctx, commits)
}

// moved is how the next commit applied moved the counters, in order of the users. Revisions must
// rise; they are left out.
func (c *counted) moved(w *world) []chat.Change {
	w.Helper()
	changes := await(w, c.came).Changes
	for i := range changes {
		slices.SortFunc(changes[i].Users, func(a, b chat.Moved) int {
			return cmp.Compare(a.User, b.User)
		})
		if talk := changes[i].Talk; changes[i].Rev <= c.revs[talk] {
			w.Errorf("%s: revision %d after %d", talk, changes[i].Rev, c.revs[talk])
		} else {
			c.revs[talk] = changes[i].Rev
		}
		changes[i].Rev = 0
	}
	return changes
}

// recorded are the commit records that are kept, those aside that only Outcome needs.
func (w *world) recorded() []string {
	w.Helper()
	return w.raw.Rows("SELECT id FROM IMProxyCommit WHERE COALESCE(changes,'')<>'{}' ORDER BY id")
}

func TestACommitSaysHowItMovedTheCounters(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		c := newCounted()
		w := start(t, e, c.wrap)
		g := w.group(1, 2)
		w.says(2, 1, "a")
		wantSame(w, "a message of a pair", c.moved(w),
			[]chat.Change{{Talk: chat.PairTalk(1, 2), Relation: 1, LastID: 1,
				Users: []chat.Moved{{User: 1, Unread: 1}}}})
		w.saysIn(g, 2, "b")
		wantSame(w, "a message of a group", c.moved(w),
			[]chat.Change{{Talk: chat.GroupTalk(g), LastID: 1, Count: 1,
				Users: []chat.Moved{{User: 2, Clear: true}}}})
		w.reads(1, chat.PairTalk(1, 2))
		wantSame(w, "a read ack of a pair", c.moved(w),
			[]chat.Change{{Talk: chat.PairTalk(1, 2), Relation: 1, LastID: 1,
				Users: []chat.Moved{{User: 1, Clear: true, Before: 1}}}})
		w.reads(1, chat.GroupTalk(g))
		wantSame(w, "a read ack of a group", c.moved(w),
			[]chat.Change{{Talk: chat.GroupTalk(g), LastID: 1, Before: 1, Count: 1,
				Users: []chat.Moved{{User: 1, Clear: true}}}})
	})
}

func TestACommitOfManyMovesEachTalkOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		c := newCounted()
		var l ledger
		w := start(t, e, func(s *chat.Store) { c.wrap(s); l.wrap(s) })
		g := w.group(1, 2, 3)
		l.together(w, func() {
			w.submit(w.pairText(1, 2, "a"))
			w.submit(w.groupText(1, g, "b"))
			w.submit(w.pairText(1, 2, "c"))
			w.svc.ReadAck(w.ctx, 2, chat.PairTalk(1, 2), func(error) {})
			w.submit(w.pairText(1, 2, "d"))
			w.submit(w.pairText(2, 1, "e"))
			w.submit(w.groupText(2, g, "f"))
			w.submit(w.groupText(9, g, "refused"))
			w.submit(w.groupText(1, g, "g"))
			w.submit(w.groupText(3, g, "h"))
		})
		await(w, c.came) // the one that held the rest up
		wantSame(w, "changes", c.moved(w), []chat.Change{
			{Talk: chat.PairTalk(1, 2), Relation: 2, LastID: 4,
				Users: []chat.Moved{{User: 1, Unread: 1}, {User: 2, Clear: true, Unread: 1}}},
			{Talk: chat.GroupTalk(g), LastID: 4, Count: 4,
				Users: []chat.Moved{{User: 1, Clear: true, Unread: 1},
					{User: 2, Clear: true, Unread: 2}, {User: 3, Clear: true}}},
		})
	})
}

func TestRecordsOfAppliedCommitsGoWithALaterCommit(t *testing.T) {
	rule(t, func(w *world) {
		var before []string
		for range 5 {
			w.says(1, 2, "x")
			now := w.recorded()
			if len(now) != 1 || slices.Equal(now, before) {
				w.Errorf("records %v, before %v", now, before)
			}
			before = now
		}
	})
}

func TestCountersFollowByThemselvesOnceTheirStoreIsBack(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		c := newCounted()
		w := start(t, e, c.wrap)
		c.goAway(true)
		w.says(1, 2, "a", "b", "c")
		left := make(map[chat.CommitID]bool)
		for len(left) < 3 { // tries while it is away may have come, too
			left[await(w, c.came).ID] = true
		}
		wantSame(w, "records of what was not applied", len(w.recorded()), 3)
		c.drain()
		c.goAway(false)
		for len(left) > 0 {
			delete(left, await(w, c.came).ID)
		}
		for end := time.Now().Add(patience); len(w.recorded()) > 1; w.says(1, 2,
			"the records of applied commits go with a later one") {
			if time.Now().After(end) {
				w.Fatalf("records stay: %v", w.recorded())
			}
		}
	})
}

func TestCommitsLeftByACrashAreAppliedAtTheNextStart(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		c := newCounted()
		w := start(t, e, c.wrap)
		c.goAway(true)
		w.says(1, 2, "a", "b")
		left := []chat.Commit{await(w, c.came), await(w, c.came)}
		wantSame(w, "records", len(w.recorded()), 2)

		w.restart() // still away: they stay
		for range left {
			await(w, c.came)
		}
		wantSame(w, "records", len(w.recorded()), 2)

		c.goAway(false)
		w.restart()
		for range left {
			commit := await(w, c.came)
			if !slices.ContainsFunc(left, func(l chat.Commit) bool { return l.ID == commit.ID }) {
				w.Errorf("applied %s, which is not one of those left", commit.ID)
			}
			if len(commit.Changes) != 1 || commit.Changes[0].Talk != chat.PairTalk(1, 2) {
				w.Errorf("applied %+v", commit)
			}
		}
		w.says(1, 2, "c")
		last := left[0].ID
		for last == left[0].ID || last == left[1].ID { // tries while it was away may have come, too
			last = await(w, c.came).ID
		}
		wantSame(w, "records after the next commit", w.recorded(), []string{last.String()})
		wantSame(w, "unread of 2", w.unread(2), "1=3")
	})
}

func TestABatchThatWasNotStoredKeepsTheRecordsItWouldHaveDeleted(t *testing.T) {
	rule(t, func(w *world) {
		w.refuseRows("bad")
		w.says(1, 2, "x")
		before := w.recorded()
		if _, err := w.send(w.pairText(1, 2, "bad")); err == nil {
			w.Fatal("stored what the database refuses")
		}
		wantSame(w, "records", w.recorded(), before)
		w.says(1, 2, "x")
		if now := w.recorded(); len(now) != 1 || slices.Equal(now, before) {
			w.Errorf("records %v, before %v", now, before)
		}
	})
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		w.says(1, 2, "a", "b")
		w.saysIn(g, 1, "c")
		w.stored(w.pairVoice(2, 1, 7, "sound"))
		w.must(w.svc.MuteGroup(w.ctx, 2, g, 1))
		w.setToken(2, chat.IOS, "tok")
		before := w.snapshot()
		w.restart()
		wantSame(w, "what is stored", w.snapshot(), before)
		wantSame(w, "unread of 2", w.unread(2), "1=2 g1=1")
		wantSame(w, "pushed to", w.pushes(2), "2/11/tok/3")
		wantSame(w, "mutes", w.mutes(g, 2), "[1]")
		wantSame(w, "the pair", brief(w.all(1, chat.PairTalk(1, 2))), "3:"+voiceData(7, "sound")+
			" 2:b 1:a")
		wantSame(w, "the next id", w.stored(w.pairText(1, 2, "d")), 4)
		wantSame(w, "the group's next id", w.stored(w.groupText(1, g, "e")), 2)
	})
}
