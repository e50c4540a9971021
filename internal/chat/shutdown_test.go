package chat_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/turns"
)

// ends asks Run to end and waits for nothing.
func (w *world) ends() { w.cancel() }

// ended waits until Run has returned.
func (w *world) ended() {
	w.Helper()
	w.must(await(w, w.ran))
}

func TestAfterTheEndOfRunEverythingIsRefused(t *testing.T) {
	rule(t, func(w *world) {
		w.says(1, 2, "x")
		w.ends()
		w.ended()
		w.leavesNoTrace(func() {
			for _, m := range []chat.NewMessage{w.pairText(1, 2, "x"), w.pairVoice(1, 2, 1,
				"x"), w.groupText(1, 1, "x")} {
				_, err := w.send(m)
				wantKind(w, err, chat.Unavailable)
			}
			told := make(chan error, 1)
			w.svc.ReadAck(w.ctx, 2, chat.PairTalk(1, 2), func(err error) { told <- err })
			wantKind(w, await(w, told), chat.Unavailable)
			w.svc.Ordered(w.ctx, chat.UserLane(1), func(err error) { told <- err })
			wantKind(w, await(w, told), chat.Unavailable)
		})
		wantSame(w, "reads go on", w.unread(2), "1=1")
	})
}

func TestTheEndOfRunRefusesQueuedMessages(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		release := l.hold(w)
		queued := []<-chan answer{w.submit(w.pairText(1, 2, "a")), w.submit(w.pairText(1, 2, "b")),
			w.submit(w.pairText(3, 4, "c"))}
		w.ends()
		release()
		w.ended()
		for _, a := range queued {
			wantKind(w, await(w, a).err, chat.Unavailable)
		}
		wantSame(w, "the talk", brief(w.all(1, chat.PairTalk(1, 2))), "")
	})
}

func TestWhateverRunsEndDoesToAMessageItIsToldSo(t *testing.T) {
	rule(t, func(w *world) {
		var senders sync.WaitGroup
		stored := make([]int, 8) // per pair
		begun := make(chan struct{}, 8)
		for i := range uint32(8) {
			senders.Go(func() {
				for {
					a := <-w.submit(w.pairText(1+i, 101+i, "x"))
					if a.err != nil {
						wantKind(t, a.err, chat.Unavailable)
						return
					}
					if stored[i]++; stored[i] == 3 {
						begun <- struct{}{}
					}
				}
			})
		}
		for range 8 {
			await(w, begun)
		}
		w.ends()
		w.ended()
		senders.Wait()
		for i := range uint32(8) {
			wantSame(w, "messages of a pair", len(w.all(1+i, chat.PairTalk(1+i, 101+i))), stored[i])
		}
	})
}

func TestTheEndOfRunWaitsForTheChangeUnderWayAndRefusesThoseBehindIt(t *testing.T) {
	rule(t, func(w *world) {
		underWay, let := make(chan struct{}), make(chan struct{})
		told := make(chan error, 2)
		w.svc.Ordered(w.ctx, chat.UserLane(1), func(err error) {
			close(underWay)
			<-let
			told <- err
		})
		await(w, underWay)
		behind := make(chan error, 2)
		w.svc.Ordered(w.ctx, chat.UserLane(1), func(err error) { behind <- err })
		w.ends()
		wantKind(w, await(w, behind), chat.Unavailable)
		select {
		case <-w.ran:
			w.Error("Run returned while a change was pending")
		default:
		}
		close(let)
		w.must(await(w, told))
		w.ended()
	})
}

func TestTheEndOfRunRefusesAMessageWhoseSoundIsStillBeingStored(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s, entered, let := holdSound()
		w := start(t, e, s.wrap)
		defer let()
		slow := w.submit(w.pairVoice(1, 2, 1, "slow"))
		await(w, entered)
		behind := w.submit(w.pairText(1, 2, "behind"))
		w.ends()
		wantKind(w, await(w, slow).err, chat.Unavailable)
		let()
		wantKind(w, await(w, behind).err, chat.Unavailable)
		w.ended()
		wantSame(w, "the talk", brief(w.all(1, chat.PairTalk(1, 2))), "")
		if files := w.sounds(); len(files) > 0 {
			w.Errorf("the sound was left behind: %v", files)
		}
	})
}

func TestTheEndOfRunEndsThoseWhoWaitForReadAcks(t *testing.T) {
	onEngines(t, func(t *testing.T, e engine) {
		s, entered, let := holdSound()
		w := start(t, e, s.wrap)
		defer let()
		slow := w.submit(w.pairVoice(1, 2, 1, "slow"))
		await(w, entered)
		w.svc.ReadAck(w.ctx, 2, chat.PairTalk(1, 2), func(error) {})
		w.ends()
		w.must(w.svc.AwaitAcks(w.ctx, []uint32{2})) // the ack was refused
		await(w, slow)
		let()
		w.ended()
	})
}

// slots is how many reads, and how many changes, may run at once.
const slots = 32

// read begins a read, and changeOf n one of user n's changes; neither waits for it.
func (w *world) read(ctx context.Context, work func(error)) {
	w.stage.Serve(&reading{ctx: ctx, work: work})
}

// reading is a request that a stage serves alone.
type reading struct {
	ctx  context.Context
	work func(error)
	once sync.Once
}

func (r *reading) Context() context.Context { return r.ctx }
func (r *reading) done(err error)           { r.once.Do(func() { r.work(err) }) }

func (r *reading) Drop(waited bool, cause error) {
	if !waited {
		cause = errors.New("it was at work")
	}
	r.done(cause)
}

func newReads(svc *chat.Service) *turns.Stage[*reading] {
	serve := func(_ context.Context, batch []*reading) { batch[0].done(nil) }
	return turns.NewStage(svc.Reads(), 1, serve)
}

func (w *world) changeOf(n uint32) func(ctx context.Context, work func(error)) {
	return func(ctx context.Context, work func(error)) {
		w.svc.Ordered(ctx, chat.UserLane(n), work)
	}
}

func TestWhoWaitsForATurnGivesUpAtTheDeadline(t *testing.T) {
	rule(t, func(w *world) {
		for name, begin := range map[string]func(n uint32) func(context.Context, func(error)){
			"reads":   func(uint32) func(context.Context, func(error)) { return w.read },
			"changes": w.changeOf,
		} {
			let, running, ended := make(chan struct{}), make(chan struct{}), make(chan error, slots)
			for n := range uint32(slots) {
				begin(n)(w.ctx, func(err error) {
					running <- struct{}{}
					<-let
					ended <- err
				})
			}
			for range slots {
				await(w, running)
			}
			ctx, cancel := context.WithCancel(w.ctx)
			told := make(chan error, 1)
			begin(slots)(ctx, func(err error) { told <- err })
			select {
			case err := <-told:
				w.Errorf("%s: a turn too many: %v", name, err)
			default:
			}
			cancel()
			err := await(w, told)
			if !errors.Is(err, context.Canceled) {
				w.Errorf("%s: %v", name, err)
			}
			if name == "changes" {
				wantKind(w, err, chat.Unavailable)
			}
			close(let)
			for range slots {
				w.must(await(w, ended))
			}
		}
	})
}

func TestChangesThatWaitForTheStorageHoldUpNoReads(t *testing.T) {
	rule(t, func(w *world) {
		let, running, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		for n := range uint32(slots) {
			w.changeOf(n)(w.ctx, func(error) {
				running <- struct{}{}
				<-let
			})
			await(w, running)
		}
		w.read(w.ctx, func(err error) { done <- err })
		w.must(await(w, done))
		w.says(1, 2, "messages go on too")
		close(let)
	})
}
