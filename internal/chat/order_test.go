package chat_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestMessagesOfATalkAreNumberedAndAnsweredInTheOrderSent(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		for _, talk := range []chat.Talk{chat.PairTalk(1, 2), chat.GroupTalk(g)} {
			const n = 200
			order := make(chan int, n)
			for i := range n {
				m := w.pairText(uint32(1+i%2), uint32(2-i%2), fmt.Sprint(i))
				if talk.Kind == chat.Group {
					m = w.groupText(uint32(1+i%2), g, fmt.Sprint(i))
				}
				w.svc.Send(w.ctx, m, func(id uint32, err error) {
					if err != nil || id != uint32(i+1) {
						t.Errorf("%s: message %d has id %d, error %v", talk, i, id, err)
					}
					order <- i
				})
			}
			for want := range n {
				if got := await(w, order); got != want {
					w.Fatalf("%s: answer %d came when that of %d was due", talk, got, want)
				}
			}
			for i, m := range w.all(1, talk) {
				if m.Data != fmt.Sprint(n-1-i) || m.ID != uint32(n-i) {
					w.Fatalf("%s: message %d from the end is %d:%s", talk, i, m.ID, m.Data)
				}
			}
		}
	})
}

func TestTalksSentSideBySideKeepTheirOrder(t *testing.T) {
	rule(t, func(w *world) {
		const talks, each = 12, 40
		g := w.group(1, 2)
		var done sync.WaitGroup
		done.Add(talks * each)
		for talk := range uint32(talks) {
			go func() {
				next := uint32(1)
				for i := range each {
					m := w.pairText(100, 200+talk, fmt.Sprint(i))
					if talk == 0 {
						m = w.groupText(1, g, fmt.Sprint(i))
					}
					w.svc.Send(w.ctx, m, func(id uint32, err error) {
						defer done.Done()
						if err != nil || id != next {
							t.Errorf("talk %d: message %d has id %d (want %d), error %v", talk, i,
								id, next, err)
						}
						next++
					})
				}
			}()
		}
		done.Wait()
		wantSame(w, "relations", w.raw.Count("SELECT COUNT(*) FROM IMRelationShip"), talks-1)
	})
}

func TestFirstMessagesAtOnceMakeOneRelationAndTwoSessionsPerPair(t *testing.T) {
	rule(t, func(w *world) {
		const pairs, senders = 20, 8
		var done sync.WaitGroup
		for range senders {
			for p := range uint32(pairs) {
				done.Go(func() {
					answers := []<-chan answer{w.submit(w.pairText(1+p, 101+p, "x")),
						w.submit(w.pairText(101+p, 1+p, "x"))}
					for _, a := range answers {
						if a := <-a; a.err != nil {
							t.Error(a.err)
						}
					}
				})
			}
		}
		done.Wait()
		wantSame(w, "relations", w.raw.Count("SELECT COUNT(*) FROM IMRelationShip"), pairs)
		wantSame(w, "largest relation", w.raw.Count("SELECT MAX(id) FROM IMRelationShip"), pairs)
		wantSame(w, "sessions", w.raw.Count("SELECT COUNT(*) FROM IMRecentSession"), 2*pairs)
		for p := range uint32(pairs) {
			messages := w.all(1+p, chat.PairTalk(1+p, 101+p))
			if len(messages) != 2*senders || messages[0].ID != 2*senders {
				w.Errorf("pair %d has %s", p, brief(messages))
			}
			wantSame(w, "unread", w.unread(1+p), fmt.Sprintf("%d=%d", 101+p, senders))
		}
	})
}

func TestNewPairsOfABatchAreNumberedInTheOrderSent(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		var want []string
		l.together(w, func() {
			for i := range uint32(70) { // more than one statement inserts
				w.submit(w.pairText(500-i, 600, "x"))
				w.submit(w.pairText(600, 500-i, "x"))
				// 1 is the pair that held the rest up
				want = append(want, fmt.Sprintf("%d %d 600", i+2, 500-i))
			}
		})
		w.says(901, 902, "after all these")
		wantSame(w, "relations", w.raw.Rows("SELECT id,smallId,bigId FROM IMRelationShip "+
			"WHERE id>1 ORDER BY id"), want)
	})
}

func TestMemberChangesAndSendsOfAGroupTakeEffectInTheOrderAsked(t *testing.T) {
	rule(t, func(w *world) {
		g := w.group(1, 2)
		lane := chat.TalkLane(chat.GroupTalk(g))
		change := func(remove bool) {
			w.svc.Ordered(w.ctx, lane, func(err error) {
				if err == nil {
					_, _, err = w.svc.ChangeMembers(w.ctx,
						chat.MemberChange{Group: g, Remove: remove, Users: []uint32{3}})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		for round := range uint32(5) {
			outside := w.submit(w.groupText(3, g, "not yet"))
			change(false)
			inside := w.submit(w.groupText(3, g, "now"))
			change(true)
			again := w.submit(w.groupText(3, g, "no more"))
			wantKind(w, await(w, outside).err, chat.NotAllowed)
			wantSame(w, "while a member", await(w, inside), answer{id: round + 1}, sameErrors)
			wantKind(w, await(w, again).err, chat.NotAllowed)
		}
	})
}

func TestChangesOfALaneRunOneAfterTheOther(t *testing.T) {
	rule(t, func(w *world) {
		lane := chat.UserLane(1)
		order := make(chan int, 100)
		running := 0 // the lane is its lock
		for i := range 100 {
			w.svc.Ordered(w.ctx, lane, func(err error) {
				if running++; running != 1 || err != nil {
					t.Errorf("change %d: %d at once, error %v", i, running, err)
				}
				order <- i
				running--
			})
		}
		for want := range 100 {
			if got := await(w, order); got != want {
				w.Fatalf("change %d ran in the place of %d", got, want)
			}
		}
	})
}

func TestLanesDoNotWaitForEachOther(t *testing.T) {
	rule(t, func(w *world) {
		hold, held := make(chan struct{}), make(chan struct{})
		for _, lane := range []chat.Lane{
			chat.UserLane(1), chat.TalkLane(chat.PairTalk(1, 2)), chat.FilesLane(1),
		} {
			w.svc.Ordered(w.ctx, lane, func(error) {
				held <- struct{}{}
				<-hold
			})
			await(w, held)
		}
		w.says(1, 3, "not held up")
		close(hold)
	})
}

func TestAChangeWhoseDeadlinePassedInTheQueueIsNotDone(t *testing.T) {
	rule(t, func(w *world) {
		hold, told := make(chan struct{}), make(chan error, 1)
		w.svc.Ordered(w.ctx, chat.UserLane(1), func(error) { <-hold })
		ctx, cancel := context.WithCancel(w.ctx)
		w.svc.Ordered(ctx, chat.UserLane(1), func(err error) { told <- err })
		cancel()
		close(hold)
		wantKind(w, await(w, told), chat.Unavailable)
	})
}

func TestAMessageWhoseDeadlinePassedInTheQueueIsNotStored(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		release := l.hold(w)
		ctx, cancel := context.WithCancel(w.ctx)
		before := w.submit(w.pairText(1, 2, "before"))
		told := w.submitIn(ctx, w.pairText(1, 2, "late"))
		after := w.submit(w.pairText(1, 2, "after"))
		cancel()
		release()
		wantKind(w, await(w, told).err, chat.Unavailable)
		wantSame(w, "before", await(w, before), answer{id: 1}, sameErrors)
		wantSame(w, "after", await(w, after), answer{id: 2}, sameErrors)
		wantSame(w, "the talk", brief(w.all(1, chat.PairTalk(1, 2))), "2:after 1:before")
	})
}

func TestAFullQueueHoldsSendersUntilTheirDeadline(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		release := l.hold(w)
		const limit = 8192
		done := make(chan struct{}, limit)
		for i := range uint32(limit - 1) { // the one held up counts, too
			w.svc.Send(w.ctx, w.pairText(1+i%50, 100, "x"), func(_ uint32, err error) {
				if err != nil {
					w.Error(err)
				}
				done <- struct{}{}
			})
		}
		ctx, cancel := context.WithCancel(w.ctx)
		message, change := make(chan error, 1), make(chan error, 1)
		go w.svc.Send(ctx, w.pairText(1, 100, "one too many"), func(_ uint32, err error) {
			message <- err
		})
		go w.svc.Ordered(ctx, chat.UserLane(7), func(err error) { change <- err })
		cancel()
		wantKind(w, await(w, change), chat.Unavailable)
		release()
		wantKind(w, await(w, message), chat.Unavailable)
		for range limit - 1 {
			await(w, done)
		}
		wantSame(w, "messages to 100", w.unreadTotal(100), limit-1)
	})
}

// TestReadsGoOnWhileChangesWaitForTheDatabase has more changes wait than may run at once.
func TestReadsGoOnWhileChangesWaitForTheDatabase(t *testing.T) {
	rule(t, func(w *world) {
		w.raw.Run(w.engine.holdFiles) // as another process that writes for long
		const changes = 40
		told := make(chan error, changes)
		for i := range uint32(changes) {
			w.svc.Ordered(w.ctx, chat.UserLane(100+i), func(err error) {
				if err == nil {
					err = w.svc.RemoveFile(w.ctx, 1, 2, "task")
				}
				told <- err
			})
		}
		read := make(chan error, 1)
		w.read(w.ctx, func(err error) {
			if err == nil {
				_, err = w.svc.WaitingFiles(w.ctx, 2)
			}
			read <- err
		})
		w.must(await(w, read))
		w.raw.Run(w.engine.release)
		for range changes {
			w.must(await(w, told))
		}
	})
}
