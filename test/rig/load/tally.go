package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// Tally is what became of requests.
type Tally struct {
	Done    int // answered as they should be: messages with an id
	Refused int
	Silent  int           // not answered
	Lost    int           // not answered before their connection ended
	Slowest time.Duration // of those answered
	Late    int           // answered after more than half a second, which nothing depends on
}

// Add counts a request.
func (n *Tally) Add(r *lines.Request) {
	switch {
	case r.Good:
		n.Done++
	case r.Took != 0:
		n.Refused++
	case r.Lost:
		n.Lost++
	default:
		n.Silent++
	}
	n.Slowest = max(n.Slowest, r.Took)
	if r.Took > 500*time.Millisecond {
		n.Late++
	}
}

// Sum adds other requests to these.
func (n *Tally) Sum(m Tally) {
	n.Done, n.Refused, n.Silent, n.Lost = n.Done+m.Done, n.Refused+m.Refused, n.Silent+m.Silent,
		n.Lost+m.Lost
	n.Slowest, n.Late = max(n.Slowest, m.Slowest), n.Late+m.Late
}

// Failed is how many were not done.
func (n *Tally) Failed() int { return n.Refused + n.Silent + n.Lost }

// Tally counts the requests that match.
func (l *Load) Tally(match func(*lines.Request) bool) (n Tally) {
	l.Each(func(r *lines.Request) {
		if match(r) {
			n.Add(r)
		}
	})
	return n
}

// Lap says how requests were answered in a stretch of time.
func (l *Load) Lap(from, to time.Time) string {
	n := l.Tally(func(r *lines.Request) bool {
		came := r.Begun.Add(r.Took)
		return r.Took != 0 && came.After(from) && came.Before(to)
	})
	return fmt.Sprintf("%d answered, %d of them after more than 500ms, the slowest after %v",
		n.Done+n.Refused, n.Late, n.Slowest.Round(time.Millisecond))
}

// Meanwhile counts the requests that the fault may have touched, messages or others: those that
// were sent while it lasted, or waited for their answer when it began.
func (l *Load) Meanwhile(messages bool) Tally {
	return l.Tally(func(r *lines.Request) bool {
		return r.Message() == messages && !l.before(r) && r.Begun.Before(l.ended) &&
			!r.Begun.Before(l.started)
	})
}

// before says whether a request was over when the fault began.
func (l *Load) before(r *lines.Request) bool {
	took := r.Took
	if took == 0 {
		took = givenUpAfter
	}
	return r.Begun.Add(took).Before(l.begun)
}

// backAfter is how long after the end of the fault the first message was answered with an id, and
// from when on all were.
func (l *Load) backAfter() time.Duration {
	first, last := time.Duration(-1), time.Duration(0)
	l.Each(func(r *lines.Request) {
		since := r.Begun.Sub(l.ended)
		switch {
		case since < 0 || !r.Message():
		case r.ID == 0:
			last = max(last, since)
		case first < 0 || since+r.Took < first:
			first = since + r.Took
		}
	})
	return max(first, last)
}

// Guarantee logs what became of requests, in the form in which docs/guarantees.md has it.
func (l *Load) Guarantee(t *testing.T, name string) {
	t.Helper()
	n, reads := l.Meanwhile(true), l.Meanwhile(false)
	before := l.Tally(func(r *lines.Request) bool {
		return r.Message() && l.before(r) && !r.Begun.Before(l.started)
	})
	rig.Guarantee(t, name,
		fmt.Sprintf("(%v) %d stored, %d refused, %d without answer, longest answer %v, "+
			"reads %d answered, %d not; before, the longest answer took %v",
			l.ended.Sub(l.begun).Round(10*time.Millisecond), n.Done, n.Refused, n.Silent+n.Lost,
			n.Slowest.Round(time.Millisecond), reads.Done+reads.Refused, reads.Silent+reads.Lost,
			before.Slowest.Round(time.Millisecond)),
		fmt.Sprint(l.backAfter().Round(10*time.Millisecond)))
}

// CheckRefused sees that fewer than 1 in 100 messages were refused, but for those to the proxy at
// addr while the fault lasted.
func (l *Load) CheckRefused(t *testing.T, addr string) {
	t.Helper()
	n := l.Tally(func(r *lines.Request) bool {
		there := r.Addr == addr && r.Begun.After(l.begun) && r.Begun.Before(l.ended)
		return r.Message() && !there
	})
	t.Logf("%d messages were stored and %d refused, those to the proxy aside whose node was gone",
		n.Done, n.Refused)
	if n.Refused*100 >= n.Done {
		t.Errorf("%d messages were refused, %d stored", n.Refused, n.Done)
	}
}
