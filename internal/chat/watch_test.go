package chat_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestEveryTryToCommitIsToldOf(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		tries := func() (all []string) {
			for {
				select {
				case try := <-w.tries:
					all = append(all, try)
				default:
					return all
				}
			}
		}
		w.says(1, 2, "12345")
		wantSame(w, "a message", tries(), []string{"1 rows, 69 bytes, <nil>"})
		var three []<-chan answer
		l.together(w, func() {
			for range 3 {
				three = append(three, w.submit(w.pairText(1, 2, "x")))
			}
		})
		for _, one := range three {
			await(w, one)
		}
		w.says(1, 2, "after them")
		wantSame(w, "one held up and three together", tries(), []string{
			"1 rows, 71 bytes, <nil>", "3 rows, 195 bytes, <nil>", "1 rows, 74 bytes, <nil>",
		})
		l.fail(func(func() (chat.Receipt, error)) (chat.Receipt, error) {
			return chat.Receipt{}, chat.Errorf(chat.Unavailable, "not now")
		})
		w.says(1, 2, "x")
		wantSame(w, "a failure and its retry", tries(),
			[]string{"1 rows, 65 bytes, not now", "1 rows, 65 bytes, <nil>"})
	})
}

// committed is the Committed of a world's service.
func (w *world) committed(rows, bytes int, took time.Duration, err error) {
	if took < 0 {
		w.Errorf("a commit took %v", took)
	}
	select {
	case w.tries <- fmt.Sprintf("%d rows, %d bytes, %v", rows, bytes, err):
	default: // a test that stores much looks at none of them
	}
}

func TestQueueTellsWhatWaits(t *testing.T) {
	rule(t, func(w *world) {
		wantSame(w, "nothing", w.svc.Queue(), chat.Queue{Limit: 8192})
		running, let := make(chan struct{}), make(chan struct{})
		told := make(chan error, 3)
		w.changeOf(1)(w.ctx, func(err error) {
			close(running)
			<-let
			told <- err
		})
		await(w, running)
		for range 2 {
			w.changeOf(1)(w.ctx, func(err error) { told <- err })
		}
		wantSame(w, "two behind one", w.svc.Queue(), chat.Queue{Waiting: 2, Lanes: 1, Limit: 8192})
		close(let)
		for range 3 {
			w.must(await(w, told))
		}
	})
}

func TestWhatWaitsInVainIsDropped(t *testing.T) {
	rule(t, func(w *world) {
		w.ends()
		w.ended()
		if _, err := w.send(w.pairText(1, 2, "x")); !errors.Is(err, chat.ErrDropped) {
			w.Errorf("after the end: %v", err)
		}
	})
}
