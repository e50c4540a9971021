package chat_test

import (
	"context"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// holdSound makes a store of sounds whose Save of "slow" waits until let is called; entered has a
// word for every such Save that waits. Tests defer let too, for when they fail.
func holdSound() (s *sounds, entered <-chan struct{}, let func()) {
	waiting, held := make(chan struct{}, 100), make(chan struct{})
	return &sounds{save: func(_ context.Context, sound string, real func() (string, error)) (string,
		error) {
		if sound == "slow" {
			waiting <- struct{}{}
			<-held
		}
		return real()
	}}, waiting, sync.OnceFunc(func() { close(held) })
}

func TestASlowSoundHoldsOnlyItsOwnTalk(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s, entered, let := holdSound()
		w := start(t, e, s.wrap)
		defer let()
		g := w.group(1, 2)
		order := make(chan string, 10)
		send := func(what string, m chat.NewMessage) {
			w.svc.Send(w.ctx, m, func(_ uint32, err error) {
				if err != nil {
					t.Error(what, err)
				}
				order <- what
			})
		}
		send("before", w.pairText(1, 2, "before"))
		wantSame(w, "answered first", await(w, order), "before")
		send("slow", w.pairVoice(1, 2, 1, "slow"))
		await(w, entered)
		send("after", w.pairText(2, 1, "after"))
		send("quick voice", w.pairVoice(2, 1, 1, "quick"))
		w.svc.ReadAck(w.ctx, 2, chat.PairTalk(1, 2), func(error) { order <- "ack" })
		send("last", w.pairText(1, 2, "last"))
		w.says(1, 3, "other pairs go on")
		w.saysIn(g, 1, "groups go on")
		w.stored(w.pairVoice(1, 4, 1, "other sounds go on"))
		select {
		case what := <-order:
			w.Errorf("%s was answered before the slow sound", what)
		default:
		}
		let()
		for _, want := range []string{"slow", "after", "quick voice", "ack", "last"} {
			wantSame(w, "the next answer", await(w, order), want)
		}
		slow, quick := voiceData(1, "slow"), voiceData(1, "quick")
		wantSame(w, "the talk", brief(w.all(1, chat.PairTalk(1, 2))), "5:last 4:"+quick+
			" 3:after 2:"+slow+" 1:before")
		wantSame(w, "unread of 2", w.unread(2), "1=1 g1=1")
	})
}

func TestSoundsOfATalkAreStoredSideBySideAndItsMessagesInOrder(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s, entered, let := holdSound()
		w := start(t, e, s.wrap)
		defer let()
		var answers []<-chan answer
		for range 5 {
			answers = append(answers, w.submit(w.pairVoice(1, 2, 1, "slow")))
		}
		for range answers {
			await(w, entered) // all at once: uploads start when they are sent
		}
		let()
		for i, a := range answers {
			wantSame(w, "answer", await(w, a), answer{id: uint32(i + 1)}, sameErrors)
		}
	})
}

func TestAVoiceMessageWhoseSoundCannotBeStoredIsRefused(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := &sounds{save: func(_ context.Context, sound string,
			real func() (string, error)) (string, error) {
			if sound == "bad" {
				return "", errFault
			}
			return real()
		}}
		w := start(t, e, s.wrap)
		g := w.group(1, 2)
		w.leavesNoTrace(func() {
			for _, m := range []chat.NewMessage{w.pairVoice(1, 2, 1, "bad"), w.groupVoice(1, g, 1,
				"bad")} {
				id, err := w.send(m)
				if wantKind(w, err, chat.Unavailable); id != 0 {
					w.Errorf("id %d", id)
				}
			}
		})
		wantSame(w, "the next id", w.stored(w.pairVoice(1, 2, 1, "good")), 1)
		wantSame(w, "the group's next id", w.stored(w.groupText(1, g, "good")), 1)
	})
}

func TestASoundThatIsNotStoredInTimeRefusesItsMessage(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s := &sounds{save: func(ctx context.Context, _ string, _ func() (string, error)) (string,
			error) {
			<-ctx.Done()
			return "", ctx.Err()
		}}
		w := start(t, e, s.wrap)
		ctx, cancel := context.WithCancel(w.ctx)
		told := w.submitIn(ctx, w.pairVoice(1, 2, 1, "sound"))
		after := w.submit(w.pairText(1, 2, "after"))
		cancel()
		wantKind(w, await(w, told).err, chat.Unavailable)
		wantSame(w, "after", await(w, after), answer{id: 1}, sameErrors)
	})
}

func TestTheSoundOfAMessageThatWasNotStoredIsRemoved(t *testing.T) {
	for name, send := range map[string]func(w *world, l *ledger){
		"not a member": func(w *world, _ *ledger) {
			_, err := w.send(w.groupVoice(9, w.group(1, 2), 1, "sound"))
			wantKind(w, err, chat.NotAllowed)
		},
		"no such group": func(w *world, _ *ledger) {
			_, err := w.send(w.groupVoice(1, 77, 1, "sound"))
			wantKind(w, err, chat.NotAllowed)
		},
		"the storage is away": func(w *world, l *ledger) {
			l.fail(notStored, notStored, notStored, notStored)
			_, err := w.send(w.pairVoice(1, 2, 1, "sound"))
			wantKind(w, err, chat.Unavailable)
		},
		"the deadline passed in the queue": func(w *world, l *ledger) {
			release := l.hold(w)
			ctx, cancel := context.WithCancel(w.ctx)
			told := w.submitIn(ctx, w.pairVoice(1, 2, 1, "sound"))
			cancel()
			release()
			wantKind(w, await(w, told).err, chat.Unavailable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ruleOnLedger(t, func(w *world, l *ledger) {
				send(w, l)
				w.end() // nothing is pending any more
				if files := w.sounds(); len(files) > 0 {
					w.Errorf("left behind: %v", files)
				}
			})
		})
	}
}

func TestTheSoundOfAMessageOfUnknownOutcomeStays(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		l.fail(storedUnknown)
		w.stored(w.pairVoice(1, 2, 1, "sound"))
		wantSame(w, "the talk", brief(w.all(1, chat.PairTalk(1, 2))), "1:"+voiceData(1, "sound"))
	})
}
