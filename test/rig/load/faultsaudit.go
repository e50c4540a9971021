package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
)

// Tally counts what was sent before the fault, and what it may have touched: what began while it lasted, or was under way
// when it began.
func (l *Faults) Tally() (before, meanwhile tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := func(begun time.Time, took time.Duration, answered bool) *tally {
		if !answered {
			took = givenUpAfter
		}
		switch {
		case begun.Before(l.started):
			return new(tally) // of a load before
		case begun.Add(took).Before(l.begun):
			return &before
		case begun.Before(l.ended):
			return &meanwhile
		}
		return new(tally)
	}
	for _, a := range l.tries {
		n := at(a.begun, a.took, a.took != 0)
		switch {
		case a.id != 0:
			n.stored++
		case a.took != 0:
			n.Refused++
		default:
			n.Silent++
		}
		n.longest = max(n.longest, a.took)
	}
	for _, q := range l.lookups {
		n := at(q.begun, q.took, q.answered)
		if q.answered {
			n.reads++
		} else {
			n.unread++
		}
	}
	return before, meanwhile
}

// backAfter is how long after the end of the fault the first message was answered with an id, and from when on all were.
func (l *Faults) backAfter() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, last := time.Duration(-1), time.Duration(0)
	for _, a := range l.tries {
		since := a.begun.Sub(l.ended)
		switch {
		case since < 0:
		case a.id == 0:
			last = max(last, since)
		case first < 0 || since+a.took < first:
			first = since + a.took
		}
	}
	return max(first, last)
}

// Audit compares what was told with what is stored, once it is quiet.
func (l *Faults) Audit(t *testing.T) {
	t.Helper()
	l.auditDeadlines(t)
	audit.Touch(t, l.w, l.Sent)
	rows := audit.Check(t, l.w, l.Sent)
	stored := make(map[string]bool)
	for k, list := range rows {
		last := make(map[uint64]uint64) // by connection
		for _, m := range list {
			stored[m.Content] = true
			var line, serial uint64
			if _, err := fmt.Sscanf(m.Content, rig.Secret+" %d %d", &line, &serial); err != nil {
				continue
			}
			if serial <= last[line] {
				t.Errorf("%v: what connection %d sent as %d is stored after %d", k, line, serial, last[line])
			}
			last[line] = serial
		}
	}
	doubtful, found := 0, 0
	for _, a := range l.tries {
		switch {
		case a.id != 0:
		case a.took == 0:
			if doubtful++; stored[a.text] {
				found++
			}
		case stored[a.text]:
			t.Errorf("%v: %q was refused with id 0, and is stored", a.talk, a.text)
		}
	}
	t.Logf("%d answered with an id; %d without answer, of which %d are stored", l.Sent.Acknowledged(), doubtful, found)
	l.auditReaders(t, rows)
}

// auditDeadlines sees that what was answered was answered in time, and shows what came later than a machine with nothing
// else to do would have it.
func (l *Faults) auditDeadlines(t *testing.T) {
	t.Helper()
	for _, a := range l.tries {
		if a.took > givenUpAfter {
			t.Logf("%v: %v before the end of the fault a message began that was answered with id %d after %v, at %v", a.talk,
				l.ended.Sub(a.begun), a.id, a.took, a.begun.Add(a.took))
		}
		if a.took > LatestAnswer() {
			t.Errorf("%v: a message was answered after %v", a.talk, a.took)
		}
	}
}

// auditReaders compares what users have read with what they acked.
func (l *Faults) auditReaders(t *testing.T, rows map[bench.Talk][]audit.Row) {
	t.Helper()
	c := l.w.Dial(t, 0)
	auditPairs(t, c, rows)
	for _, r := range l.readers {
		list, possible := rows[r.talk()], false
		got := audit.UnreadOf(t, c, r.user, r.from, rig.Pair)
		for _, m := range r.marks {
			possible = possible || got <= len(audit.After(list, m.low, nil)) && got >= len(audit.After(list, m.high, nil))
		}
		if !possible {
			t.Errorf("%v: %d has %d unread of %d, acked %v", r.talk(), r.user, got, len(list), r.marks)
		}
	}
}
