// Package audit compares what was answered, which a Ledger notes, with what is stored: rows,
// positions, counters, and the keys in Redis. Check does all of it; package load adds what a load
// knows.
package audit

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// Row is a stored message.
type Row struct {
	ID      uint32 // within its talk
	From    uint32
	Content string
}

// ReadRows reads all stored messages, each talk's in the order of paging: by created, then by the
// tables' own ids. What is in the wrong one of the eight tables, or belongs to no relation, fails
// the test.
func ReadRows(t *testing.T, db *sql.DB) map[lines.Talk][]Row {
	t.Helper()
	rows := make(map[lines.Talk][]Row)
	read := func(query string, table int) {
		result, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer result.Close()
		for result.Next() {
			var k lines.Talk
			var m Row
			var owner int
			if err := result.Scan(&owner, &k.Group, &k.Low, &k.High, &m.ID, &m.From,
				&m.Content); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			if owner%8 != table {
				t.Errorf("a message of %v, relation or group %d, is in table %d", k, owner, table)
			}
			rows[k] = append(rows[k], m)
		}
		if err := result.Err(); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	for i := range 8 {
		read(fmt.Sprintf(`SELECT m.relateId, 0, coalesce(r.smallId, 0), coalesce(r.bigId, 0),
			m.msgId, m.fromId, m.content
			FROM IMMessage_%d m LEFT JOIN IMRelationShip r ON r.id = m.relateId
			ORDER BY m.created, m.id`, i), i)
		read(fmt.Sprintf(`SELECT groupId, groupId, 0, 0, msgId, userId, content
			FROM IMGroupMessage_%d ORDER BY created, id`, i), i)
	}
	if list := rows[lines.Talk{}]; len(list) > 0 {
		t.Errorf("%d messages belong to no relation", len(list))
	}
	return rows
}

// Ledger notes what was answered. Its methods are safe for concurrent use.
type Ledger struct {
	Gaps  bool // ids may have been left out: a proxy was killed that had reserved them
	Mixed bool // original servers wrote as well, who do not see to it that times go with ids

	mu    sync.Mutex
	rows  map[lines.Talk]map[uint32]Row // by message id
	top   map[lines.Talk]uint32         // the largest id
	wrong []string
}

// NewLedger makes an empty one.
func NewLedger() *Ledger {
	return &Ledger{rows: make(map[lines.Talk]map[uint32]Row), top: make(map[lines.Talk]uint32)}
}

// Answered notes an answered message.
func (l *Ledger) Answered(k lines.Talk, m *impb.IMMsgData) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := m.GetMsgId()
	if id == 0 {
		l.wrong = append(l.wrong, fmt.Sprintf("%v: %q was not stored", k, m.GetMsgData()))
		return
	}
	if l.rows[k] == nil {
		l.rows[k] = make(map[uint32]Row)
	}
	if before, ok := l.rows[k][id]; ok {
		l.wrong = append(l.wrong, fmt.Sprintf("%v: id %d was given to %q and to %q", k, id,
			before.Content, m.GetMsgData()))
	}
	l.top[k] = max(l.top[k], id)
	l.rows[k][id] = Row{ID: id, From: m.GetFromUserId(), Content: string(m.GetMsgData())}
}

// Fault notes something that audit is to report.
func (l *Ledger) Fault(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, what)
}

// Highest is the largest id answered in a talk so far.
func (l *Ledger) Highest(k lines.Talk) (id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.top[k]
}

// Acknowledged is how many messages were answered with an id.
func (l *Ledger) Acknowledged() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, messages := range l.rows {
		n += len(messages)
	}
	return n
}

// Check compares what was answered with what is stored: every message answered with an id is there,
// as it was sent; each talk's ids are 1 to n without a gap, in the order of paging; and no text is
// there twice (each was sent once).
func (l *Ledger) Check(t *testing.T, stored map[lines.Talk][]Row) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wrong {
		t.Error(w)
	}
	texts := make(map[string]lines.Talk)
	for k, list := range stored {
		if l.Mixed {
			list = slices.SortedFunc(slices.Values(list), func(a, b Row) int {
				return cmp.Compare(a.ID, b.ID)
			})
		}
		before := uint32(0)
		for i, m := range list {
			if m.ID <= before || m.ID != before+1 && !l.Gaps {
				t.Errorf("%v: message %d in order has id %d, the one before it %d", k, i+1, m.ID,
					before)
				break
			}
			before = m.ID
		}
		for _, m := range list {
			if other, twice := texts[m.Content]; twice {
				t.Errorf("%q is stored in %v and again in %v with id %d", m.Content, other, k, m.ID)
			}
			texts[m.Content] = k
		}
	}
	for k, messages := range l.rows {
		byID := make(map[uint32]Row, len(stored[k]))
		for _, m := range stored[k] {
			byID[m.ID] = m
		}
		for id, m := range messages {
			if got := byID[id]; got != m {
				t.Errorf("%v: %v was answered, %v is stored", k, m, got)
			}
		}
	}
}
