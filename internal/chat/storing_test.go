package chat_test

import (
	"errors"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func TestMessagesThatAreNotStoredAreTroubleUntilTheyAreAgain(t *testing.T) {
	ruleOnLedger(t, func(w *world, l *ledger) {
		count := func(when string, want int) {
			w.Helper()
			what, failing := w.svc.Failing()
			if what.Count != want || failing != (want > 0) ||
				failing != errors.Is(what.Err, errFault) {
				w.Errorf("%s: failing %v, %+v", when, failing, what)
			}
		}
		fails := func() {
			w.Helper()
			l.fail(notStored, notStored, notStored, notStored)
			_, err := w.send(w.pairText(1, 2, "x"))
			wantKind(w, err, chat.Unavailable)
		}
		l.fail(notStored)
		w.says(1, 2, "stored at the second try")
		_, err := w.send(w.pairText(1, 2, "\xff"))
		wantKind(w, err, chat.Invalid)
		count("tried again, and a row that the rules refuse", 0)

		fails()
		count("one failed", 1)
		begun := w.clock.now()
		w.advance(seconds(3600))
		count("nothing was stored for an hour", 1)
		fails()
		w.says(1, 2, "y")
		count("some are stored and some fail", 2)
		if what, _ := w.svc.Failing(); !what.Since.Equal(begun) || !what.Last.Equal(w.clock.now()) {
			w.Errorf("%+v, begun at %v", what, begun)
		}
		w.advance(seconds(9))
		count("none failed for 9 seconds", 2)
		w.advance(seconds(1))
		count("none failed for 10 seconds", 0)

		fails()
		w.advance(seconds(60))
		count("again", 1)
		w.says(1, 2, "z")
		count("stored long after the last that failed", 0)
	})
}
