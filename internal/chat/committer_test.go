package chat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// The faults that a commit can meet.

var errFault = errors.New("a fault of the test's")

// notStored: the batch does not reach the database.
func notStored(func() (chat.Receipt, error)) (chat.Receipt, error) {
	return chat.Receipt{}, chat.Errorf(chat.Unavailable, "not stored: %w", errFault)
}

// storedUnknown: the batch is stored, and nobody says so.
func storedUnknown(real func() (chat.Receipt, error)) (chat.Receipt, error) {
	receipt, err := real()
	if err != nil {
		return receipt, err
	}
	return receipt, chat.Errorf(chat.UnknownOutcome, "stored, but who knows: %w", errFault)
}

// lostUnknown: the batch is not stored, and nobody says so. Its receipt says what would have been.
func lostUnknown(func() (chat.Receipt, error)) (chat.Receipt, error) {
	stored := make([]chat.Stored, 600)
	for i := range stored {
		stored[i].ID = 666
	}
	return chat.Receipt{Stored: stored}, chat.Errorf(chat.UnknownOutcome,
		"not stored, but who knows: %w", errFault)
}

func cannotTell(func() (bool, error)) (bool, error) {
	return false, chat.Errorf(chat.Unavailable, "cannot ask: %w", errFault)
}

// answerLost: what became of the commit is found out, and the answer is lost on its way.
func answerLost(real func() (bool, error)) (bool, error) {
	if _, err := real(); err != nil {
		return false, err
	}
	return false, chat.Errorf(chat.UnknownOutcome, "asked, but who knows: %w", errFault)
}

func TestMessagesAreStoredOnceWhateverFaultACommitMeets(t *testing.T) {
	for name, test := range map[string]struct {
		append   []appendFault
		outcomes []outcomeFault
	}{
		"none":               {nil, nil},
		"failed, not stored": {[]appendFault{notStored}, nil},
		"failed thrice": {[]appendFault{notStored, notStored, notStored},
			nil},
		"unknown, but stored":              {[]appendFault{storedUnknown}, nil},
		"unknown, and not stored":          {[]appendFault{lostUnknown}, nil},
		"unknown twice":                    {[]appendFault{lostUnknown, storedUnknown}, nil},
		"failed, then unknown, but stored": {[]appendFault{notStored, storedUnknown}, nil},
		"stored; asking fails at first": {[]appendFault{storedUnknown},
			[]outcomeFault{cannotTell, cannotTell}},
		"not stored; asking fails at first": {[]appendFault{lostUnknown},
			[]outcomeFault{cannotTell}},
		"stored; the answer to asking is lost": {[]appendFault{storedUnknown},
			[]outcomeFault{answerLost}},
		"not stored; that answer is lost": {[]appendFault{lostUnknown},
			[]outcomeFault{answerLost, answerLost}},
		"unknown and not stored, then failure": {[]appendFault{lostUnknown, notStored}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ruleOnLedger(t, func(w *world, l *ledger) {
				g := w.group(1, 2)
				release := l.hold(w)
				l.fail(test.append...)
				l.failOutcome(test.outcomes...)
				var answers []<-chan answer
				for i := range 3 {
					answers = append(answers, w.submit(w.pairText(1, 2, fmt.Sprint(i+1))),
						w.submit(w.groupText(1, g, fmt.Sprint(i+1))))
				}
				release()
				for i, a := range answers {
					wantSame(w, "answer", await(w, a), answer{id: uint32(i/2 + 1)}, sameErrors)
				}
				w.saysIn(g, 1, "4")
				wantSame(w, "the pair", brief(w.all(2, chat.PairTalk(1, 2))), "3:3 2:2 1:1")
				wantSame(w, "the group", brief(w.all(2, chat.GroupTalk(g))), "4:4 3:3 2:2 1:1")
				wantSame(w, "unread of 2", w.unread(2), fmt.Sprintf("1=3 g%d=4", g))
			})
		})
	}
}

func TestWhatIsDroppedDoesNotWaitForWhatIsStored(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		release := l.hold(w)
		gate := make(chan struct{})
		l.fail(func(real func() (chat.Receipt, error)) (chat.Receipt, error) {
			<-gate
			return real()
		})
		gone, giveUp := context.WithCancel(w.ctx)
		dropped := w.submitIn(gone, w.pairText(1, 2, "nobody waits for it any more"))
		kept := w.submit(w.pairText(1, 2, "x"))
		giveUp()
		release()
		wantKind(w, await(w, dropped).err, chat.Unavailable) // while the other one is being stored
		if len(kept) > 0 {
			w.Error("answered before it was stored")
		}
		close(gate)
		wantSame(w, "answer", await(w, kept), answer{id: 1}, sameErrors)
	})
}

func TestABatchThatCannotBeStoredIsRefusedAtLast(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		l.fail(notStored, notStored, notStored, notStored)
		w.leavesNoTrace(func() {
			id, err := w.send(w.pairText(1, 2, "x"))
			if wantKind(w, err, chat.Unavailable); id != 0 || !errors.Is(err, errFault) {
				w.Errorf("id %d, error %v", id, err)
			}
		})
		wantSame(w, "the next id", w.stored(w.pairText(1, 2, "y")), 1)
	})
}

func TestEveryTryIsACommitOfItsOwn(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		l.fail(notStored, lostUnknown)
		w.says(1, 2, "x")
		ids := make(map[chat.CommitID]bool)
		for _, b := range l.seen() {
			ids[b.ID] = true
		}
		wantSame(w, "commit ids of three tries", len(ids), 3)
	})
}

// dueAt is a context with a deadline that does not end when it comes: what it belongs to is tried
// in any case.
type dueAt struct {
	context.Context
	at time.Time
}

func (d dueAt) Deadline() (time.Time, bool) { return d.at, true }

func TestAnOutcomeUnknownAtTheDeadlineIsSaidToBe(t *testing.T) {
	for name, test := range map[string]struct {
		fault appendFault
		want  string // what is stored
	}{
		"stored":     {storedUnknown, "1:x"},
		"not stored": {lostUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ruleOnLedger(t, func(w *world, l *ledger) {
				l.fail(test.fault)
				for range 1000 {
					l.failOutcome(cannotTell)
				}
				deadline := time.Now().Add(800 * time.Millisecond)
				told := w.submitIn(dueAt{w.ctx, deadline}, w.pairText(1, 2, "x"))
				err := await(w, told).err
				wantKind(w, err, chat.UnknownOutcome)
				if time.Now().Before(deadline) {
					w.Error("it was said before the deadline")
				}
				wantSame(w, "the talk", brief(w.all(1, chat.PairTalk(1, 2))), test.want)
				w.says(1, 2, "y") // and goes on
			})
		})
	}
}

// TestWhatASlowCommitWouldOutlastIsGivenUp sends with less time left than the commit before took: a
// COMMIT that the deadline interrupts would have no answer.
func TestWhatASlowCommitWouldOutlastIsGivenUp(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		soon := func() <-chan answer {
			at := time.Now().Add(900 * time.Millisecond)
			return w.submitIn(dueAt{w.ctx, at}, w.pairText(1, 2, "soon"))
		}
		l.fail(func(real func() (chat.Receipt, error)) (chat.Receipt, error) {
			<-time.After(1200 * time.Millisecond)
			return real()
		})
		w.says(1, 2, "slow")
		begun := len(l.seen())
		if err := await(w, soon()).err; !errors.Is(err, chat.ErrDropped) {
			w.Errorf("it was answered with %v", err)
		}
		wantSame(w, "commits begun since", len(l.seen())-begun, 0)
		for range 20 { // and then the slow one is forgotten
			w.says(1, 2, "quick")
		}
		if err := await(w, soon()).err; err != nil {
			w.Errorf("after quick ones it was answered with %v", err)
		}
	})
}

// TestASlowCommitIsForgottenWithoutAnother sends messages that all have less time than one commit
// took: were each of them given up for that commit, none would ever be stored again.
func TestASlowCommitIsForgottenWithoutAnother(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		l.fail(func(real func() (chat.Receipt, error)) (chat.Receipt, error) {
			<-time.After(1200 * time.Millisecond)
			return real()
		})
		w.says(1, 2, "slow")
		var err error
		for range 20 {
			at := time.Now().Add(900 * time.Millisecond)
			err = await(w, w.submitIn(dueAt{w.ctx, at}, w.pairText(1, 2, "soon"))).err
			if err == nil {
				return
			}
		}
		w.Errorf("the last of 20 was answered with %v", err)
	})
}

func TestASenderWithoutADeadlineLearnsTheOutcomeToo(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		l.fail(storedUnknown)
		told := w.submitIn(context.Background(), w.pairText(1, 2, "x"))
		wantSame(w, "answer", await(w, told), answer{id: 1}, sameErrors)
	})
}

func TestARowThatTheDatabaseRefusesDoesNotFailItsNeighbours(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		g := w.group(1, 2) // group 1
		w.refuseRows("bad")
		w.says(901, 902, "has relation 1")
		type sent struct {
			answer <-chan answer
			bad    bool
		}
		var all []sent
		l.together(w, func() {
			for i := range 60 {
				bad := i%17 == 3
				text := fmt.Sprint(i)
				if bad {
					text = "bad"
				}
				all = append(all, sent{w.submit(w.pairText(1, 2, text)), bad},
					sent{w.submit(w.groupText(1, g, text)), bad})
			}
		})
		next := uint32(0) // of the pair and the group alike
		for i, s := range all {
			a := await(w, s.answer)
			if s.bad {
				if wantKind(w, a.err, chat.Unavailable); a.id != 0 {
					w.Errorf("a refused message has id %d", a.id)
				}
				continue
			}
			if i%2 == 0 {
				next++
			}
			wantSame(w, "answer", a, answer{id: next}, sameErrors)
		}
		for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(g)} {
			stored := brief(w.all(1, talk))
			if strings.Contains(stored, "bad") || !strings.HasPrefix(stored, "56:59 55:58 ") {
				w.Errorf("%s: %s", talk, stored)
			}
		}
		wantSame(w, "unread of 2", w.unread(2), fmt.Sprintf("1=56 g%d=56", g))
		if n := l.largest(); n < 120 {
			w.Errorf("the largest batch had %d drafts: the test did not test", n)
		}
	})
}

func TestAnswersComeInTheOrderSentThoughABatchIsSplit(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		w.refuseRows("bad")
		order := make(chan int, 40)
		l.together(w, func() {
			for i := range 40 {
				text := "good"
				if i%7 == 2 {
					text = "bad"
				}
				w.svc.Send(w.ctx, w.pairText(1, uint32(2+i%3*100), text), func(uint32, error) {
					order <- i
				})
			}
		})
		for want := range 40 {
			if got := await(w, order); got != want {
				w.Fatalf("answer %d came when that of %d was due", got, want)
			}
		}
	})
}

// held holds up the counters of messages, by their ids, until let has a token for them.
type held struct {
	chat.Counters
	let     map[uint32]chan struct{}
	applied chan uint32 // the ids of those that were not held up any more
}

func (h *held) Apply(ctx context.Context, commits []chat.Commit) error {
	for _, c := range commits {
		id := c.Changes[0].LastID
		<-h.let[id]
		h.applied <- id
	}
	return h.Counters.Apply(ctx, commits)
}

// TestTheNextBatchIsStoredWhileTheCountersFollow: only its answers wait for those of the one
// before, and so do changes of the talks in it.
func TestTheNextBatchIsStoredWhileTheCountersFollow(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		l := new(ledger)
		h := &held{applied: make(chan uint32, 2),
			let: map[uint32]chan struct{}{1: make(chan struct{}), 2: make(chan struct{})}}
		w := start(t, e, func(s *chat.Store) { l.wrap(s); h.Counters, s.Counters = s.Counters, h })
		stored := make(chan error, 2)
		told := func(real func() (chat.Receipt, error)) (chat.Receipt, error) {
			receipt, err := real()
			stored <- err
			return receipt, err
		}
		l.fail(told, told)
		first := w.submit(w.pairText(1, 2, "first"))
		w.must(await(w, stored))
		second := w.submit(w.pairText(1, 2, "second"))
		w.must(await(w, stored))
		changed := make(chan error, 1)
		w.svc.Ordered(w.ctx, chat.TalkLane(chat.PairTalk(1, 2)),
			func(err error) { changed <- err })

		close(h.let[2])
		wantSame(w, "the counters that follow first", await(w, h.applied), 2)
		wantSame(w, "answers and changes before the counters of the first",
			len(first)+len(second)+len(changed), 0)
		close(h.let[1])
		wantSame(w, "the first", await(w, first), answer{id: 1}, sameErrors)
		wantSame(w, "the second", await(w, second), answer{id: 2}, sameErrors)
		w.must(await(w, changed))
	})
}
